"""The last events of a vcluster, kept in memory so that `shoal events` can tell what happened."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import structlog

from shoal.core.effects import Happened
from shoal.node.service import Service

KEPT = 1000
#: A reader this far behind is cut off, so that it cannot hold the node's memory.
BACKLOG = 10_000
RETRY_SECONDS = 1.0

_log = structlog.get_logger()


class Journal:
    """Follows one vcluster from `run` on; readers get what was kept, then what comes."""

    def __init__(self, service: Service, vcluster: str) -> None:
        self._service = service
        self._vcluster = vcluster
        self._kept: deque[Happened] = deque(maxlen=KEPT)
        self._readers: set[asyncio.Queue[Happened | None]] = set()

    async def run(self) -> None:
        """Until cancelled; a stream that breaks is opened again."""
        while True:
            try:
                await self._follow(self._service.follow(self._vcluster))
            except Exception as error:
                _log.warning("journal.follow", vcluster=self._vcluster, error=str(error))
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self, events: AsyncIterator[Happened]) -> None:
        try:
            async for event in events:
                self._add(event)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _add(self, event: Happened) -> None:
        self._kept.append(event)
        for reader in self._readers:
            if reader.qsize() < BACKLOG:
                reader.put_nowait(event)
            elif reader.qsize() == BACKLOG:
                reader.put_nowait(None)

    def recent(self, since: int) -> list[Happened]:
        """Kept events from `since` (wall clock ns) on, oldest first."""
        return [event for event in self._kept if event.time >= since]

    @contextlib.contextmanager
    def reader(self) -> Iterator[asyncio.Queue[Happened | None]]:
        """Events from now on; None: the reader fell too far behind and gets no more."""
        queue: asyncio.Queue[Happened | None] = asyncio.Queue()
        self._readers.add(queue)
        try:
            yield queue
        finally:
            self._readers.discard(queue)
