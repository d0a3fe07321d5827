"""Durations as Docker words them (go-units' HumanDuration)."""

from shoal.engine.times import NANOS


def human_duration(nanos: int) -> str:
    """`3 seconds`, `About an hour`, `2 weeks`."""
    seconds = max(nanos, 0) // NANOS
    minutes, hours = seconds // 60, round(seconds / 3600)
    for bound, text in (
        (seconds < 1, "Less than a second"),
        (seconds == 1, "1 second"),
        (seconds < 60, f"{seconds} seconds"),
        (minutes == 1, "About a minute"),
        (minutes < 60, f"{minutes} minutes"),
        (hours == 1, "About an hour"),
        (hours < 48, f"{hours} hours"),
        (hours < 24 * 7 * 2, f"{hours // 24} days"),
        (hours < 24 * 30 * 2, f"{hours // 24 // 7} weeks"),
        (hours < 24 * 365 * 2, f"{hours // 24 // 30} months"),
    ):
        if bound:
            return text
    return f"{hours // 24 // 365} years"


def short_duration(nanos: int) -> str:
    """`12s`, `3m`, `2h`, `5d`: for one word in a status."""
    seconds = max(nanos, 0) // NANOS
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
