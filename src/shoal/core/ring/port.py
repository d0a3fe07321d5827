"""What the cores of one node may do to the world, and the numbers they draw.

Nodes are named by their position on the circle (see `circle`), times are monotonic ns.
"""

from typing import Protocol

import msgspec

_MASK = (1 << 64) - 1


class Timer(msgspec.Struct, frozen=True, array_like=True):
    """A wish to be called later. Never cancelled: whoever gets one whose token no longer
    matters ignores it."""

    kind: str
    token: int


class Port(Protocol):
    """One node's way to the others, to the clock and to its own users."""

    @property
    def now(self) -> int:
        """The present time, monotonic ns."""
        ...

    def send(self, to: int, message: object) -> None:
        """Send to a node, best effort. May be called with the node itself as receiver."""
        ...

    def after(self, delay: int, timer: Timer) -> None:
        """Call the core's `fire` with this timer in `delay` ns."""
        ...

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """The answer to a look-up: a key's owner and the nodes after it, () if it failed."""
        ...


class Draw:
    """Splitmix64: the only randomness of cores, so that a seed replays a run."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def bits(self) -> int:
        """64 bits, evenly distributed."""
        self._state = state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)

    def below(self, n: int) -> int:
        """An integer in [0, n); uneven by at most n / 2**64."""
        return self.bits() * n >> 64
