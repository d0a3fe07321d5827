"""What the daemon asks of a container engine, whatever stands behind it."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol

import msgspec

from shoal.core.effects import EngineCall
from shoal.core.events import EngineChanged, EngineResult, EngineSnapshot
from shoal.node.service import EnginePort

#: Reaches the engine of another node, to fetch an image from it.
PeerPort = Callable[[str], EnginePort]


class ImagesChanged(msgspec.Struct, frozen=True, tag=True):
    """Images came, went or were tagged: the inventory is worth reading again."""

    action: str  # as the engine names it: pull, load, tag, delete, ...
    time: int  # wall clock, ns


class Engine(Protocol):
    """One container engine. Nothing here raises because the engine is away: it is reported."""

    async def snapshot(self) -> EngineSnapshot:
        """All that the engine has now; `info.up` is false when it does not answer."""
        ...

    async def perform(self, call: EngineCall) -> EngineResult:
        """Carry out one call, bounded in time. `status` 503: it did not reach the engine;
        0: nobody knows whether it happened."""
        ...

    def events(self) -> AsyncIterator[EngineChanged | ImagesChanged]:
        """Events of our containers and of images, in order, continuing where the last iteration
        ended. The end of the iteration means that the engine is away."""
        ...

    def port(self) -> EnginePort:
        """Plain HTTP to this engine, for streams and pass-through."""
        ...

    async def close(self) -> None: ...
