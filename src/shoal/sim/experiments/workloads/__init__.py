"""What users ask for, as pure functions of (seed, tick): for the simulator and for live load.

A workload divides time into ticks and says what happens in each. It keeps nothing between two
calls, so any tick can be asked for, in any order, by any process.
"""

from collections.abc import Sequence
from math import log
from typing import NamedTuple, Protocol

from shoal.core.discovery.contract import Demand
from shoal.core.ring.port import Draw


class Deploy(NamedTuple):
    """A wish for containers.

    at: ns since the beginning. entry: 64 bits that choose the node which gets the request.
    demands: one for every container that is placed by itself (co-located ones are summed), all or
    nothing. group: the number under which a `Stop` finds it. lifetime: ns from the start of its
    containers to their end, 0 if only a `Stop` ends them.
    """

    at: int
    entry: int
    demands: tuple[Demand, ...]
    group: int
    lifetime: int


class Stop(NamedTuple):
    """The end of the youngest deployment of a group that is still running, if there is one."""

    at: int
    group: int


Operation = Deploy | Stop


class Workload(Protocol):
    """A stream of operations."""

    @property
    def interval(self) -> int:
        """Length of a tick, ns."""
        ...

    def operations(self, tick: int) -> Sequence[Operation]:
        """What happens in [tick, tick + 1) x interval, in order of time."""
        ...


def draw_for(seed: int, *numbers: int) -> Draw:
    """Random numbers of their own for a seed and, say, a tick."""
    state = seed
    for number in numbers:
        state = Draw(state).bits() ^ Draw(number).bits()
    return Draw(state)


def exponential(draw: Draw, mean: float) -> float:
    """An exponentially distributed number, above zero."""
    return -log((draw.bits() + 1) / 2.0**64) * mean + 2.0**-64
