"""Container events: this node's own for its subscribers, and those of all nodes as one stream.

Each node remembers its last events since its start, as an engine does; what happened in the cloud
is what those present remember.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress

import msgspec

from shoal.core.effects import Happened
from shoal.model.errors import ShoalError
from shoal.model.ids import Generation
from shoal.node.rpc import CallContext, Methods
from shoal.node.transport import Transport

EVENTS = "events"
PAST = "past-events"
#: Events that a node remembers.
KEPT = 1_024
_BUFFER = 4_096
_LOOK_AGAIN = 0.5  # seconds between looks at the member list
_REMEMBERING = 3.0  # seconds that a peer has to say what it remembers


class EventsLost(ShoalError):
    """The subscriber was slower than the events."""


class Subscription(msgspec.Struct, frozen=True):
    """What a peer asks for."""

    vcluster: str


class Past(msgspec.Struct, frozen=True):
    """What a peer wants to know: the events of a stretch of time, both ends wall clock ns."""

    vcluster: str
    since: int
    until: int


class EventHub:
    """This node's events, handed to its subscribers; the last ones are kept."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[Happened | None]] = set()
        self._kept: deque[Happened] = deque(maxlen=KEPT)

    def register(self, methods: Methods) -> None:
        methods.streaming(EVENTS, self._serve, takes=Subscription)
        methods.unary(PAST, self._past, takes=Past)

    def publish(self, event: Happened) -> None:
        self._kept.append(event)
        for queue in list(self._queues):
            try:
                queue.put_nowait(event)
            except asyncio.QueueFull:
                self._queues.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)

    async def subscribe(self, vcluster: str) -> AsyncIterator[Happened]:
        """From now on. Raises EventsLost for a subscriber that falls behind."""
        queue: asyncio.Queue[Happened | None] = asyncio.Queue(_BUFFER)
        self._queues.add(queue)
        try:
            while (event := await queue.get()) is not None:
                if event.vcluster == vcluster:
                    yield event
            raise EventsLost(f"more than {_BUFFER} events behind: start over")
        finally:
            self._queues.discard(queue)

    async def _past(self, context: CallContext, wanted: Past) -> tuple[Happened, ...]:
        return tuple(
            event
            for event in self._kept
            if event.vcluster == wanted.vcluster and wanted.since <= event.time <= wanted.until
        )

    async def _serve(self, context: CallContext, wanted: Subscription) -> AsyncIterator[Happened]:
        async with aclosing(self.subscribe(wanted.vcluster)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event


class Merge:
    """All nodes' events of a vcluster. Nothing of an older placement follows a newer one's."""

    def __init__(self, transport: Transport, present: Callable[[], list[str]]) -> None:
        self._transport = transport
        self._present = present

    async def follow(self, vcluster: str) -> AsyncIterator[Happened]:
        queue: asyncio.Queue[Happened] = asyncio.Queue(_BUFFER)
        tasks: dict[str, asyncio.Task[None]] = {}
        newest: dict[str, Generation] = {}
        try:
            while True:
                self._attend(vcluster, queue, tasks)
                try:
                    event = await asyncio.wait_for(queue.get(), _LOOK_AGAIN)
                except TimeoutError:
                    continue
                if event.generation >= newest.get(event.id, event.generation):
                    newest[event.id] = event.generation
                    yield event
        finally:
            for task in tasks.values():
                task.cancel()

    async def past(self, vcluster: str, since: int, until: int) -> list[Happened]:
        """What those present remember of a stretch of time (wall clock ns), oldest first. A peer
        that does not answer is left out."""
        wanted = Past(vcluster, since, until)

        async def ask(node: str) -> tuple[Happened, ...]:
            with suppress(ShoalError):
                return await self._transport.call(
                    node, PAST, wanted, returns=tuple[Happened, ...], timeout=_REMEMBERING
                )
            return ()

        told = await asyncio.gather(*map(ask, self._present()))
        events = [event for some in told for event in some]
        return sorted(events, key=lambda event: (event.time, event.id, event.generation, event.seq))

    def _attend(
        self, vcluster: str, queue: asyncio.Queue[Happened], tasks: dict[str, asyncio.Task[None]]
    ) -> None:
        present = self._present()
        for node in present:
            task = tasks.get(node)
            if task is None or task.done():
                tasks[node] = asyncio.create_task(self._listen(node, vcluster, queue))
        for node in [node for node in tasks if node not in present]:
            tasks.pop(node).cancel()

    async def _listen(self, node: str, vcluster: str, queue: asyncio.Queue[Happened]) -> None:
        with suppress(ShoalError):
            stream = self._transport.stream(node, EVENTS, Subscription(vcluster), yields=Happened)
            async with aclosing(stream) as events:
                async for event in events:
                    await queue.put(event)
