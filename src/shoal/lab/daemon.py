"""The Shoal daemon of a lab host: its command lines, its processes, whether it is ready."""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shoal.lab import http, processes
from shoal.lab.engine import SOCKET as ENGINE_SOCKET
from shoal.lab.errors import LabError
from shoal.lab.processes import Process
from shoal.lab.spec import HostSpec, Places
from shoal.lab.system import run

RUN_DIR = "/run/shoal"
_SHOAL = (sys.executable, "-m", "shoal")
#: A daemon starts as `python -m shoal VERB` and becomes its own supervisor, run as a file.
_VERBS = frozenset({"create", "join", "daemon"})
_SUPERVISOR = "/node/supervisor.py"


def log_file(places: Places, host: str) -> Path:
    return places.disk(host) / "daemon.log"


def recording(places: Places, host: str) -> Path:
    """Where a daemon that records writes what it hears and decides, on the host's disk."""
    return places.disk(host) / "daemon.rec"


def state_dir(places: Places, host: str) -> Path:
    return places.disk(host) / "shoal"


def _token_file(places: Places, host: str) -> Path:
    return places.disk(host) / "join.token"


def _member_mark(places: Places, host: str) -> Path:
    return places.disk(host) / "is-member"


def is_member(places: Places, host: str) -> bool:
    """Whether the host's daemon has been ready once: from then on it is only restarted."""
    return _member_mark(places, host).exists()


def note_member(places: Places, host: str) -> None:
    """Remember on the host's disk that it belongs to the cloud; its join token is not kept."""
    _member_mark(places, host).touch()
    _token_file(places, host).unlink(missing_ok=True)


def restart_command(places: Places, host: str) -> list[str]:
    return [*_SHOAL, "daemon", "--state-dir", str(state_dir(places, host))]


def create_command(places: Places, host: HostSpec, extra: Sequence[str] = ()) -> list[str]:
    """The command that makes this host the first node of a new cloud."""
    return [*_SHOAL, "create", *_node_options(places, host), *extra]


def join_command(
    places: Places, host: HostSpec, token: str, extra: Sequence[str] = ()
) -> list[str]:
    """The command that joins; the token travels in a file that only root can read."""
    file = _token_file(places, host.name)
    file.touch(mode=0o600)
    file.write_text(token + "\n")
    return [*_SHOAL, "join", "--token-file", str(file), *_node_options(places, host), *extra]


def _node_options(places: Places, host: HostSpec) -> list[str]:
    options = {
        "--name": host.name,
        "--address": host.address,
        "--site": host.site,
        "--state-dir": str(state_dir(places, host.name)),
        "--run-dir": RUN_DIR,
        "--engine": f"unix://{ENGINE_SOCKET}",
    }
    return [word for option in options.items() for word in option]


def new_token(socket: Path) -> str:
    """A join token from the node behind `socket`."""
    done = run([*_SHOAL, "token", "create"], extra={"SHOAL_HOST": f"unix://{socket}"})
    token = done.stdout.strip()
    if not token:
        raise LabError(f"the node behind {socket} gave no join token")
    return token


def is_ready(socket: Path, *, timeout: float = 2.0) -> bool:
    """Whether the daemon says that it serves."""
    try:
        status, body = http.call(socket, "GET", "/v1/status", timeout=timeout)
        return status == 200 and json.loads(body).get("ready") is True
    except (OSError, ValueError):
        return False


def parents(host_processes: Sequence[Process], first: int) -> list[Process]:
    """The daemon's parent process among those of a host whose first process is `first`."""
    return [p for p in host_processes if p.parent == first and is_daemon(p)]


def workers(host_processes: Sequence[Process], first: int) -> list[Process]:
    """The daemon's worker processes: the children of its parent process."""
    above = {p.pid for p in parents(host_processes, first)}
    return [p for p in host_processes if p.parent in above]


def is_daemon(process: Process) -> bool:
    """Whether the process is a daemon's parent process, by its command line."""
    words = process.argv
    starting = "shoal" in words and not _VERBS.isdisjoint(words)
    return starting or any(word.endswith(_SUPERVISOR) for word in words)


def stop(host_processes: Sequence[Process], first: int, *, timeout: float) -> None:
    """Ask the daemon to end and wait; what is left after `timeout` seconds is killed."""
    family = [*parents(host_processes, first), *workers(host_processes, first)]
    processes.send(parents(host_processes, first), signal.SIGTERM)
    processes.end(family, timeout=timeout)
