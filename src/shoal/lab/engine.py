"""The container engine of a lab host: how it is started, and whether it answers."""

import json
from pathlib import Path

from shoal.lab import http
from shoal.lab.cgroups import parent
from shoal.lab.errors import LabError
from shoal.lab.processes import Process
from shoal.lab.spec import Places

#: Where the engine's socket lies inside every host.
SOCKET = "/run/shoal/engine.sock"
PROGRAM = "dockerd"


def command(places: Places, host: str) -> list[str]:
    """The engine's command line inside the host; all its data lie on the host's disk.

    cgroupfs and an own parent: a host has no systemd, and what a killed host leaves behind is
    found by its name. The machine's own engine configuration is not read.
    """
    disk = places.disk(host)
    return [
        PROGRAM,
        f"--config-file={disk / 'engine.json'}",
        f"--host=unix://{SOCKET}",
        f"--data-root={disk / 'engine'}",
        "--log-level=warn",
        "--exec-root=/run/docker",
        "--pidfile=/run/docker.pid",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--cgroup-parent={parent(places.lab, host)}",
    ]


def is_engine(process: Process) -> bool:
    return bool(process.argv) and Path(process.argv[0]).name == PROGRAM


def prepare(places: Places, host: str, *, network: str) -> None:
    """Write the configuration that keeps the engine off the machine's. A registry in the lab's
    own `network` (CIDR) needs no certificate, as with Docker one on the machine itself."""
    config = {"insecure-registries": [network]}
    (places.disk(host) / "engine.json").write_text(json.dumps(config) + "\n")


def log_file(places: Places, host: str) -> Path:
    return places.disk(host) / "engine.log"


def is_up(socket: Path, *, timeout: float = 2.0) -> bool:
    return http.answers(socket, "/_ping", timeout=timeout)


def load(socket: Path, archive: Path) -> None:
    """Load images from a `docker save` archive; raises LabError with the engine's complaint."""
    with archive.open("rb") as body:
        status, answer = http.call(
            socket,
            "POST",
            "/images/load?quiet=1",
            body=body,
            headers={"Content-Type": "application/x-tar"},
            timeout=120,
        )
    if status != 200 or b'"errorDetail"' in answer:
        raise LabError(f"{archive} was not loaded: {answer.decode(errors='replace').strip()}")
