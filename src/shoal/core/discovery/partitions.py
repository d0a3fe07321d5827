"""The resource table: which combination of class, cores and memory lies where on the circle.

The circle is split by the classes' percentages, each class by its core counts', each of these by
its memories'. A leaf is a partition: a half-open range [start, end) of positions, named by its
index in ascending order of (class, cores, memory), which is also its order on the circle. The
last share of each level takes what rounding leaves.

Sets of partitions are bit masks, so that "which contain this demand" is three look-ups and two
ANDs however large the table.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from shoal.core.discovery.contract import Demand
from shoal.core.ring.circle import SIZE
from shoal.core.ring.port import Draw

#: An offer's number holds its partition in eight bits.
MOST_PARTITIONS = 256


class TableError(ValueError):
    """A resource table is wrong; the text is one line that says where and why."""


class MemoryShare(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`memory` bytes, and their percentage of the core count's range."""

    memory: int
    percent: int


class CoreShare(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`cpus` millicores, and their percentage of the class's range."""

    cpus: int
    percent: int
    memories: tuple[MemoryShare, ...]


class ClassShare(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A CPU class, and its percentage of the circle."""

    cpu_class: int
    percent: int
    cores: tuple[CoreShare, ...]


class Partition(msgspec.Struct, frozen=True):
    """A leaf: positions [start, end) stand for `demand`. `weight` is its share in millionths."""

    index: int
    demand: Demand
    start: int
    end: int
    weight: int


class Partitions:
    """The table of one cloud. Immutable, shared by all nodes.

    Raises TableError if a level's percentages do not sum to 100 or its values do not ascend.
    """

    __slots__ = ("_classes", "_cpus", "_largest", "_memories", "_starts", "leaves")

    def __init__(self, classes: tuple[ClassShare, ...]) -> None:
        self.leaves = tuple(_leaves(classes))
        if len(self.leaves) > MOST_PARTITIONS:
            raise TableError(
                f"resource table: {len(self.leaves)} partitions, at most {MOST_PARTITIONS} work"
            )
        self._starts = [leaf.start for leaf in self.leaves]
        self._classes = _Dimension([leaf.demand.cpu_class for leaf in self.leaves])
        self._cpus = _Dimension([leaf.demand.cpus for leaf in self.leaves])
        self._memories = _Dimension([leaf.demand.memory for leaf in self.leaves])
        last = {leaf.demand.cpu_class: leaf.index for leaf in self.leaves}
        self._largest = sum(1 << index for index in last.values())

    def at(self, position: int) -> int:
        """The index of the partition that a position lies in."""
        return bisect_right(self._starts, position) - 1

    def suited(self, demand: Demand) -> int:
        """The mask of all partitions that are at least the demand in all three."""
        return (
            self._cpus.at_least(demand.cpus)
            & self._memories.at_least(demand.memory)
            & self._classes.at_least(demand.cpu_class)
        )

    def searched(self, demand: Demand) -> int:
        """The mask of the partitions to look in: those suited; for more than any of them stands
        for, the largest of the demand's class and of those above."""
        return self.suited(demand) or self._largest & self._classes.at_least(demand.cpu_class)

    def offered(self, free: Demand) -> int:
        """The mask of all partitions that are at most the free resources in all three."""
        return (
            self._cpus.at_most(free.cpus)
            & self._memories.at_most(free.memory)
            & self._classes.at_most(free.cpu_class)
        )


class _Dimension:
    """One resource over all leaves: values ascending, and masks of the leaves on either side."""

    __slots__ = ("_above", "_below", "_values")

    def __init__(self, column: list[int]) -> None:
        self._values = sorted(set(column))
        self._above = [_mask(value >= bound for value in column) for bound in self._values] + [0]
        self._below = [0] + [_mask(value <= bound for value in column) for bound in self._values]

    def at_least(self, amount: int) -> int:
        return self._above[bisect_left(self._values, amount)]

    def at_most(self, amount: int) -> int:
        return self._below[bisect_right(self._values, amount)]


def lowest(mask: int) -> int:
    """The index of the smallest partition of a set, -1 if it is empty."""
    return (mask & -mask).bit_length() - 1


def highest(mask: int) -> int:
    """The index of the largest partition of a set, -1 if it is empty."""
    return mask.bit_length() - 1


def next_higher(mask: int, index: int) -> int:
    """The smallest partition of a set above `index`, -1 if there is none."""
    return lowest(mask >> index + 1 << index + 1)


def next_lower(mask: int, index: int) -> int:
    """The largest partition of a set below `index`, -1 if there is none."""
    return highest(mask & (1 << index) - 1)


class Targets:
    """Draws the positions of a partition at which offers are put and looked for.

    With `estimate` (how many nodes there are, believed) and `scale` only every scale-th node's
    position is drawn, so that few *super-traders* hold all offers: start + k * step with
    step = SIZE // estimate * scale. With estimate None every position is.
    """

    __slots__ = ("_step",)

    def __init__(self, estimate: int | None, scale: int) -> None:
        self._step = max(1, SIZE // estimate * scale) if estimate else 1

    def draw(self, partition: Partition, draw: Draw) -> int:
        step = self._step
        places = (partition.end - partition.start + step - 1) // step
        return partition.start + draw.below(places) * step


@cache
def targets(estimate: int | None, scale: int) -> Targets:
    """One for all nodes of a cloud."""
    return Targets(estimate, scale)


def _leaves(classes: tuple[ClassShare, ...]) -> Iterator[Partition]:
    index = 0
    _check("classes", [(share.cpu_class, share.percent) for share in classes])
    for number, start, end in _split(0, SIZE, [share.percent for share in classes]):
        share = classes[number]
        _check(f"cores of class {share.cpu_class}", [(c.cpus, c.percent) for c in share.cores])
        for place, low, high in _split(start, end, [core.percent for core in share.cores]):
            core = share.cores[place]
            where = f"memories of {core.cpus} millicores of class {share.cpu_class}"
            _check(where, [(memory.memory, memory.percent) for memory in core.memories])
            for leaf, first, last in _split(low, high, [m.percent for m in core.memories]):
                memory = core.memories[leaf]
                demand = Demand(share.cpu_class, core.cpus, memory.memory)
                weight = share.percent * core.percent * memory.percent
                yield Partition(index, demand, first, last, weight)
                index += 1


def _check(where: str, shares: list[tuple[int, int]]) -> None:
    values = [value for value, _ in shares]
    percents = [percent for _, percent in shares]
    if sum(percents) != 100 or min(percents, default=0) < 1:
        raise TableError(
            f"resource table, {where}: percentages {percents}; each must be at least 1 and"
            " together they must be 100"
        )
    if min(values) < 0 or values != sorted(set(values)):
        raise TableError(f"resource table, {where}: values {values}; they must ascend")


def _split(start: int, end: int, percents: list[int]) -> Iterator[tuple[int, int, int]]:
    """Consecutive ranges (number, start, end); the last one takes what rounding leaves."""
    place = start
    for number, percent in enumerate(percents):
        last = number == len(percents) - 1
        after = end if last else place + (end - start) * percent // 100
        yield number, place, after
        place = after


def _mask(bits: Iterable[bool]) -> int:
    return sum(1 << index for index, bit in enumerate(bits) if bit)
