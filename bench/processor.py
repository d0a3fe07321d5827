"""Processor time that processes used, from /proc."""

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def seconds_of(pid: int) -> float:
    """User and system time of a process."""
    # The program's name in parentheses may hold anything, the numbers come after it.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def seconds_of_all() -> float:
    """What the machine's cores together were busy with, whoever wanted it."""
    return busy(Path("/proc/stat").read_text()) / _TICK


def busy(stat: str) -> int:
    """Ticks in the first line of /proc/stat but idle ones, and those of guests, which are in user
    time already."""
    user, nice, system, _idle, _waiting, *others = map(int, stat.split("\n", 1)[0].split()[1:])
    return user + nice + system + sum(others[:3])
