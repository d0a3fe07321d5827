"""A frame for charts: axes with round numbers, a grid, and marks that say their value on hover."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 560, 280
LEFT, RIGHT, TOP, BOTTOM = 62, 24, 10, 36

COLOURS = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")
"""Classes of the style sheet, one for each run, always in the same order."""


def number(value: float) -> str:
    """A short text: 12.3k, 4.5M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def rounds(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover the range, about `count` of them."""
    if high <= low:
        high = low + 1
    rough = (high - low) / count
    power = 10.0 ** floor(log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    return [step * i for i in range(floor(low / step), ceil(high / step - 1e-9) + 1)]


class Axis:
    """Values on a stretch of pixels; `log` for powers of two, as numbers of nodes are."""

    def __init__(self, low: float, high: float, start: float, end: float, *, log: bool = False):
        self.log = log
        if log:
            # A hundredth of leeway: numbers of nodes are one less than a power of two.
            first = floor(log10(max(low, 1)) / _LOG2 + 0.01)
            last = ceil(log10(max(high, 2)) / _LOG2 - 0.01)
            self.ticks = [2.0**i for i in range(first, max(last, first + 1) + 1)]
        else:
            self.ticks = rounds(low, high)
        self._low, self._high = self._scale(self.ticks[0]), self._scale(self.ticks[-1])
        self._start, self._end = start, end

    def _scale(self, value: float) -> float:
        return log10(max(value, 1e-9)) if self.log else value

    def at(self, value: float) -> float:
        """Pixels of a value."""
        share = (self._scale(value) - self._low) / (self._high - self._low)
        return round(self._start + share * (self._end - self._start), 1)


_LOG2 = log10(2)


def x_axis(values: Sequence[float], *, log: bool = False) -> Axis:
    """The horizontal axis of a chart with these values."""
    return Axis(min(values), max(values), LEFT, WIDTH - RIGHT, log=log)


def y_axis(values: Sequence[float], *, log: bool = False) -> Axis:
    """The vertical axis, from zero unless logarithmic."""
    low = min(values) if log else min(0.0, *values)
    return Axis(low, max(values), HEIGHT - BOTTOM, TOP, log=log)


def frame(x: Axis | None, y: Axis, x_label: str) -> list[str]:
    """Grid, numbers and names of the axes."""
    parts = []
    for tick in y.ticks:
        at = y.at(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4}" text-anchor="end">{number(tick)}</text>')
    if x is not None:
        parts += [
            f'<text x="{x.at(tick)}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
            f"{number(tick)}</text>"
            for tick in x.ticks
        ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="name" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">'
        f"{escape(x_label)}</text>"
    )
    return parts


def picture(parts: Sequence[str], title: str) -> str:
    """The finished chart."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def hover(text: str) -> str:
    """What a mark says when the pointer rests on it."""
    return f"<title>{escape(text)}</title>"
