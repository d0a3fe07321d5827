"""The original's resource table, which is also how its machines are distributed, as data.

Its MB are 10**6 bytes. Its largest memory, 8198, is presumably a slip for 8192; it is kept, since
the results depend on it.
"""

from typing import Final

from shoal.core.discovery.contract import Demand
from shoal.core.discovery.partitions import ClassShare, CoreShare, MemoryShare, Partitions
from shoal.core.ring.port import Draw

MB: Final = 1_000_000
CORE: Final = 1_000


def _cores(cores: int, percent: int, *memories: tuple[int, int]) -> CoreShare:
    shares = tuple(MemoryShare(megabytes * MB, share) for megabytes, share in memories)
    return CoreShare(cores * CORE, percent, shares)


#: 13 partitions; the machines are distributed in the same way.
CARAVELA: Final = Partitions(
    (
        ClassShare(
            0,
            65,
            (
                _cores(1, 50, (256, 100)),
                _cores(2, 35, (512, 65), (1024, 35)),
                _cores(4, 15, (1024, 50), (2048, 35), (4096, 15)),
            ),
        ),
        ClassShare(
            1,
            35,
            (
                _cores(1, 50, (256, 100)),
                _cores(2, 25, (512, 65), (1024, 35)),
                _cores(4, 15, (2048, 65), (4096, 35)),
                _cores(8, 10, (4096, 65), (8198, 35)),
            ),
        ),
    )
)


def machine(table: Partitions, draw: Draw) -> Demand:
    """A machine of the table's distribution: its whole resources."""
    place = draw.below(1_000_000)
    for leaf in table.leaves:
        place -= leaf.weight
        if place < 0:
            return leaf.demand
    raise AssertionError("BUG: the weights of a table sum to a million")
