"""What the native API needs of a node beyond `Service`."""

from typing import Protocol

import msgspec

from shoal.model.node import NodeChange, NodeInfo, Tenancy
from shoal.node.doctor.findings import Examination


class VclusterStatus(msgspec.Struct, frozen=True):
    """Who looks after a vcluster, by node name, as this node sees it."""

    name: str
    id: str
    keeper: str
    copies: tuple[str, ...] = ()


class StatusReport(msgspec.Struct, frozen=True):
    """A node and its cloud in short. `risk` and `pending` are lines for people, such as
    `at risk: one copy only`; both are empty when all is well."""

    ready: bool
    node: str  # id
    name: str
    address: str
    cloud: str
    version: str
    discovery: str  # strategy
    offers: int  # of other nodes, kept here for whoever asks
    members: dict[str, int]  # state -> how many
    vclusters: tuple[VclusterStatus, ...] = ()
    risk: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


class TokenSummary(msgspec.Struct, frozen=True):
    """A join token without its secret. Times are wall clock ns; `expires` 0 is never."""

    id: str
    created: int
    expires: int
    made_on: str  # name of the node, "" for one that did not say


class AdminPort(Protocol):
    """The node's own affairs, and what operators ask of nodes."""

    def status(self) -> StatusReport:
        """From memory, without waiting for anybody."""
        ...

    async def examine(self) -> Examination:
        """Look at this machine, and dial all peers and be dialled by them; within a minute."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Prometheus' text of this node, and its content type. From memory, without waiting."""
        ...

    def log(self, lines: int) -> list[str]:
        """The last lines of the daemon's own log. Raises NotFound when they are not at hand."""
        ...

    async def create_token(self, ttl_seconds: int) -> str:
        """A new secret with which a node may join. Raises Unavailable when it cannot be stored,
        Forbidden when this node may not sign."""
        ...

    async def tokens(self) -> list[TokenSummary]:
        """Those that were not removed, expired ones too, oldest first. Raises Unavailable."""
        ...

    async def remove_token(self, token_id: str) -> None:
        """From now on nobody joins with it. Raises Unavailable when that cannot be stored."""
        ...

    async def change_node(self, node_id: str, change: NodeChange) -> NodeInfo:
        """Ask a node to change; it has kept that when this returns. Raises Unavailable."""
        ...

    async def tenancy(self, node_id: str) -> Tenancy:
        """What a node itself holds. Raises Unavailable."""
        ...
