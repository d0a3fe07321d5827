"""Starting a node in the background: fork, wait until it is ready, tell what became of it."""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from shoal.cli.client import Client, is_listening
from shoal.model.errors import Conflict, ShoalError, Unavailable
from shoal.model.options import NodeOptions

READY_SECONDS = 60.0
_LOOK_SECONDS = 0.05
_ANSWER_SECONDS = 2.0


def start_detached(options: NodeOptions, serve: Callable[[], None]) -> int:
    """Run `serve` in a process of its own with its output in the log; returns its pid once the
    node is ready. Raises Conflict when there is one already, Unavailable with the last line of
    the log if it ends or takes too long, and leaves no process behind then."""
    if is_listening(options.native_socket):
        raise Conflict(f"a node runs here already: unix://{options.native_socket}")
    log = _open_log(options)
    start = os.lseek(log, 0, os.SEEK_END)
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _serve_and_exit(log, serve)
    os.close(log)
    try:
        _await_ready(pid, options, start)
    except BaseException:
        _end(pid)
        raise
    return pid


def _open_log(options: NodeOptions) -> int:
    try:
        Path(options.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(options.log_file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    except OSError as error:
        raise Unavailable(f"{options.log_file}: {error.strerror}") from None


def _serve_and_exit(log: int, serve: Callable[[], None]) -> NoReturn:
    """The child: its own session, no terminal, everything it prints in the log."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        serve()
        code = 0
    except ShoalError as error:
        sys.stderr.write(f"shoal: {error.text}\n")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def _await_ready(pid: int, options: NodeOptions, start: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if _is_ready(options.native_socket):
            return
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:
            raise Unavailable(_last_line(options.log_file, start))
        time.sleep(_LOOK_SECONDS)
    raise Unavailable(
        f"the node was not ready within {READY_SECONDS:.0f} s and has been stopped: "
        f"see {options.log_file}"
    )


def _is_ready(socket: str) -> bool:
    try:
        report = Client(socket).call("GET", "/v1/status", timeout=_ANSWER_SECONDS)
    except ShoalError:
        return False
    return report.get("ready") is True


def _last_line(log_file: str, start: int) -> str:
    with open(log_file, "rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").strip().splitlines()
    if lines and lines[-1].startswith("shoal: "):
        return lines[-1].removeprefix("shoal: ")
    return f"the node ended at once: see {log_file}"


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.killpg(pid, signal.SIGTERM)
        for _ in range(100):
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(_LOOK_SECONDS)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
