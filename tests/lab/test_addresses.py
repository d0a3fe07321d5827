"""Nodes on IPv6: they join, and know each other by their addresses in brackets."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

FIRST_PORT, SECOND_PORT = 17440, 17540


def shoal(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *words],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def node_options(root: Path, name: str, port: int) -> list[str]:
    return [
        *("--name", name, "--address", "::1", "--port", str(port), "--detach"),
        *("--state-dir", str(root / name), "--run-dir", str(root / f"run-{name}")),
        *("--engine", f"unix://{root}/no-engine.sock"),
    ]


@pytest.fixture
def root() -> Iterator[Path]:
    """A short path, for the sockets in it; the nodes that live there are ended."""
    with tempfile.TemporaryDirectory(prefix="shoal-v6-", dir="/tmp") as name:
        yield Path(name)
        for status in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if f"{name}/".encode() in status.read_bytes():
                    subprocess.run(["kill", "-9", status.parent.name], check=False)


def test_nodes_join_over_ipv6(root: Path) -> None:
    shoal("create", *node_options(root, "x", FIRST_PORT))
    token = root / "token"
    token.write_text(shoal("-H", f"unix://{root}/run-x/shoal.sock", "token", "create"))
    shoal("join", "--token-file", str(token), *node_options(root, "y", SECOND_PORT))
    listing = shoal("-H", f"unix://{root}/run-x/shoal.sock", "node", "ls", "--json")
    nodes = {node["name"]: node for node in json.loads(listing)}
    assert nodes["y"]["state"] == "up"
    people = shoal("-H", f"unix://{root}/run-y/shoal.sock", "node", "ls")
    assert f"[::1]:{FIRST_PORT}" in people
