"""Requests from a file of task events in the format of the Google cluster trace (2011).

Comma separated, optionally gzipped, in order of time; of the thirteen columns these are read:
0 time (us), 2 job, 3 index of the task, 5 event, 9 cpu and 10 memory requested, both in parts of
the largest machine. Event 1 (schedule) deploys a task, 2 to 6 (evict, fail, finish, kill, lost)
end it; the others say nothing about what runs.
"""

import csv
import gzip
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path

from shoal.core.discovery.contract import Demand
from shoal.model.errors import ShoalError
from shoal.sim.experiments.workloads import Deploy, Operation, Stop, draw_for

_TIME, _JOB, _TASK, _EVENT, _CPU, _MEMORY = 0, 2, 3, 5, 9, 10
_SCHEDULE, _ENDS = 1, frozenset((2, 3, 4, 5, 6))
_US = 1_000


class Trace:
    """The operations of an event file, from its first event on.

    cores, memory: what 1.0 means in the file (millicores, bytes). fast_percent: the file knows no
    cpu classes, so this share of the tasks, chosen by the seed, asks for class 1.
    """

    __slots__ = ("_groups", "_seed", "_sizes", "_times", "interval")

    def __init__(
        self,
        path: Path,
        *,
        seed: int,
        cores: int,
        memory: int,
        fast_percent: int = 0,
        interval: int = 1_000_000_000,
    ) -> None:
        self.interval = interval
        self._seed = seed
        self._times = array("q")
        self._groups = array("q")
        self._sizes: list[Demand | None] = []
        numbers: dict[tuple[str, str], int] = {}
        first = -1
        for at, task, cpu, share in _events(path):
            first = at if first < 0 else first
            if cpu is None and task not in numbers:
                continue  # it was running before the file begins
            group = numbers.setdefault(task, len(numbers))
            demand = None
            if cpu is not None:
                fast = draw_for(seed, group).below(100) < fast_percent
                demand = Demand(int(fast), ceil(cpu * cores), ceil(share * memory))
            self._times.append((at - first) * _US)
            self._groups.append(group)
            self._sizes.append(demand)

    def operations(self, tick: int) -> Sequence[Operation]:
        """The events of a tick, at their own times."""
        first = bisect_left(self._times, tick * self.interval)
        last = bisect_left(self._times, (tick + 1) * self.interval, lo=first)
        made: list[Operation] = []
        for i in range(first, last):
            at, group, demand = self._times[i], self._groups[i], self._sizes[i]
            if demand is None:
                made.append(Stop(at, group))
            else:
                entry = draw_for(self._seed, group, i).bits()
                made.append(Deploy(at, entry, (demand,), group, 0))
        return made


_Event = tuple[int, tuple[str, str], float | None, float]


def _events(path: Path) -> Iterator[_Event]:
    """(time us, task, cpu or None for an end, memory). Raises ShoalError: unreadable, not such
    a file, not in order."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="ascii", newline="") as file:
            before = 0
            for number, row in enumerate(csv.reader(file), 1):
                event = _event(row, path, number)
                if event is None:
                    continue
                if event[0] < before:
                    raise ShoalError(
                        f"{path}, line {number}: earlier than the line before; sort it by time"
                    )
                before = event[0]
                yield event
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise ShoalError(f"cannot read the events in {path}: {error}") from error


def _event(row: list[str], path: Path, number: int) -> _Event | None:
    try:
        kind = int(row[_EVENT])
        task = (row[_JOB], row[_TASK])
        if kind in _ENDS:
            return int(row[_TIME]), task, None, 0.0
        if kind != _SCHEDULE:
            return None
        return int(row[_TIME]), task, float(row[_CPU] or 0), float(row[_MEMORY] or 0)
    except (IndexError, ValueError):
        raise ShoalError(
            f"{path}, line {number}: not a task event of the Google cluster trace "
            "(13 columns: time, …, job, task, machine, event, …, cpu, memory, …)"
        ) from None
