"""`docker wait`: until a container ends or is gone, across moves and lost keepers.

Events make it fast; looking at the records now and then makes it certain.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

import msgspec

from shoal.core.effects import Happened
from shoal.model.container import ContainerView
from shoal.model.errors import NotFound, ShoalError, Unavailable
from shoal.node.service import WaitCondition, WaitOutcome

_LOOK_EVERY = 2.0  # seconds
_LOOK_AGAIN = 0.2  # while something is on its way

Look = Callable[[], Awaitable[ContainerView]]


class Waiting(msgspec.Struct):
    """One waiter: what it waits for and what it has seen. `ends` is (generation counter, number
    of ends), so that an end on another host counts as well."""

    condition: WaitCondition
    id: str
    ends: tuple[int, int]
    exit_code: int = 0
    error: str = ""

    def see(self, view: ContainerView) -> bool:
        """Whether what the records say ends the wait."""
        if _ends(view) <= self.ends:
            return False
        self.exit_code, self.error = view.status.exit_code, view.status.error
        self.ends = _ends(view)
        return self.condition != "removed" and view.status.phase != "running"

    def hear(self, event: Happened) -> bool:
        """Whether an event ends the wait."""
        if event.id != self.id:
            return False
        if event.action == "die":
            self.exit_code = int(event.attributes.get("exitCode", "0") or 0)
            return self.condition != "removed"
        return event.action == "destroy" and self.condition == "removed"

    def outcome(self) -> WaitOutcome:
        return WaitOutcome(self.exit_code, self.error)


def _ends(view: ContainerView) -> tuple[int, int]:
    counter = view.generation.counter if view.generation is not None else 0
    # A new placement alone is no end: it counts once something ended there.
    return (counter, view.status.exits) if view.status.exits else (0, 0)


async def wait(
    look: Look,
    follow: AsyncIterator[Happened],
    condition: WaitCondition,
    *,
    exits: int | None = None,
) -> WaitOutcome:
    """Wait without limit. `exits` is how often it had ended when the waiter first looked; none
    takes the present count. Raises NotFound if there is no such container to begin with."""
    queue: asyncio.Queue[Happened] = asyncio.Queue()
    listener = asyncio.create_task(_listen(follow, queue))
    try:
        view = await (_settled(look) if condition == "not-running" else look())
        waiting = Waiting(condition, view.id, _ends(view), view.status.exit_code)
        if condition == "not-running" and view.status.phase != "running":
            return waiting.outcome()
        if exits is not None and view.status.exits > exits:
            waiting.ends = (0, 0)
            if waiting.see(view):
                return waiting.outcome()
        return await _until_over(waiting, look, queue)
    finally:
        listener.cancel()


async def _settled(look: Look) -> ContainerView:
    """The container once nothing asked of it is on its way: one that is just being started is
    not taken for one that does not run. Raises NotFound."""
    view = await look()
    while view.pending:
        await asyncio.sleep(_LOOK_AGAIN)
        with suppress(Unavailable):
            view = await look()
    return view


async def _until_over(waiting: Waiting, look: Look, queue: asyncio.Queue[Happened]) -> WaitOutcome:
    while True:
        try:
            event = await asyncio.wait_for(queue.get(), _LOOK_EVERY)
            over = waiting.hear(event)
        except TimeoutError:
            over = await _look(waiting, look)
        if over:
            return waiting.outcome()


async def _look(waiting: Waiting, look: Look) -> bool:
    try:
        return waiting.see(await look())
    except NotFound:
        return True
    except ShoalError:
        return False  # nobody could answer just now


async def _listen(follow: AsyncIterator[Happened], queue: asyncio.Queue[Happened]) -> None:
    with suppress(ShoalError):
        async with aclosing(follow) as events:  # type: ignore[type-var]
            async for event in events:
                await queue.put(event)
