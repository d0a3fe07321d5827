"""What the native API needs of a node beyond `Service`."""

from typing import Protocol

import msgspec

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


class AdminPort(Protocol):
    """The node's own affairs."""

    def status(self) -> StatusReport:
        """From memory, without waiting for anybody."""
        ...

    async def examine(self) -> Examination:
        """Look at this machine, and dial all peers and be dialled by them; within a minute."""
        ...

    def metrics(self) -> tuple[bytes, str]:
        """Prometheus' text of this node, and its content type. From memory, without waiting."""
        ...

    async def create_token(self, ttl_seconds: int) -> str:
        """A new secret with which a node may join. Raises Unavailable when it cannot be stored,
        Forbidden when this node may not sign."""
        ...
