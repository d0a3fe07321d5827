"""The first process of a lab host: makes its private view of the machine, then reaps orphans.

Run as `python -I -S hostinit.py MARKER CONFIG` in new PID, mount, UTS, IPC and network
namespaces. It imports nothing of the project, so that a host is up in milliseconds. It
prints "ready" and stays: when it is killed, the kernel ends every process of the host, which
is what a power cut does.

CONFIG is a JSON file: hostname, sockets (directory on the machine that becomes /run/shoal),
disk, keep (paths to remain visible although they lie under /run or /tmp), nameserver and
hosts (lines of /etc/hosts).
"""

import ctypes
import json
import os
import signal
import socket
import sys
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_MOVE = 2, 4, 4096, 8192
_PRIVATE = ("/run", "/tmp")  # noqa: S108 - mount points, no file of ours


def mount(source: str, target: str, kind: str = "", *, flags: int = 0, options: str = "") -> None:
    """mount(2); raises OSError naming the target."""
    arguments = (source.encode(), target.encode(), kind.encode() or None, flags)
    if _LIBC.mount(*arguments, options.encode() or None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def prepare(config: dict[str, object]) -> None:
    """Give the host its own /proc, /run, /tmp, /etc and name."""
    socket.sethostname(str(config["hostname"]))
    mount("proc", "/proc", "proc", flags=_MS_NOSUID | _MS_NODEV)
    for target in _PRIVATE:
        _replace_by_private(target, config)
    for directory in ("/etc", "/opt"):
        _cover(directory)
    _fill_etc(config)


def _replace_by_private(target: str, config: dict[str, object]) -> None:
    """Put an empty tmpfs over `target`, with what must stay visible bound into it."""
    stage = f"{config['disk']}/stage"
    Path(stage).mkdir(exist_ok=True)
    mount("tmpfs", stage, "tmpfs", flags=_MS_NOSUID | _MS_NODEV, options="mode=1777")
    keep = config["keep"]
    assert isinstance(keep, list)
    for path in keep:
        if Path(path).is_relative_to(target):
            inner = stage + path[len(target) :]
            Path(inner).mkdir(parents=True, exist_ok=True)
            mount(path, inner, flags=_MS_BIND)
    if target == "/run":
        Path(stage).chmod(0o755)
        Path(stage, "shoal").mkdir()
        mount(str(config["sockets"]), f"{stage}/shoal", flags=_MS_BIND)
        Path(stage, "docker.sock").symlink_to("/run/shoal/engine.sock")
    # Moved in one step: there is no moment in which the target is half made.
    mount(stage, target, flags=_MS_MOVE)


def _cover(directory: str) -> None:
    """Let the host write to `directory` without the machine seeing it."""
    if not Path(directory).is_dir():
        return
    upper, work = Path(f"/run/cover{directory}/upper"), Path(f"/run/cover{directory}/work")
    upper.mkdir(parents=True)
    work.mkdir()
    options = f"lowerdir={directory},upperdir={upper},workdir={work}"
    mount("overlay", directory, "overlay", options=options)


def _fill_etc(config: dict[str, object]) -> None:
    resolver = Path("/etc/resolv.conf")
    resolver.unlink(missing_ok=True)
    # The host itself, where nothing listens: look-ups fail at once and never leave the lab.
    resolver.write_text(f"nameserver {config['nameserver']}\n")
    Path("/etc/hostname").write_text(f"{config['hostname']}\n")
    Path("/etc/hosts").write_text(str(config["hosts"]))
    # The engine keeps its identity here; it must outlive a power-off and differ per host.
    identity = Path(str(config["disk"]), "etc-docker")
    identity.mkdir(exist_ok=True)
    Path("/etc/docker").mkdir(exist_ok=True)
    mount(str(identity), "/etc/docker", flags=_MS_BIND)


def reap_forever() -> None:
    """Collect orphans, as pid 1 must."""
    waiting = {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            pass
        signal.sigwait(waiting)


def main() -> None:
    config = json.loads(Path(sys.argv[2]).read_text())
    os.umask(0o022)
    prepare(config)
    os.chdir("/")
    os.write(1, b"ready\n")
    # Nobody reads our output from here on; a full pipe must not stop the host.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    reap_forever()


if __name__ == "__main__":
    main()
