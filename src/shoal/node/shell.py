"""Drives a NodeCore: real time, real disk, and the promise that nothing leaves before it is kept.

Effects of a step wait until that step's writes, and those of all steps before it, are on disk.
When the disk fails, nothing that was not written is let out: the core is made anew from what is
on disk, and whoever waited for an answer gets an error.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from shoal.core.effects import Delete, Effect, Log, Put, Write
from shoal.core.events import Event, Now, Tick
from shoal.core.node import NodeCore
from shoal.node.clock import now
from shoal.node.store import KeyValue, StoreFailed

_log = structlog.get_logger()

#: Seconds between attempts to use a disk that failed.
_RETRY_DISK = 1.0


class Shell:
    """`build` makes the core from the disk; `perform` carries out one effect that is no write;
    `lost` is told why the disk failed, and `renewed` that a new core has taken the old one's
    place and knows neither peers nor engine yet."""

    def __init__(
        self,
        store: KeyValue,
        build: Callable[[Now], NodeCore],
        perform: Callable[[Effect], None],
        lost: Callable[[str], None],
        renewed: Callable[[], None],
    ) -> None:
        self._store = store
        self._build = build
        self._perform = perform
        self._lost = lost
        self._renewed = renewed
        self._queue: list[tuple[list[Write], list[Effect]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.core = build(now())

    def start(self) -> None:
        self._release(self.core.start())
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.cancel()

    def feed(self, event: Event) -> None:
        """One step of the core."""
        self._release(self.core.handle(now(), event))
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.core.next_timer()
        if at is not None:
            delay = max(0, at - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())

    def _release(self, effects: list[Effect]) -> None:
        writes: list[Write] = []
        others: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Put | Delete):
                writes.append(effect)
            elif isinstance(effect, Log):
                _write_log(effect)
            else:
                others.append(effect)
        if not writes and not self._queue and self._writer is None:
            self._let_out(others)
            return
        self._queue.append((writes, others))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    def _let_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._perform(effect)

    async def _write(self) -> None:
        try:
            while self._queue:
                steps, self._queue = self._queue, []
                writes = [write for step, _ in steps for write in step]
                if writes:
                    await self._store.commit(writes)
                for _, effects in steps:
                    self._let_out(effects)
        except StoreFailed as error:
            await self._start_over(error)
        finally:
            self._writer = None

    async def _start_over(self, error: StoreFailed) -> None:
        """What the core knows beyond the disk was never said: forget it."""
        while True:
            _log.error("disk failed", error=error.text)
            self._queue.clear()
            self._lost(error.text)
            await asyncio.sleep(_RETRY_DISK)
            try:
                core = self._build(now())
                effects = core.start()
                await self._store.commit([e for e in effects if isinstance(e, Put | Delete)])
            except StoreFailed as again:
                error = again
                continue
            self.core = core
            self._queue.clear()
            self._let_out([e for e in effects if not isinstance(e, Put | Delete | Log)])
            self._arm()
            self._renewed()
            return


def _write_log(effect: Log) -> None:
    getattr(_log, effect.level)(effect.event, **effect.fields)
