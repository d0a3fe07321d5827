"""Routes: which fingers are kept, and where messages go."""

import pytest

from shoal.core.ring.circle import MASK
from shoal.core.ring.fingers import Routes, next_target
from shoal.core.ring.ideal import ideal_fingers, ideal_successors
from shoal.core.ring.port import Draw


def targets(base: int) -> list[int]:
    """All targets, as the definition has them."""
    powers = [base**k for k in range(64) if base**k <= MASK]
    return sorted(j * power for power in powers for j in range(1, base))


@pytest.mark.parametrize(("base", "count"), [(2, 64), (4, 96), (16, 240)])
def test_targets_follow_each_other(base: int, count: int) -> None:
    walked = [1]
    while (at := next_target(walked[-1], base.bit_length() - 1)) is not None:
        walked.append(at)
    assert next_target(0, base.bit_length() - 1) == 1
    assert walked == targets(base)
    assert len(walked) == count


def ring_of(size: int, seed: int = 1) -> list[int]:
    draw = Draw(seed)
    return sorted(draw.bits() for _ in range(size))


@pytest.mark.parametrize("base", [2, 4, 16])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 100])
def test_ideal_fingers_are_the_first_nodes_at_the_targets(base: int, size: int) -> None:
    ring = ring_of(size)
    for at, own in enumerate(ring):
        far = sorted((node - own) & MASK for node in ring if node != own)
        owners = [next((d for d in far if d >= t), None) for t in targets(base)]
        fingers = {(own + d) & MASK for d in owners if d is not None}
        wanted = fingers - set(ideal_successors(ring, at, 4))
        assert set(ideal_fingers(ring, at, 4, base)) == wanted


@pytest.mark.parametrize("base", [2, 4, 16])
def test_offers_in_any_order_leave_the_fingers(base: int) -> None:
    """A node that hears of all others keeps exactly its fingers."""
    ring = ring_of(300)
    draw = Draw(5)
    for at in range(0, 300, 60):
        own = ring[at]
        successors = ideal_successors(ring, at, 4)
        routes = Routes(own, base)
        routes.follow(successors)
        rest = [node for node in ring if node != own]
        while rest:
            routes.offer(rest.pop(draw.below(len(rest))))
            routes.validate(successors)
        assert set(routes.nodes()) == {*successors, *ideal_fingers(ring, at, 4, base)}


def test_a_look_up_shows_who_is_gone() -> None:
    routes = Routes(0, 2)
    routes.follow([10, 20], [40, 100, 1000])
    assert routes.nodes() == [10, 20, 40, 100, 1000]
    routes.learned(64, 300)  # the owner of 64 is 300: nobody is between them any more
    assert routes.nodes() == [10, 20, 40, 300, 1000]
    routes.learned(512, 10)  # the owner of 512 is past ourselves
    assert routes.nodes() == [10, 20, 40, 300]


def test_a_former_successor_stays_if_it_is_a_finger() -> None:
    routes = Routes(0, 2)
    routes.follow([10, 20, 40, 41], [100])
    routes.follow([5, 10, 20], [])
    assert routes.nodes() == [5, 10, 20, 40, 100]  # 41 lies behind no target of its own
    routes.drop(40)
    assert routes.nodes() == [5, 10, 20, 100]


def test_suspects_are_passed_over_while_something_else_is_there() -> None:
    routes = Routes(0, 2)
    routes.follow([10, 20], [40, 100])
    assert routes.preceding(101, 2) == [100, 40]
    routes.suspect(100)
    assert routes.preceding(101, 2) == [40, 20]
    routes.suspect(10)
    assert routes.preceding(15, 1) == [10]  # there is nobody else before 15
    routes.trust(100)
    assert routes.preceding(101, 1) == [100]
    routes.trust(10)
    assert list(routes.live) == list(routes.table)


def test_a_node_alone_has_no_way() -> None:
    routes = Routes(7, 2)
    assert routes.reach == MASK
    assert routes.preceding(MASK, 3) == []
    assert routes.next_target(0) == 1
