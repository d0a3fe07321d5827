"""The order in which candidates are tried: the original's, which is Docker Swarm's.

score = percent of the cores + percent of the memory that are used afterwards, each rounded down.
Binpack tries the highest first, of equals the one with more containers; spread the opposite.
Those that are equal in both keep their order. Ranks pack into one integer each, so that ordering
is done by comparing integers.
"""

from collections.abc import Iterable
from heapq import heapify, heappop

from shoal.core.discovery.contract import Candidate, Demand, Policy

#: A rank holds (200 - score or score), (containers either way up), place, in these many bits.
_PLACE_BITS = 32
_COUNT_BITS = 20
_MOST = (1 << _COUNT_BITS) - 1
_TOP = 200
_CLEAR = (1 << _PLACE_BITS) - 1


def score(demand: Demand, free: Demand, used: Demand) -> int:
    """The percentages in use after a launch, cores' plus memory's: 0 to 200 if it fits.

    A resource that is not asked for counts as full, as in the original.
    """
    cpus, memory = demand.cpus, demand.memory
    part = (used.cpus + cpus) * 100 // (used.cpus + free.cpus) if cpus else 100
    rest = (used.memory + memory) * 100 // (used.memory + free.memory) if memory else 100
    return part + rest


class Ranking:
    """Candidates of one demand, handed out best first. Those that do not fit are left out."""

    __slots__ = ("_candidates", "_heap")

    def __init__(self, found: Iterable[Candidate], demand: Demand, policy: Policy) -> None:
        self._candidates = candidates = list(found)
        binpack = policy == "binpack"
        need_cpus, need_memory, need_class = demand.cpus, demand.memory, demand.cpu_class
        heap = []
        for place, candidate in enumerate(candidates):
            free = candidate.free
            if (
                free.cpus >= need_cpus
                and free.memory >= need_memory
                and free.cpu_class >= need_class
            ):
                value = score(demand, free, candidate.used)
                count = candidate.containers
                if binpack:
                    value, count = _TOP - value, _MOST - count
                heap.append((value << _COUNT_BITS | count) << _PLACE_BITS | place)
        heapify(heap)
        self._heap = heap

    def next(self) -> Candidate | None:
        """The best that has not been handed out, None if there is none left."""
        return self._candidates[heappop(self._heap) & _CLEAR] if self._heap else None

    def best(self, count: int) -> list[Candidate]:
        """The next `count` at most, best first."""
        return [
            self._candidates[heappop(self._heap) & _CLEAR]
            for _ in range(min(count, len(self._heap)))
        ]
