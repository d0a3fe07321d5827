"""Running the system's tools (ip, nft, nsenter) and saying plainly when one fails."""

import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from shoal.lab.errors import LabError

TOOLS = ("ip", "nft", "nsenter", "unshare", "setsid", "mount", "umount", "dockerd", "docker")
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def require_tools() -> None:
    """Raise LabError unless this is Linux, we are root and every tool of the lab is there."""
    if not hasattr(os, "geteuid") or not Path("/proc/self/ns/pid").exists():
        raise LabError("the lab needs Linux with namespaces; this is another system")
    if os.geteuid() != 0:
        raise LabError("the lab needs root to make namespaces: run the same command with sudo")
    missing = [tool for tool in TOOLS if shutil.which(tool, path=search_path()) is None]
    if missing:
        raise LabError(f"the lab misses {', '.join(missing)}: run `python3 scripts/preflight.py`")


def search_path() -> str:
    """PATH with the administrators' directories, which a sudo-less root shell may lack."""
    return f"{os.environ.get('PATH', '/usr/bin:/bin')}:{_SBIN}"


def environment() -> dict[str, str]:
    """The environment for programs of the lab: ours, without what points clients elsewhere."""
    dropped = {"DOCKER_HOST", "DOCKER_CONTEXT", "SHOAL_HOST", "SHOAL_VCLUSTER", "NOTIFY_SOCKET"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    return kept | {"PATH": search_path()}


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    check: bool = True,
    timeout: float = 30.0,
    extra: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a tool, `extra` added to its environment; raises LabError with its first line of
    complaint when it fails."""
    try:
        done = subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            env=environment() | dict(extra or {}),
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"`{' '.join(argv)}` did not end within {timeout:.0f} s") from None
    except FileNotFoundError:
        raise LabError(f"the lab misses {argv[0]}: run `python3 scripts/preflight.py`") from None
    if check and done.returncode != 0:
        complaint = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise LabError(f"`{' '.join(argv)}` failed: {complaint[0]}")
    return done


def spawn(argv: Sequence[str], what: str, *, timeout: float = 20.0) -> None:
    """Start a process that outlives us, and wait until it prints "ready".

    Raises LabError with what it said instead.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(),
        start_new_session=True,
    )
    # Whoever starts a process must collect it, or it stays a zombie as long as we live.
    threading.Thread(target=process.wait, daemon=True).start()
    assert process.stdout is not None
    with process.stdout as output:
        readable, _, _ = select.select([output], [], [], timeout)
        said = os.read(output.fileno(), 4096).decode(errors="replace").strip() if readable else ""
    if said != "ready":
        process.kill()
        last = said.splitlines()[-1] if said else f"nothing within {timeout:.0f} s"
        raise LabError(f"{what} did not start; it said: {last}")


def wait_until(what: str, true: Callable[[], bool], *, timeout: float, pause: float = 0.02) -> None:
    """Poll until `true()`; raises LabError saying `what` did not happen in `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not true():
        if time.monotonic() > deadline:
            raise LabError(f"{what} did not happen within {timeout:.0f} s")
        time.sleep(pause)
