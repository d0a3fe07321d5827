"""Between the core and the container engine: carries out calls, reads what is there, listens."""

import asyncio
import time
from collections.abc import Callable

import msgspec

from shoal.core.effects import EngineCall
from shoal.core.events import EngineSnapshot, Event
from shoal.engine.base import Engine, ImagesChanged

SNAPSHOT_EVERY = 60.0  # seconds
_RETRY = 0.5
_SETTLE = 0.2  # images come in bursts of events
_CALLS_AT_ONCE = 16


class EngineDriver:
    """`feed` takes what the engine says."""

    def __init__(self, engine: Engine, feed: Callable[[Event], None]) -> None:
        self.engine = engine
        self.answered = asyncio.Event()
        self._feed = feed
        self._gate = asyncio.Semaphore(_CALLS_AT_ONCE)
        self._calls: set[asyncio.Task[None]] = set()
        self._look = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._up = False

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._snapshots()),
            asyncio.create_task(self._listen()),
        ]

    async def stop(self) -> None:
        for task in [*self._tasks, *self._calls]:
            task.cancel()
        await self.engine.close()

    def call(self, call: EngineCall) -> None:
        task = asyncio.create_task(self._perform(call))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _perform(self, call: EngineCall) -> None:
        async with self._gate:
            result = await self.engine.perform(call)
        self._feed(result)

    async def refresh(self) -> EngineSnapshot:
        """Read everything again now."""
        began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        snapshot = await self.engine.snapshot()
        snapshot = msgspec.structs.replace(snapshot, began=began)
        self._up = snapshot.info.up
        self._feed(snapshot)
        if self._up:
            self.answered.set()
        return snapshot

    async def _snapshots(self) -> None:
        while True:
            self._look.clear()
            await self.refresh()
            try:
                wait = SNAPSHOT_EVERY if self._up else _RETRY
                await asyncio.wait_for(self._look.wait(), wait)
                await asyncio.sleep(_SETTLE)
            except TimeoutError:
                continue

    async def _listen(self) -> None:
        while True:
            async for event in self.engine.events():
                if isinstance(event, ImagesChanged):
                    self._look.set()
                else:
                    self._feed(event)
            self._look.set()  # the engine hung up: see whether it is still there
            await asyncio.sleep(_RETRY)
