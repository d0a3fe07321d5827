"""A private Docker engine for tests: its own data, socket and no network of its own."""

import asyncio
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

APPLETS = "cat echo env false hostname id ls seq sh sleep stty true tty yes".split()  # noqa: SIM905
IMAGE = "demo/busybox:latest"
START_SECONDS = 60


def can_run() -> str:
    """Why no engine can be started here; "" when one can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in ("dockerd", "docker") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}"
    if not Path("/bin/busybox").exists():
        return "needs /bin/busybox (busybox-static)"
    return ""


@contextmanager
def private_engine() -> Iterator[str]:
    """Socket of an engine that ends with the context. It holds `IMAGE`."""
    # Outside pytest's directories: unix socket paths end at 108 characters.
    root = Path(tempfile.mkdtemp(prefix="shoal-engine-", dir="/tmp"))
    socket = root / "engine.sock"
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "dockerd",
                *("--data-root", str(root / "data"), "--exec-root", str(root / "exec")),
                *("-p", str(root / "pid"), "-H", f"unix://{socket}"),
                *("--bridge=none", "--iptables=false"),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _await_engine(process, socket, root / "log")
        load_busybox(socket)
        yield str(socket)
    finally:
        _end(process, root)


def load_busybox(socket: Path | str, image: str = IMAGE) -> None:
    """Make an image of the machine's busybox."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "root.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add("/bin/busybox", "bin/busybox")
            for applet in APPLETS:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        docker(socket, "import", "-c", 'CMD ["sh"]', str(archive), image)


def docker(socket: Path | str, *words: str, stdin: str = "", check: bool = True) -> str:
    """Output of the docker command."""
    done = subprocess.run(
        ["docker", "-H", f"unix://{socket}", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if check and done.returncode != 0:
        pytest.fail(f"docker {' '.join(words)}: {done.returncode}: {done.stderr}")
    return done.stdout


async def eventually(check: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    """Poll until it is true."""
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - the world has no asyncio.Event
            await asyncio.sleep(0.02)


def _await_engine(process: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        probe = subprocess.run(
            ["docker", "-H", f"unix://{socket}", "version"], capture_output=True, check=False
        )
        if probe.returncode == 0:
            return
        time.sleep(0.2)
    pytest.fail(f"the test's engine did not start: {log.read_text()[-2000:]}")


def _end(process: subprocess.Popen[bytes], root: Path) -> None:
    socket = root / "engine.sock"
    if process.poll() is None:
        names = docker(socket, "ps", "-aq", check=False).split()
        if names:
            docker(socket, "rm", "-f", *names, check=False)
        process.terminate()
        process.wait(timeout=60)
    shutil.rmtree(root, ignore_errors=True)
