"""Docker's timestamps (RFC 3339, up to nanoseconds) as integer nanoseconds since 1970."""

import re
import time
from datetime import UTC, datetime

NANOS = 10**9
#: How Docker writes "never".
NEVER = "0001-01-01T00:00:00Z"

_FORM = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)?\Z")


def boot_time() -> int:
    """The clock for waiting: monotonic ns, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def parse_time(text: str) -> int:
    """Nanoseconds since 1970; 0 for "never". Raises ValueError."""
    match = _FORM.match(text)
    if match is None:
        raise ValueError(f"not a timestamp: {text!r}")
    seconds, fraction, zone = match.groups()
    if seconds.startswith("0001-"):
        return 0
    moment = datetime.fromisoformat(seconds + (zone or "Z"))
    return int(moment.timestamp()) * NANOS + int((fraction or "0").ljust(9, "0"))


def format_time(nanos: int) -> str:
    """As Docker writes it: UTC with nine digits; 0 is "never"."""
    if not nanos:
        return NEVER
    seconds, rest = divmod(nanos, NANOS)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
