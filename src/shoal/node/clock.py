"""The time as cores take it."""

import time

from shoal.core.events import Now


def now() -> Now:
    """CLOCK_BOOTTIME for waiting: it goes on while the machine sleeps."""
    return Now(time.clock_gettime_ns(time.CLOCK_BOOTTIME), time.time_ns())
