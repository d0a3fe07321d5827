"""Who is there: the port to a failure detector."""

import os
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Protocol

import msgspec

from shoal.model.errors import ShoalError
from shoal.node.rpc import Endpoint

KEY_SIZE = 32

#: Membership has a port of its own, so far after that of RPC: its exchange of lists takes TCP as
#: well as UDP.
MEMBERSHIP_OFFSET = 2

#: Bytes that a node's metadata may take when encoded: it must fit one datagram with room left.
META_LIMIT = 960


class MetaTooLarge(ShoalError):
    """The metadata does not fit META_LIMIT."""


class MemberUp(msgspec.Struct, frozen=True):
    """A node is alive that was not, or runs anew. `epoch` grows with each run of the node."""

    node_id: str
    address: str  # IPv4 or IPv6, without brackets
    port: int  # of membership
    epoch: int
    meta: dict[str, str]


class MemberSuspect(msgspec.Struct, frozen=True):
    """A node misses its probes and may be dead soon."""

    node_id: str


class MemberRefuted(msgspec.Struct, frozen=True):
    """A suspected node has shown that it lives."""

    node_id: str


class MemberDown(msgspec.Struct, frozen=True):
    """A node is held for dead."""

    node_id: str


class MemberLeft(msgspec.Struct, frozen=True):
    """A node said goodbye. A mere restart is not this but another MemberUp."""

    node_id: str


class MemberMeta(msgspec.Struct, frozen=True):
    """A node changed its metadata."""

    node_id: str
    meta: dict[str, str]


class MemberSaid(msgspec.Struct, frozen=True):
    """A datagram that a node sent by `say`. Nodes of one cloud could claim to be one another."""

    node_id: str
    data: bytes


MembershipEvent = (
    MemberUp | MemberSuspect | MemberRefuted | MemberDown | MemberLeft | MemberMeta | MemberSaid
)


class MembershipStats(msgspec.Struct, frozen=True):
    """Since the start. `health`: 0 is well; the higher, the slower this node itself believes to
    be, and the longer it waits before it suspects others."""

    health: int = 0
    probes: int = 0
    failed_probes: int = 0
    suspicions: int = 0


class Membership(Protocol):
    """A failure detector. Views of nodes may differ, be late, or hold the living for dead."""

    @property
    def endpoint(self) -> Endpoint:
        """Where peers reach this node's membership; the port is real once started."""
        ...

    async def start(self) -> None:
        """Bind and take part. Raises Unavailable."""
        ...

    async def stop(self, *, leave: bool) -> None:
        """Stop; with `leave` peers are told, without it they will see a death."""
        ...

    async def join(self, seeds: Iterable[Endpoint]) -> int:
        """Exchange members with the first seed that answers. Returns how many answered."""
        ...

    async def update_meta(self, meta: Mapping[str, str]) -> None:
        """Replace what peers see of this node. Raises MetaTooLarge."""
        ...

    async def say(self, node_id: str, data: bytes) -> None:
        """Send up to 1 kB in one datagram, which may be lost. Raises Unavailable when the node
        is none of those that are there."""
        ...

    def events(self) -> AsyncGenerator[MembershipEvent, None]:
        """What happens to other nodes, beginning with MemberUp for each that is there. Ends
        when membership stops. One reader only."""
        ...


def new_gossip_key() -> bytes:
    """A key for membership packets; secret of the cloud."""
    return os.urandom(KEY_SIZE)
