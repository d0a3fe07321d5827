"""The kinds of charts that a report has. Each takes named series and gives an SVG."""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from shoal.sim.experiments.report.svg import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    frame,
    hover,
    number,
    picture,
    x_axis,
    y_axis,
)

_Item = TypeVar("_Item")


class Series(NamedTuple):
    """A named line; `colour` is its run's number."""

    name: str
    colour: int
    points: Sequence[tuple[float, float]]


class Boxes(NamedTuple):
    """Boxes (`quantiles.BOX`: minimum, quartiles, 95 and 99 percent, maximum) over time."""

    name: str
    colour: int
    at: Sequence[float]
    boxes: Sequence[Sequence[float]]


def lines(title: str, x_label: str, series: Sequence[Series], *, log: bool = False) -> str:
    """Lines over a common axis; with `log` the horizontal one has powers of two, and points are
    marked."""
    drawn = [one for one in series if one.points]
    if not drawn:
        return _nothing(title)
    x = x_axis([at for one in drawn for at, _ in one.points], log=log)
    y = y_axis([value for one in drawn for _, value in one.points])
    parts = frame(x, y, x_label)
    for one in drawn:
        path = "L".join(f"{x.at(at)} {y.at(value)}" for at, value in one.points)
        colour = COLOURS[one.colour % len(COLOURS)]
        parts.append(f'<path class="line {colour}" d="M{path}">{hover(one.name)}</path>')
        if log:
            parts += [
                f'<circle class="dot {colour}" cx="{x.at(at)}" cy="{y.at(value)}" r="3.5">'
                f"{hover(f'{one.name}: {number(value)} at {at:,.0f}')}</circle>"
                for at, value in one.points
            ]
    return picture(parts, title)


def bands(title: str, x_label: str, series: Boxes) -> str:
    """One run: median as a line, quartiles as a band, 99 percent and maximum as thin lines."""
    if not series.boxes:
        return _nothing(title)
    x = x_axis(series.at)
    y = y_axis([box[6] for box in series.boxes])
    colour = COLOURS[series.colour % len(COLOURS)]
    parts = frame(x, y, x_label)
    upper = [f"{x.at(at)} {y.at(box[3])}" for at, box in zip(series.at, series.boxes, strict=True)]
    lower = [f"{x.at(at)} {y.at(box[1])}" for at, box in zip(series.at, series.boxes, strict=True)]
    area = "L".join([*upper, *reversed(lower)])
    parts.append(f'<path class="band {colour}" d="M{area}Z">{hover("quartiles")}</path>')
    for place, name, style in ((2, "median", "line"), (5, "99 %", "thin"), (6, "maximum", "thin")):
        path = "L".join(
            f"{x.at(at)} {y.at(box[place])}"
            for at, box in zip(series.at, series.boxes, strict=True)
        )
        parts.append(f'<path class="{style} {colour}" d="M{path}">{hover(name)}</path>')
    return picture(parts, title)


def bars(title: str, named: Sequence[tuple[str, int, float]]) -> str:
    """One bar for each (name, colour, value)."""
    if not named:
        return _nothing(title)
    y = y_axis([value for _, _, value in named])
    parts = frame(None, y, "")
    for (name, colour, value), centre, width in _columns(named):
        top = y.at(value)
        parts.append(
            f'<rect class="bar {COLOURS[colour % len(COLOURS)]}" x="{centre - width / 2:.1f}" '
            f'y="{top}" width="{width:.1f}" height="{HEIGHT - BOTTOM - top:.1f}" rx="2">'
            f"{hover(f'{name}: {number(value)}')}</rect>"
            f'<text x="{centre:.1f}" y="{top - 3}" text-anchor="middle">{number(value)}</text>'
            + _label(centre, name)
        )
    return picture(parts, title)


def boxes(title: str, named: Sequence[tuple[str, int, Sequence[float]]], *, top: int = 6) -> str:
    """Box plots side by side; whiskers reach from the minimum to quantile number `top`."""
    if not named:
        return _nothing(title)
    y = y_axis([box[top] for _, _, box in named])
    parts = frame(None, y, "")
    for (name, colour, box), centre, width in _columns(named):
        parts.append(_box(y, box, centre, min(width, 60), top, COLOURS[colour % len(COLOURS)]))
        parts.append(_label(centre, name))
    return picture(parts, title)


def _box(y: Axis, box: Sequence[float], centre: float, width: float, top: int, colour: str) -> str:
    low, first, median, third = (y.at(box[i]) for i in range(4))
    high, left = y.at(box[top]), centre - width / 2
    says = f"min {box[0]:g}, quartiles {box[1]:g} {box[2]:g} {box[3]:g}, max {box[6]:g}"
    return (
        f'<g class="{colour}">{hover(says)}'
        f'<path class="thin" d="M{centre:.1f} {low}V{first}M{centre:.1f} {third}V{high}'
        f'M{centre - 8:.1f} {high}h16M{centre - 8:.1f} {low}h16"/>'
        f'<rect class="box" x="{left:.1f}" y="{third}" width="{width:.1f}" '
        f'height="{max(first - third, 1):.1f}"/>'
        f'<path class="line" d="M{left:.1f} {median}h{width:.1f}"/></g>'
    )


def heat(title: str, x_label: str, at: Sequence[float], columns: Sequence[Sequence[float]]) -> str:
    """Use of nodes (rows, the smallest machines at the bottom) over time, 0 to 1."""
    if not columns or not columns[0]:
        return _nothing(title)
    x = Axis(0, max(at), LEFT, WIDTH - RIGHT)
    rows = len(columns[0])
    height = (HEIGHT - TOP - BOTTOM) / rows
    width = x.at(at[0]) - LEFT if len(at) == 1 else x.at(at[-1]) - x.at(at[-2])
    parts = frame(x, Axis(0, 100, HEIGHT - BOTTOM, TOP), x_label)
    for end, column in zip(at, columns, strict=True):
        for row, use in enumerate(column):
            y = HEIGHT - BOTTOM - (row + 1) * height
            parts.append(
                f'<rect class="heat" style="--use:{round(use * 100)}%" '
                f'x="{x.at(end) - width:.1f}" y="{y:.1f}" width="{width + 0.3:.1f}" '
                f'height="{height + 0.3:.1f}"/>'
            )
    return picture(parts, title)


def _columns(items: Sequence[_Item]) -> list[tuple[_Item, float, float]]:
    step = (WIDTH - LEFT - RIGHT) / len(items)
    return [(item, LEFT + step * (i + 0.5), min(step * 0.7, 80)) for i, item in enumerate(items)]


def _label(centre: float, name: str) -> str:
    return (
        f'<text x="{centre:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
        f"{name if len(name) <= 18 else name[:17] + '…'}</text>"
    )


def _nothing(title: str) -> str:
    return picture(
        [f'<text x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">no data</text>'], title
    )
