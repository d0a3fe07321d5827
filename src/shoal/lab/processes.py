"""Finding the lab's processes on the machine from what the machine itself says (/proc).

Nothing is remembered between commands: a process belongs to a lab because its command line
carries the lab's marker, or because it lives in the PID namespace of one that does.
"""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from shoal.lab.errors import LabError
from shoal.lab.system import wait_until

_PROGRAMS = ("/hostinit.py", "/relay.py")


class Process(NamedTuple):
    """A process as the machine sees it. `started` (clock ticks) tells it from a later one
    with the same pid; `stopped` is true under SIGSTOP."""

    pid: int
    parent: int
    started: int
    stopped: bool
    argv: tuple[str, ...]


def marked(marker: str) -> list[Process]:
    """Processes of the lab whose arguments include `marker`; one with a closing "/" stands for
    all that begin so. Only our own programs count, not a grep for the marker."""
    return [p for p in _all() if _runs_ours(p) and any(_fits(word, marker) for word in p.argv)]


def _runs_ours(process: Process) -> bool:
    return any(word.endswith(_PROGRAMS) for word in process.argv)


def _fits(word: str, marker: str) -> bool:
    return word.startswith(marker) if marker.endswith("/") else word == marker


def in_pid_namespace_of(pid: int) -> list[Process]:
    """Processes directly in the PID namespace of `pid` (not in those nested within it)."""
    namespace = _pid_namespace(pid)
    if namespace is None:
        return []
    return [p for p in _all() if _pid_namespace(p.pid) == namespace]


def is_first_of_namespace(process: Process) -> bool:
    """Whether the process is pid 1 of a PID namespace of its own."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            numbers = line.split()[1:]
            return len(numbers) > 1 and numbers[-1] == "1"
    return False


def read(pid: int) -> Process | None:
    """The process, or None when it is gone or a zombie.

    Its arguments are empty for a moment while it starts another program, and while it ends.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    # The name in brackets may itself hold spaces and brackets.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    words = arguments.rstrip(b"\0").split(b"\0")
    argv = tuple(word.decode(errors="replace") for word in words if word)
    return Process(pid, int(fields[1]), int(fields[19]), fields[0] == "T", argv)


def send(processes: Iterable[Process], number: signal.Signals) -> None:
    """Signal each process that still is the one meant."""
    for process in processes:
        now = read(process.pid)
        if now is not None and now.started == process.started:
            try:
                os.kill(process.pid, number)
            except ProcessLookupError:
                continue


def kill(processes: Iterable[Process], *, timeout: float = 20.0) -> None:
    """SIGKILL and wait until they are gone; raises LabError if one stays."""
    victims = list(processes)
    send(victims, signal.SIGKILL)
    wait_until(
        f"the end of processes {[p.pid for p in victims]}",
        lambda: not any(_same_lives(p) for p in victims),
        timeout=timeout,
    )


def end(victims: Iterable[Process], *, timeout: float) -> None:
    """Wait until processes that were asked to stop have stopped; then kill what is left."""
    left = list(victims)
    with suppress(LabError):
        wait_until("the end", lambda: not any(_same_lives(p) for p in left), timeout=timeout)
    kill(left)


def _same_lives(process: Process) -> bool:
    now = read(process.pid)
    return now is not None and now.started == process.started


def _all() -> Iterator[Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            process = read(int(entry))
            if process is not None:
                yield process


def _pid_namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None
