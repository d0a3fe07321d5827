"""Arithmetic on the circle of positions 0 .. 2**64-1, where every node and every key has one."""

BITS = 64
SIZE = 1 << BITS
MASK = SIZE - 1


def distance(a: int, b: int) -> int:
    """How far b lies clockwise of a, in [0, SIZE); 0 if they are the same."""
    return (b - a) & MASK


def between(a: int, x: int, b: int) -> bool:
    """Whether x lies strictly between a and b, clockwise.

    With a == b that is the whole circle without a. (Subtracting one makes the empty and the
    full arc come out right with a single comparison.)
    """
    return ((x - a - 1) & MASK) < ((b - a - 1) & MASK)


def reaches(a: int, x: int, b: int) -> bool:
    """Whether x lies after a and not after b: whether node b, with predecessor a, owns key x.

    With a == b that is the whole circle.
    """
    return ((x - a - 1) & MASK) <= ((b - a - 1) & MASK)
