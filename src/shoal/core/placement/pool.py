"""The nodes that may run one kind of request, sorted so that the best are found without a scan.

A pool holds the nodes that pass the static filters of one key. They stand on *shelves* by size
and scarcer resource, and in *rows* by how full they are. A search walks each shelf from the best
row on and stops as soon as it has a few nodes with room. Every row knows an upper bound of what
its roomiest node has free, so rows that cannot help are skipped and an impossible request is
usually refused without looking at a node. In a long row only some nodes are looked at, from a
place that depends on the container; a second, thorough walk follows if that found nobody.
Changes reach a pool when it is next used.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final

from shoal.core.placement.request import PlacementRequest, StaticKey
from shoal.core.placement.state import LEVELS, NodeState

Test = Callable[[NodeState], bool]

#: Nodes looked at in a row for every one that is wanted. More finds fuller nodes where few of a
#: row have room, and costs time in a nearly full cluster.
_LOOKS: Final = 6


class _Row:
    """Nodes about equally full. `most_*` are upper bounds of what any of them has free."""

    __slots__ = ("level", "most_cpu", "most_memory", "nodes", "shelf")

    def __init__(self, shelf: "_Shelf", level: int) -> None:
        self.shelf = shelf
        self.level = level
        self.nodes: list[NodeState] = []
        self.most_cpu = 0
        self.most_memory = 0

    def loosen(self, state: NodeState) -> None:
        self.most_cpu = max(self.most_cpu, state.free_cpu)
        self.most_memory = max(self.most_memory, state.free_memory)

    def tighten(self) -> None:
        self.most_cpu = max(state.free_cpu for state in self.nodes)
        self.most_memory = max(state.free_memory for state in self.nodes)


class _Shelf:
    """Rows of nodes of about one size; bit n of `filled` is set while row n has nodes."""

    __slots__ = ("filled", "rows")

    def __init__(self) -> None:
        self.filled = 0
        self.rows = [_Row(self, level) for level in range(LEVELS)]

    def levels(self, *, fullest_first: bool) -> Iterator[int]:
        """The numbers of the filled rows."""
        left = self.filled
        while left:
            level = (left if fullest_first else left & -left).bit_length() - 1
            left ^= 1 << level
            yield level


class Search:
    """What to look for: room, further tests on nodes with room, and where to begin."""

    __slots__ = ("cpu", "fullest_first", "memory", "seed", "test")

    def __init__(self, request: PlacementRequest, seed: int, test: Test | None) -> None:
        self.cpu = request.cpu_floor
        self.memory = request.memory_floor
        self.fullest_first = request.rules.strategy == "binpack"
        self.seed = seed
        self.test = test

    def accepts(self, state: NodeState) -> bool:
        if state.free_cpu < self.cpu or state.free_memory < self.memory:
            return False
        return self.test is None or self.test(state)

    def in_row(self, row: _Row, wanted: int, looks: int) -> list[NodeState]:
        """Up to `wanted` nodes with room among `looks` nodes from where the seed says."""
        nodes, cpu, memory, test = row.nodes, self.cpu, self.memory, self.test
        start = self.seed % len(nodes)
        found = []
        for position in islice(chain(range(start, len(nodes)), range(start)), looks):
            state = nodes[position]
            if state.free_cpu < cpu or state.free_memory < memory:
                continue
            if test is None or test(state):
                found.append(state)
                if len(found) == wanted:
                    break
        return found


class Pool:
    """Members of one static key, kept sorted. `seen` is how much of the view's log is in it."""

    __slots__ = ("_position", "_row", "_shelves", "key", "may_run", "seen")

    def __init__(
        self, key: StaticKey, may_run: Test, states: Iterable[NodeState], seen: int
    ) -> None:
        self.key = key
        self.may_run = may_run
        self.seen = seen
        self._shelves: dict[int, _Shelf] = {}
        self._row: dict[int, _Row] = {}
        self._position: dict[int, int] = {}
        for state in states:
            if may_run(state):
                self._put(state)

    def __len__(self) -> int:
        return len(self._row)

    def __contains__(self, state: NodeState) -> bool:
        return state.index in self._row

    def moved(self, state: NodeState) -> None:
        """A node is fuller or emptier than before."""
        row = self._row.get(state.index)
        if row is None:
            return
        if row.level == state.level and self._shelves.get(state.shelf) is row.shelf:
            row.loosen(state)
        else:
            self._take(state, row)
            self._put(state)

    def changed(self, state: NodeState) -> None:
        """A node is not what it was: it may enter or leave."""
        row = self._row.get(state.index)
        if row is not None:
            self._take(state, row)
        if self.may_run(state):
            self._put(state)

    @property
    def shelves(self) -> int:
        """How many sizes of nodes there are."""
        return sum(1 for shelf in self._shelves.values() if shelf.filled)

    def find(self, search: Search, per_shelf: int) -> list[NodeState]:
        """Up to `per_shelf` nodes with room of every shelf, from the best rows; empty only if no
        member has room."""
        looks = per_shelf * _LOOKS
        found = self._walk(search, per_shelf, looks)
        return found or self._walk(search, per_shelf, len(self))

    def _walk(self, search: Search, per_shelf: int, looks: int) -> list[NodeState]:
        found: list[NodeState] = []
        for shelf in self._shelves.values():
            found += self._find_on(shelf, search, per_shelf, looks)
        return found

    def _find_on(self, shelf: _Shelf, search: Search, wanted: int, looks: int) -> list[NodeState]:
        found: list[NodeState] = []
        for level in shelf.levels(fullest_first=search.fullest_first):
            row = shelf.rows[level]
            if row.most_cpu < search.cpu or row.most_memory < search.memory:
                continue
            here = search.in_row(row, wanted - len(found), looks)
            if here:
                found += here
                if len(found) >= wanted:
                    break
            elif looks >= len(row.nodes):
                row.tighten()
        return found

    def _put(self, state: NodeState) -> None:
        shelf = self._shelves.get(state.shelf)
        if shelf is None:
            shelf = self._shelves[state.shelf] = _Shelf()
        row = shelf.rows[state.level]
        if not row.nodes:
            shelf.filled |= 1 << state.level
            row.most_cpu = state.free_cpu
            row.most_memory = state.free_memory
        else:
            row.loosen(state)
        self._row[state.index] = row
        self._position[state.index] = len(row.nodes)
        row.nodes.append(state)

    def _take(self, state: NodeState, row: _Row) -> None:
        position = self._position.pop(state.index)
        del self._row[state.index]
        last = row.nodes.pop()
        if last is not state:
            row.nodes[position] = last
            self._position[last.index] = position
        if not row.nodes:
            row.shelf.filled ^= 1 << row.level
