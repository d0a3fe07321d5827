"""What the APIs need of a node: the port between HTTP handlers and the daemon."""

from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

import aiohttp
import msgspec

from shoal.core.effects import Happened
from shoal.model.node import ImageInfo, NodeInfo
from shoal.model.ops import Answer, Operation

WaitCondition = Literal["not-running", "next-exit", "removed"]


class Member(msgspec.Struct, frozen=True):
    """A node of the cloud as this one sees it; `since` is wall clock ns of the last change."""

    info: NodeInfo
    state: Literal["up", "suspect", "down", "left"]
    since: int


class WaitOutcome(msgspec.Struct, frozen=True):
    exit_code: int
    error: str = ""


class Hijacked(Protocol):
    """A raw duplex stream after `101 Switching Protocols`."""

    reader: aiohttp.StreamReader
    content_type: str

    async def write(self, data: bytes) -> None: ...
    async def write_eof(self) -> None: ...
    def close(self) -> None: ...


class EnginePort(Protocol):
    """HTTP to one node's engine, over its unix socket or through the node that owns it."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        data: Any = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> aiohttp.ClientResponse:
        """`path` starts with a slash and has no version. The caller closes the response.
        Raises Unavailable when the node or its engine cannot be reached; any status of the
        engine is returned as it is. `timeout` bounds the time to the response's headers."""
        ...

    async def hijack(self, path: str, *, params: dict[str, str], json: Any = None) -> Hijacked:
        """POST with `Upgrade: tcp`. Raises EngineError when the engine refuses."""
        ...


class Service(Protocol):
    """One node, as its APIs see it. All waits are bounded by the caller's timeout or by 15 s."""

    node_id: str
    cloud: str

    async def execute(
        self, vcluster: str, operation: Operation, *, timeout: float = 15.0
    ) -> Answer:
        """Carry out an operation at the keeper. Raises a ShoalError instead of returning Failed."""
        ...

    def members(self) -> list[Member]:
        """Every remembered node, this one included, ordered by name."""
        ...

    def engine(self, node_id: str) -> EnginePort: ...

    def engine_name(self, container_view: Any) -> str:
        """Engine-side name of the container of a ContainerView."""
        ...

    async def resolve_image(self, vcluster: str, reference: str) -> tuple[ImageInfo, list[str]]:
        """Image that a reference (name, name:tag, id, id prefix) stands for, and ids of the live
        nodes that hold it. Raises NotFound("No such image: ...")."""
        ...

    async def refresh(self, node_id: str) -> None:
        """Have a node read its engine again (after a pull) and tell its peers."""
        ...

    def follow(self, vcluster: str) -> AsyncIterator[Happened]:
        """Container events of all nodes from now on, in order per container."""
        ...

    async def past(self, vcluster: str, since: int, until: int) -> list[Happened]:
        """Container events that the nodes present remember of a stretch of time (wall clock ns,
        both ends included), oldest first."""
        ...

    async def wait(
        self, vcluster: str, ref: str, condition: WaitCondition, *, exits: int | None = None
    ) -> WaitOutcome:
        """Wait, without limit, across moves and lost keepers. `exits` is how often the container
        had ended when the waiter looked, so that none is missed before the call arrives; with
        it, a container that has been removed since still has its outcome. Raises NotFound at
        once."""
        ...
