"""RESTfulSwarm's four load generators, with the mathematics that their names promise.

Each gives a number of jobs per tick t = 0, 1, 2, …; every job is a number of equal tasks.
"""

from collections.abc import Callable, Sequence
from math import ceil

from shoal.core.discovery.contract import Demand
from shoal.core.ring.port import Draw
from shoal.sim.experiments.workloads import Deploy, Operation, draw_for, exponential

Count = Callable[[int, Draw], int]
"""How many jobs come in a tick, given the tick and numbers drawn for it."""


class Steady:
    """Always `jobs`."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs

    def __call__(self, _tick: int, _draw: Draw) -> int:
        return self.jobs


class Bursty:
    """The ceiling of an exponentially distributed number of the given rate (lambda).

    The mean is 1 / (1 - exp(-rate)) jobs per tick; there is always at least one.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, _tick: int, draw: Draw) -> int:
        return ceil(exponential(draw, 1 / self.rate))


class Incremental:
    """`slope` x t + `start`."""

    def __init__(self, slope: int, start: int) -> None:
        self.slope, self.start = slope, start

    def __call__(self, tick: int, _draw: Draw) -> int:
        return max(self.slope * tick + self.start, 0)


class Uniform:
    """A whole number in [low, high], drawn anew for every tick."""

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def __call__(self, _tick: int, draw: Draw) -> int:
        return self.low + draw.below(self.high - self.low + 1)


class Jobs:
    """Jobs of `demands` by one of the laws above."""

    __slots__ = ("_count", "_demands", "_lifetime", "_seed", "interval")

    def __init__(
        self,
        *,
        count: Count,
        demands: Sequence[Demand],
        seed: int,
        interval: int,
        lifetime: int = 0,
    ) -> None:
        self.interval = interval
        self._count = count
        self._demands = tuple(demands)
        self._seed = seed
        self._lifetime = lifetime

    def operations(self, tick: int) -> Sequence[Operation]:
        """The jobs of a tick, evenly over it."""
        draw = draw_for(self._seed, tick)
        jobs = self._count(tick, draw)
        start, spacing = tick * self.interval, self.interval // max(jobs, 1)
        return [
            Deploy(start + i * spacing, draw.bits(), self._demands, 0, self._lifetime)
            for i in range(jobs)
        ]
