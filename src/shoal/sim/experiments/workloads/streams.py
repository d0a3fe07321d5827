"""Caravela's request streams: rates that change in steps, and a mix of request profiles."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from shoal.core.discovery.contract import Demand
from shoal.core.ring.port import Draw
from shoal.sim.experiments.workloads import Deploy, Operation, Stop, draw_for

MB = 1_000_000
_SECOND = 1_000_000_000


class Profile(NamedTuple):
    """A kind of request and its share of all requests, percent."""

    demand: Demand
    percent: int


class Rates(NamedTuple):
    """Requests and ends in percent of the nodes per tick, one value for each step of the run."""

    deploy: tuple[float, ...]
    stop: tuple[float, ...]


REGULAR = Rates(
    deploy=(0.5, 1, 1.5, 1, 2, 1.5, 1, 1.5, 1, 1.5, 1, 1, 0.5, 1.5),
    stop=(0, 0.3, 0.5, 0.5, 1, 0.5, 0.2, 0.5, 1, 1.5, 1, 1, 1, 0.5),
)
STEADY_30 = Rates(
    deploy=(3, 3, 3.5, 2.5, 3.5, 3, 2.5, 2, 2.5, 2.5, 3.5, 1.5, 2, 2.5, 1, 1, 3.5),
    stop=(0.25, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 0.5, 0.5, 0.5, 0.5, 2, 2, 2.5, 1.5, 1.5, 1.5),
)


def profiles(*rows: tuple[int, int, int, int]) -> tuple[Profile, ...]:
    """Profiles from rows of (class, cores, MB, percent)."""
    return tuple(
        Profile(Demand(cpu_class, cores * 1000, memory * MB), percent)
        for cpu_class, cores, memory, percent in rows
    )


REGULAR_PROFILES = profiles(
    (0, 1, 250, 25),
    (0, 1, 500, 10),
    (0, 2, 1000, 15),
    (0, 2, 2000, 10),
    (0, 3, 3000, 5),
    (1, 1, 250, 10),
    (1, 2, 750, 10),
    (1, 2, 2000, 5),
    (1, 3, 3500, 5),
    (1, 6, 5000, 5),
)
NEWEST_PROFILES = profiles(
    (0, 1, 250, 15),
    (0, 1, 500, 5),
    (0, 2, 1000, 5),
    (0, 2, 2000, 10),
    (0, 3, 3000, 10),
    (1, 1, 250, 15),
    (1, 2, 750, 5),
    (1, 2, 2000, 15),
    (1, 3, 3500, 13),
    (1, 6, 5000, 7),
)
STEADY_30_PROFILES = profiles(
    (0, 1, 200, 15),
    (0, 1, 600, 5),
    (0, 2, 1200, 10),
    (0, 2, 1600, 10),
    (0, 2, 2800, 10),
    (0, 4, 3000, 15),
    (1, 1, 750, 20),
    (1, 2, 2500, 10),
    (1, 6, 5000, 5),
)

STREAMS = {
    "regular": (REGULAR, REGULAR_PROFILES),
    "newest": (REGULAR, NEWEST_PROFILES),
    "steadyAt30Perc": (STEADY_30, STEADY_30_PROFILES),
}
"""The streams of the original by name."""


class RateStream:
    """So many deployments, then so many ends, evenly over every tick.

    The numbers per tick and the draw of a profile are the original's to the letter: 101 values
    (0 to 100) fall on cumulated percentages, so the first profile gets one in 101 too many.
    """

    __slots__ = ("_deploys", "_profiles", "_seed", "_step", "_stops", "_upto", "interval")

    def __init__(
        self,
        *,
        rates: Rates,
        profiles: Sequence[Profile],
        seed: int,
        nodes: int,
        ticks: int,
        interval: int = 20 * _SECOND,
    ) -> None:
        self.interval = interval
        self._seed = seed
        self._profiles = tuple(profiles)
        self._upto = tuple(accumulate(profile.percent for profile in profiles))
        self._deploys = tuple(int(nodes * (rate / 100)) for rate in rates.deploy)
        self._stops = tuple(int(nodes * (rate / 100)) for rate in rates.stop)
        self._step = -(-ticks // len(rates.deploy))

    def operations(self, tick: int) -> Sequence[Operation]:
        """Deployments first, then ends; nothing once the rates are used up."""
        step = tick // self._step
        if step >= len(self._deploys):
            return ()
        deploys, stops = self._deploys[step], self._stops[step]
        draw = draw_for(self._seed, tick)
        start, spacing = tick * self.interval, self.interval // max(deploys + stops, 1)
        made: list[Operation] = []
        for i in range(deploys):
            group = self._profile(draw)
            demands = (self._profiles[group].demand,)
            made.append(Deploy(start + i * spacing, draw.bits(), demands, group, 0))
        made += [
            Stop(start + i * spacing, self._profile(draw)) for i in range(deploys, deploys + stops)
        ]
        return made

    def _profile(self, draw: Draw) -> int:
        value = draw.below(101)
        for index, upto in enumerate(self._upto):
            if value <= upto:
                return index
        return len(self._upto) - 1
