"""A node's routes: its successors and its fingers as one sorted array of distances.

A finger is the first node at or after a target; the targets stand at distances j * base**k,
0 < j < base, from the node. Most of the 64 * (base - 1) / log2(base) targets share their finger
(those nearer than the first successors all do), so only distinct distances are kept, and which
of them are needed follows from the array alone: an entry is the finger of some target if a
target lies between the entry before it and itself. Eight bytes an entry, no other tables.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from shoal.core.ring.circle import MASK


class Routes:
    """Where to pass on what is for others. `live` is read by every hop.

    live: sorted distances to the nodes that messages may be passed to; always with the first
        successor.
    reach: distance to the first successor (MASK if there is none): keys up to there are its.
    """

    __slots__ = ("_near", "_shift", "_suspects", "live", "own", "reach", "table")

    def __init__(self, own: int, base: int) -> None:
        self.own = own
        self.table = array("Q")
        self.live = self.table
        self.reach = MASK
        self._shift = base.bit_length() - 1
        self._near = 0  # how many entries at the start of the table are the successors
        self._suspects: set[int] | None = None

    def follow(self, successors: Sequence[int], fingers: Iterable[int] = ()) -> None:
        """Take over a new successor list; `fingers` (nodes) come on top of those known."""
        own = self.own
        rest = self.table
        if fingers:
            rest = array("Q", sorted({(node - own) & MASK for node in fingers}.union(rest)))
        table = array("Q", [(node - own) & MASK for node in successors])
        last = table[-1] if table else 0
        for entry in rest:
            if entry > last and self._target_up_to(entry) > last:
                table.append(entry)
                last = entry
        self._near = len(successors)
        self.reach = table[0] if successors else MASK
        self.table = table
        self._refresh()

    def offer(self, node: int) -> None:
        """Keep this node if it is a finger, in place of the one it is nearer than."""
        entry = (node - self.own) & MASK
        table = self.table
        at = bisect_left(table, entry)
        if entry == 0 or at < self._near or (at < len(table) and table[at] == entry):
            return
        if self._target_up_to(entry) <= (table[at - 1] if at else 0):
            return
        table.insert(at, entry)
        if at + 1 < len(table) and self._target_up_to(table[at + 1]) <= entry:
            del table[at + 1]
        self._refresh()

    def drop(self, node: int) -> None:
        """Forget a finger. Successors go by `follow`."""
        entry = (node - self.own) & MASK
        at = bisect_left(self.table, entry)
        if self._near <= at < len(self.table) and self.table[at] == entry:
            del self.table[at]
            self._refresh()

    def learned(self, target: int, owner: int) -> None:
        """A look-up found the owner of the key at distance `target`: nobody is between them."""
        entry = (owner - self.own) & MASK
        table = self.table
        start = max(bisect_left(table, target), self._near)
        end = bisect_left(table, entry) if entry >= target else len(table)
        if start < end:
            del table[start:end]
            self._refresh()
        self.offer(owner)

    def suspect(self, node: int) -> None:
        """Pass nothing to this node while something else is there."""
        if self._suspects is None:
            self._suspects = set()
        self._suspects.add((node - self.own) & MASK)
        self._refresh()

    def trust(self, node: int) -> None:
        """Undo `suspect`."""
        if self._suspects is not None:
            self._suspects.discard((node - self.own) & MASK)
            self._suspects = self._suspects or None
            self._refresh()

    def preceding(self, distance: int, count: int) -> list[int]:
        """Nodes that lie before the given distance, nearest to it first, `count` at most."""
        end = bisect_left(self.live, distance)
        return [(self.own + entry) & MASK for entry in self.live[max(0, end - count) : end][::-1]]

    def nodes(self) -> list[int]:
        """All nodes of the table, nearest first."""
        return [(self.own + entry) & MASK for entry in self.table]

    def next_target(self, distance: int) -> int | None:
        """The first target past this distance and past the last successor, None past the last."""
        distance = max(distance, self.table[self._near - 1] if self._near else 0)
        return next_target(distance, self._shift)

    def validate(self, successors: Sequence[int]) -> None:
        """Raise AssertionError if the table contradicts itself or the successor list."""
        table = list(self.table)
        assert table == sorted(set(table)), "the table is not sorted"
        assert self.nodes()[: self._near] == list(successors), "the table misses a successor"
        for before, entry in zip(table[self._near - 1 :], table[self._near :], strict=False):
            assert self._target_up_to(entry) > before or not self._near, "a finger of no target"

    def _target_up_to(self, distance: int) -> int:
        """The last target at or before this distance (> 0)."""
        digit = (distance.bit_length() - 1) // self._shift * self._shift
        return distance >> digit << digit

    def _refresh(self) -> None:
        suspects = self._suspects
        if suspects is None:
            self.live = self.table
        else:
            first = self.reach  # stays: for what lies just behind it there is nobody else
            self.live = array("Q", [e for e in self.table if e == first or e not in suspects])


def next_target(distance: int, shift: int) -> int | None:
    """The first target past this distance for base 2**shift, None if there is none."""
    if distance == 0:
        return 1
    digit = (distance.bit_length() - 1) // shift * shift
    target = ((distance >> digit) + 1) << digit
    return target if target <= MASK else None
