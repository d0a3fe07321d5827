"""The state of the partitions as a buyer knows it: where questions were answered with offers.

One counter from 0 to the buffer's size for each partition, full at first. A partition is tried
with the probability counter / size, and else with a second chance of a tenth. Counters travel
with every message that is not an answer; the receiver takes the mean with its own, rounded down
(as in the original, so that counters sink where much is said; rounded up they rise, and nothing
is ever skipped).
"""

from typing import Final

from shoal.core.ring.port import Draw

_UNKNOWN: Final = 255
#: A counter is one byte and 255 is taken.
MOST_HITS: Final = 254


class Hits:
    """The counters of one node. `size` is at most MOST_HITS."""

    __slots__ = ("_counts", "_size")

    def __init__(self, partitions: int, size: int) -> None:
        if not 0 < size <= MOST_HITS:
            raise ValueError(f"partition_state is {size}; it must be 1 to {MOST_HITS}")
        self._counts = bytearray([_UNKNOWN]) * partitions
        self._size = size

    def worth(self, partition: int, draw: Draw) -> bool:
        """Whether to try a partition this time."""
        hits = min(self._counts[partition], self._size)
        return draw.below(self._size) < hits or draw.below(10) == 0

    def count(self, partition: int, *, hit: bool) -> None:
        """A question in this partition was answered with offers, or with none."""
        hits = min(self._counts[partition], self._size)
        self._counts[partition] = min(hits + 1, self._size) if hit else max(hits - 1, 0)

    def merge(self, theirs: bytes) -> None:
        """Learn from another node; what only one of us knows is taken as it is."""
        counts = self._counts
        for partition, hits in enumerate(theirs):
            if hits != _UNKNOWN:
                mine = counts[partition]
                counts[partition] = hits if mine == _UNKNOWN else mine + hits >> 1

    def told(self) -> bytes:
        """The counters as others are told them."""
        return bytes(self._counts)
