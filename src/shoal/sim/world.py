"""Virtual time: a queue of things to do, and randomness that depends on the seed alone."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

#: Wall clock (ns since 1970) at the start of every run: 2026-01-01 UTC.
WALL_AT_START = 1_767_225_600 * SECOND

Action = Callable[..., None]


class World:
    """Time in ns since the start of the run. `trace` collects one line per event, if wanted."""

    def __init__(self, seed: int, *, trace: bool = False) -> None:
        self.seed = seed
        self.now = 0
        self.lines: list[str] | None = [] if trace else None
        self._queue: list[tuple[int, int, Action, tuple[Any, ...]]] = []
        self._order = 0

    def random(self, purpose: str) -> Random:
        """A source of its own for each purpose, so that one more draw here changes nothing
        there. Seeded by text: the same under every PYTHONHASHSEED."""
        return Random(f"{self.seed}/{purpose}")  # noqa: S311 - repeatable is the point

    def at(self, time: int, action: Action, *args: Any) -> None:
        """Do something at a time, after all that was asked for at that time before."""
        self._order += 1
        heapq.heappush(self._queue, (max(time, self.now), self._order, action, args))

    def after(self, delay: int, action: Action, *args: Any) -> None:
        self.at(self.now + delay, action, *args)

    def run_until(self, end: int) -> None:
        """Do everything that is due up to a time."""
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, _, action, args = heapq.heappop(queue)
            action(*args)
        self.now = end

    def note(self, who: str, kind: str, detail: str = "") -> None:
        """A line of the trace: seconds, who, what, details; in fixed columns."""
        if self.lines is not None:
            seconds, rest = divmod(self.now, SECOND)
            self.lines.append(f"{seconds:6}.{rest // 1000:06} {who:<3} {kind:<10} {detail}")
