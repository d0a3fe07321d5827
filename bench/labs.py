"""Labs for the bench: made for one row, gone after it, whatever happens."""

import io
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from shoal.lab import Lab, LabError
from shoal.lab.http import call

Result = TypeVar("Result")

IMAGE = "busybox"
SLEEP = ["sleep", "100000"]

_ROOT = Path(__file__).parents[1]
_numbers = itertools.count()


@contextmanager
def lab_of(hosts: int, *, daemons: bool = True) -> Iterator[Lab]:
    """A lab whose engines all have the demo images."""
    lab = Lab(f"b{os.getpid() % 1_000_000}x{next(_numbers)}")
    with tempfile.TemporaryDirectory() as directory:
        archive = Path(directory, "demo.tar")
        subprocess.run([sys.executable, _ROOT / "images" / "build.py", archive], check=True)
        try:
            yield lab.up(hosts=hosts, daemons=daemons, images=[archive], images_on="all")
        finally:
            lab.down()


def ask(socket: Path, method: str, path: str, body: Any = None, *, timeout: float = 60.0) -> Any:
    """The JSON answer of an API behind a socket, None for an empty one. Raises LabError when it
    refuses, OSError when nobody answers."""
    data = None if body is None else io.BytesIO(json.dumps(body).encode())
    headers = {"Content-Type": "application/json"}
    status, answer = call(socket, method, path, body=data, headers=headers, timeout=timeout)
    if status >= 400:
        raise LabError(f"{path} answered {status}: {answer[:300].decode(errors='replace')}")
    return json.loads(answer) if answer[:1] in (b"{", b"[") else None


def until(
    what: str, probe: Callable[[], Result], *, timeout: float = 60.0, pause: float = 0.05
) -> Result:
    """Poll until `probe` gives something true. What fails on the way counts as not yet."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            last = found = probe()
            if found:
                return found
        except (LabError, OSError, KeyError) as error:
            last = error
        time.sleep(pause)
    raise LabError(f"not within {timeout:.0f} s: {what} (last: {last!r})")


def whole(lab: Lab) -> bool:
    """Whether every host sees every other one up, with its engine."""
    return all(
        node["state"] == "up" and node["engine"]["up"]
        for host in lab.hosts
        for node in ask(host.shoal_socket, "GET", "/v1/nodes", timeout=5)
    )


def running(engine: Path, label: str) -> list[Any]:
    """What an engine lists of its running containers with a label; [] if it does not answer."""
    filters = quote(json.dumps({"label": [label], "status": ["running"]}))
    try:
        found: list[Any] = ask(engine, "GET", f"/containers/json?filters={filters}", timeout=5)
    except OSError:
        return []
    return found


def progress(line: str) -> None:
    sys.stderr.write(f"  {line}\n")
    sys.stderr.flush()


def spread(values: list[float], unit: str) -> None:
    """Show all that was measured for one figure."""
    progress(f"{unit}: " + ", ".join(f"{value:.3g}" for value in sorted(values)))
