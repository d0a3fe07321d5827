"""Hybrid logical clock: stamps that grow, follow the wall clock, and respect causality.

After Kulkarni et al., "Logical Physical Clocks" (2014). A stamp is 41 bits of milliseconds
since 2025-01-01 UTC and a 12-bit counter, so it stays exact as a JSON number.
"""

EPOCH_MS = 1_735_689_600_000
COUNTER_BITS = 12
#: How far (ms) a clock may stand off its peers' median before it stamps by the median.
TOLERANCE_MS = 5_000
_MAX_PEERS = 64


def stamp_of(wall_ns: int) -> int:
    """The first stamp of a wall clock time (ns since 1970)."""
    return max(0, wall_ns // 1_000_000 - EPOCH_MS) << COUNTER_BITS


def wall_of(stamp: int) -> int:
    """Wall clock time (ns since 1970) of a stamp, to the millisecond."""
    return ((stamp >> COUNTER_BITS) + EPOCH_MS) * 1_000_000


class HybridClock:
    """Stamps of one node. `last` is the highest stamp seen or given so far."""

    def __init__(self, last: int = 0) -> None:
        self.last = last
        self._offsets_ms: dict[str, int] = {}

    def stamp(self, wall_ns: int) -> int:
        """A stamp above every one given or observed."""
        self.last = max(self.last + 1, stamp_of(wall_ns + self.offset_ms() * 1_000_000))
        return self.last

    def observe(self, stamp: int) -> None:
        """Take note of a stamp made elsewhere."""
        self.last = max(self.last, stamp)

    def heard(self, peer: str, peer_wall_ns: int, wall_ns: int) -> None:
        """Take note of a peer's wall clock, as it was when its message left."""
        if peer not in self._offsets_ms and len(self._offsets_ms) >= _MAX_PEERS:
            return
        self._offsets_ms[peer] = (peer_wall_ns - wall_ns) // 1_000_000

    def offsets_ms(self) -> dict[str, int]:
        """How far (ms) each peer's clock was ahead when it was last heard, less the way here."""
        return dict(self._offsets_ms)

    def offset_ms(self) -> int:
        """How far (ms) stamps are moved off the own wall clock, after the peers' median."""
        if not self._offsets_ms:
            return 0
        # The own clock takes part with offset 0: of two, nobody can say which one is wrong.
        offsets = sorted([0, *self._offsets_ms.values()])
        offset = offsets[(len(offsets) - 1) // 2]
        return offset if abs(offset) > TOLERANCE_MS else 0
