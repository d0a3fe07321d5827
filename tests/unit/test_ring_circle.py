"""Arithmetic on the circle, and the numbers that cores draw."""

import pytest

from shoal.core.ring.circle import MASK, SIZE, between, distance, reaches
from shoal.core.ring.port import Draw


def test_distance_goes_clockwise_and_around() -> None:
    assert distance(10, 30) == 20
    assert distance(30, 10) == SIZE - 20
    assert distance(7, 7) == 0
    assert distance(MASK, 0) == 1


@pytest.mark.parametrize(
    ("a", "x", "b", "inside", "owned"),
    [
        (10, 20, 30, True, True),
        (10, 10, 30, False, False),
        (10, 30, 30, False, True),
        (10, 31, 30, False, False),
        (30, 5, 10, True, True),  # around zero
        (30, MASK, 10, True, True),
        (30, 20, 10, False, False),
        (10, 11, 10, True, True),  # the whole circle but its start
        (10, 10, 10, False, True),
        (0, 0, MASK, False, False),
        (MASK, 0, 1, True, True),
    ],
)
def test_between_and_reaches(a: int, x: int, b: int, inside: bool, owned: bool) -> None:
    assert between(a, x, b) is inside
    assert reaches(a, x, b) is owned


def test_draws_replay_from_their_seed() -> None:
    # The published values of splitmix64 for the seed 1234567.
    draw = Draw(1234567)
    assert [draw.bits() for _ in range(3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_draws_below_a_bound_are_even() -> None:
    draw = Draw(1)
    counts = [0] * 10
    for _ in range(10_000):
        counts[draw.below(10)] += 1
    assert all(850 < count < 1150 for count in counts)
