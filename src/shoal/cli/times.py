"""Spans and points in time as users write them."""

import re
import time
from datetime import datetime
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[smhd])+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNIX = re.compile(r"(\d+)(?:\.(\d{1,9}))?\Z")
_BILLION = 1_000_000_000


def span_seconds(text: str) -> float | None:
    """`1h30m` or `7d` in seconds; None when it is no span."""
    if not _SPAN.match(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def span_words(length: int) -> str:
    """A length of time (ns) in its largest unit: `59s`, `12m`, `3h`, `7d`."""
    seconds = max(length, 0) // _BILLION
    unit = next((unit for unit in reversed(_UNITS) if seconds >= _UNITS[unit]), "s")
    return f"{seconds // _UNITS[unit]}{unit}"


def point_ns(text: str, now: int) -> int | None:
    """A point in time as Docker takes it, in wall clock ns: a span before `now`, seconds since
    1970, or an RFC 3339 date or time (local where it has no zone). None when it is neither."""
    span = span_seconds(text)
    if span is not None:
        return now - int(span * _BILLION)
    if unix := _UNIX.match(text):
        return int(unix[1]) * _BILLION + int((unix[2] or "").ljust(9, "0"))
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1_000_000) * 1000
    except ValueError:
        return None


class Span(click.ParamType[int]):
    """Whole seconds from `90s`, `1h30m`, `7d`."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        seconds = span_seconds(str(value))
        if not seconds or seconds < 1:
            self.fail(f"`{value}` is not a span such as 30m, 12h or 7d", param, ctx)
        return int(seconds)


class Point(click.ParamType[int]):
    """Wall clock ns from `10m` (ago), 1735689600 or 2025-01-01T00:00:00Z."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        point = point_ns(str(value), time.time_ns())
        if point is None:
            self.fail(f"`{value}` is neither 10m (ago) nor 2025-01-01T12:00:00Z", param, ctx)
        return point
