"""Small rings, all interleavings: Zave's invariant holds, and a quiet ring becomes ideal.

Deeper explorations are in docs/ring.md; run them by hand with explore_ring.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from ring_explorer import Explorer, Violation

from shoal.core.ring.chord import Chord
from shoal.core.ring.membership import Membership, Query
from shoal.core.ring.messages import Leaving

EVERYTHING = 1000  # steps; deeper than any of the spaces that are explored to their end


@dataclass(frozen=True)
class Case:
    """A ring of some of `nodes` positions, and what may happen to it."""

    nodes: int
    length: int
    start: tuple[int, ...]
    joins: int
    losses: int
    depth: int = EVERYTHING
    atomic: bool = True
    small: bool = False

    def __str__(self) -> str:
        grain = "atomic" if self.atomic else "fine"
        return f"{len(self.start)}+{self.joins}-{self.losses}of{self.nodes},L{self.length},{grain}"

    def explore(self) -> bool:
        """Whether all states were explored, and not only those within the depth."""
        nodes = [(i + 1) << 8 for i in range(self.nodes)]
        explorer = Explorer(
            nodes,
            successors=self.length,
            atomic=self.atomic,
            principals=0 if self.small else None,
        )
        alive = [nodes[i] for i in self.start]
        world = explorer.ideal(alive, joins=self.joins, losses=self.losses)
        return explorer.explore(world, self.depth)[1]


CASES = [
    # From the paper's assumption on, L + 1 members at the start, to the end of the space.
    Case(4, 2, (0, 1, 2), joins=1, losses=1),
    Case(4, 2, (0, 1, 2, 3), joins=1, losses=1),
    Case(5, 2, (0, 2, 4), joins=2, losses=0),
    Case(5, 2, (0, 1, 2, 3), joins=1, losses=1),
    Case(5, 2, (0, 1, 2, 3, 4), joins=0, losses=2),
    Case(6, 3, (0, 1, 2, 3), joins=1, losses=1),
    Case(6, 3, (0, 1, 2, 3, 4), joins=1, losses=1),
    # As far as a few seconds go.
    Case(5, 2, (0, 2, 4), joins=2, losses=2, depth=9),
    Case(7, 3, (0, 1, 2, 3, 4, 5, 6), joins=0, losses=2, depth=5),
    Case(7, 3, (0, 2, 4, 6), joins=3, losses=2, depth=6),
    # Questions and answers under way one by one.
    Case(4, 2, (0, 1, 2), joins=1, losses=1, depth=12, atomic=False),
    Case(5, 2, (0, 2, 4), joins=2, losses=1, depth=7, atomic=False),
    Case(6, 3, (0, 1, 2, 3), joins=1, losses=1, depth=8, atomic=False),
    # Rings that begin below the paper's assumption.
    Case(3, 2, (1,), joins=2, losses=0, small=True),
    Case(3, 2, (1,), joins=3, losses=1, small=True),
    Case(4, 2, (1, 2), joins=2, losses=1, depth=10, small=True),
    Case(4, 3, (1, 2), joins=2, losses=1, depth=10, small=True),
    Case(3, 2, (1,), joins=2, losses=1, depth=10, atomic=False, small=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_invariant_holds_and_a_quiet_ring_becomes_ideal(case: Case) -> None:
    assert case.explore() == (case.depth == EVERYTHING)


# Every operation, broken on purpose: the explorer must notice.


def _join_takes_the_list_of_a_later_node(self: Chord, before: int, nodes: Sequence[int]) -> None:
    intact_joined(self, before, nodes[1:])


def _stabilise_keeps_the_dead(self: Membership, node: int) -> None:
    self._proceed()


def _stabilise_drops_one_too_many(self: Membership, node: int) -> None:
    self._adopt(self.successors[2:] or self.successors[1:])
    self._proceed()


def _stabilise_keeps_its_own_tail(self: Membership, chain: Sequence[int]) -> None:
    head = [node for node in chain[:1] if node not in self.successors]
    intact_adopt(self, [*head, *self.successors] if self.successors else chain)


def _any_candidate_is_taken(self: Membership, node: int) -> None:
    if node != self.own and node not in self.successors and self.asking is None:
        self._adopt([node, *self.successors])


def _no_candidate_is_asked(self: Membership, node: int) -> None:
    pass


def _rectify_keeps_the_dead(self: Membership, query: Query) -> None:
    pass


def _rectify_never_changes(self: Membership, candidate: int) -> None:
    pass


def _leave_is_believed_without_asking(self: Membership, node: int, told: Leaving) -> None:
    self.gone(node)


intact_joined = Chord._joined
intact_adopt = Membership._adopt

JOINING = Case(5, 2, (0, 2, 4), joins=2, losses=0)
LOSING = Case(5, 2, (0, 1, 2, 3), joins=1, losses=1)
BOTH = Case(5, 2, (0, 2, 4), joins=2, losses=2, depth=10)

BREAKS = [
    ("join", "_joined", _join_takes_the_list_of_a_later_node, JOINING),
    ("fail: the dead stay", "_successor_silent", _stabilise_keeps_the_dead, LOSING),
    ("fail: the living go", "_successor_silent", _stabilise_drops_one_too_many, LOSING),
    ("stabilise from successor", "_adopt", _stabilise_keeps_its_own_tail, BOTH),
    ("stabilise from predecessor: any", "want", _any_candidate_is_taken, JOINING),
    ("stabilise from predecessor: none", "want", _no_candidate_is_asked, JOINING),
    ("rectify: the dead stay", "_predecessor_silent", _rectify_keeps_the_dead, LOSING),
    ("rectify: nobody is taken", "rectify", _rectify_never_changes, JOINING),
    ("leave", "left", _leave_is_believed_without_asking, BOTH),
]


@pytest.mark.parametrize(
    ("name", "broken", "case"), [b[1:] for b in BREAKS], ids=[b[0] for b in BREAKS]
)
def test_a_broken_operation_is_caught(
    name: str, broken: Callable[..., object], case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Chord if name in vars(Chord) else Membership
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(Violation):
        case.explore()
