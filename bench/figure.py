"""One figure of the bench, and the table that people read."""

import statistics
from collections.abc import Sequence

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """`baseline` is what the best peer reached; `gate` what a release must hold, `met` whether
    it does (null: reported only)."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    gate: float | None = None
    met: bool | None = None


def figure(
    name: str,
    value: float,
    unit: str,
    *,
    baseline: float | None = None,
    gate: float | None = None,
    more_is_better: bool = False,
) -> Figure:
    met = None
    if gate is not None:
        met = value >= gate if more_is_better else value <= gate
    return Figure(
        name=name,
        value=round(value, 3),
        unit=unit,
        baseline=None if baseline is None else round(baseline, 3),
        ratio=round(value / baseline, 3) if baseline else None,
        gate=gate,
        met=met,
    )


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(figures: Sequence[Figure]) -> str:
    """Aligned columns, one line a figure."""
    rows = [("FIGURE", "VALUE", "UNIT", "BASELINE", "RATIO", "GATE", "MET")]
    words = {True: "yes", False: "NO", None: ""}
    rows += [
        (
            one.name,
            _number(one.value),
            one.unit,
            _number(one.baseline),
            _number(one.ratio),
            _number(one.gate),
            words[one.met],
        )
        for one in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    right = {1, 3, 4, 5}
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
