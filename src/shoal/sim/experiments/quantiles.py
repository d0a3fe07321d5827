"""Order statistics of many numbers."""

from collections.abc import Sequence

BOX = (0.0, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
"""The quantiles of a box: minimum, quartiles, the 95th and 99th percent, maximum."""


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; 0 of none."""
    if not ordered:
        return 0
    rank = -(-len(ordered) * share // 1)  # ceil
    return ordered[max(int(rank) - 1, 0)]


def box(values: Sequence[float]) -> list[float]:
    """The values at `BOX`, then the mean."""
    ordered = sorted(values)
    mean = round(sum(ordered) / len(ordered), 4) if ordered else 0
    return [*(quantile(ordered, share) for share in BOX), mean]


def spread(values: Sequence[float]) -> dict[str, float]:
    """The same by name, for summaries."""
    low, _, median, _, p95, p99, high, mean = box(values)
    return {"mean": mean, "min": low, "median": median, "p95": p95, "p99": p99, "max": high}
