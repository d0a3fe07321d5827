"""Rare situations that the runs must have been through, counted."""

from collections import Counter

#: Every probe; CI fails if one is never hit.
PROBES = (
    "two keepers",
    "partial keeper",
    "take-over without the newest copy",
    "hand-over under writes",
    "conflict",
    "returned copy forgets",
    "orphan in the engine",
    "adopted back",
    "superseded while running",
    "torn write",
    "answered by another keeper",
    "refused reservation",
    "stale read",
    "renamed",
    "replaced",
    "create given up",
    "create undone",
    "clock corrected",
    "member rejoined",
)


class Probes:
    """Counts of one run."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def hit(self, probe: str, times: int = 1) -> None:
        assert probe in PROBES, probe
        if times:
            self.counts[probe] += times
