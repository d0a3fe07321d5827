"""What a quiet system converges to: for simulations that start there, and for tests."""

from bisect import bisect_left
from collections.abc import Sequence

from shoal.core.ring.circle import MASK
from shoal.core.ring.fingers import next_target


def ideal_successors(ring: Sequence[int], at: int, count: int) -> list[int]:
    """The `count` nodes after ring[at], fewer in a small ring. `ring` is sorted."""
    size = len(ring)
    return [ring[(at + i) % size] for i in range(1, min(count, size - 1) + 1)]


def ideal_fingers(ring: Sequence[int], at: int, count: int, base: int) -> list[int]:
    """The distinct fingers of ring[at] past its `count` successors. `ring` is sorted."""
    shift = base.bit_length() - 1
    size = len(ring)
    own = ring[at]
    fingers: list[int] = []
    if size <= count + 1:
        return fingers
    distance = (ring[(at + count) % size] - own) & MASK
    while (target := next_target(distance, shift)) is not None:
        finger = ring[bisect_left(ring, (own + target) & MASK) % size]
        distance = (finger - own) & MASK
        if distance < target:  # it went past ourselves: nobody is there
            break
        fingers.append(finger)
    return fingers
