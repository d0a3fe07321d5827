"""`shoal top` against a node of memory: plain, for programs, and live in a terminal."""

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from native_fakes import FakeNode, served, shoal
from rich.console import Console

from shoal.cli.top import table

LINE: dict[str, Any] = {
    "node": "[a]",
    "state": "down",
    "engine_up": False,
    "engine": "28.2.2",
    "cpu_millis": 3900,
    "cpu_millis_capacity": 4000,
    "memory": 1 << 30,
    "memory_capacity": 0,
    "containers": 2,
}


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with served(tmp_path) as node:
        monkeypatch.setenv("SHOAL_HOST", f"unix://{node.socket}")
        yield node


@pytest.mark.parametrize("words", [("top", "--once"), ("top",)])
def test_once_or_without_a_terminal_it_is_one_plain_table(
    node: FakeNode,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    assert shoal(monkeypatch, *words) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == [
        "NODE", "STATE", "ENGINE", "CPU", "CPU%", "MEMORY", "MEM%", "CONTAINERS",
    ]  # fmt: skip
    first = ["a", "up", "28.2.2", "0.5/4", "12%", "512MiB/8GiB", "6%", "2"]
    assert lines[1].split() == first
    assert lines[-1].split()[:3] == ["all", "1/2", "up"]
    assert lines[-1].split()[3:] == first[3:]


def test_programs_get_numbers(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert shoal(monkeypatch, "top", "--json") == 0
    first, second = json.loads(capfd.readouterr().out)
    assert (first["cpu_millis"], first["memory_capacity"], first["containers"]) == (500, 8 << 30, 2)
    assert second["state"] == "down"


def printed(*, no_color: bool, trouble: str = "") -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, no_color=no_color, width=100)
    console.print(table([LINE], trouble))
    return out.getvalue()


def test_colours_show_what_is_down_or_full_unless_unwanted() -> None:
    red, yellow = "\x1b[31m", "\x1b[33m"
    coloured = printed(no_color=False)
    assert f"{red}down" in coloured
    assert f"{red}away" in coloured
    assert f"{yellow}" in coloured
    assert "[a]" in coloured  # a name is no markup
    plain = printed(no_color=True)
    assert red not in plain
    assert yellow not in plain


def test_trouble_is_told_below_the_last_known_table() -> None:
    text = printed(no_color=True, trouble="no answer from [x]")
    assert "no answer from [x]" in text
    assert "3.9/4" in text


def hear_interrupts() -> None:
    """For a child process: tests that run in the background ignore SIGINT, and children would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_in_a_terminal_it_goes_on_until_interrupted(node: FakeNode) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(
        [sys.executable, "-m", "shoal", "top"],
        stdout=theirs,
        stdin=theirs,
        env=environment,
        preexec_fn=hear_interrupts,
    )
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 30
    try:
        while seen.count(b"every 2 s") < 2 and time.monotonic() < deadline:
            seen += os.read(ours, 65536)
        assert seen.count(b"512MiB/8GiB") >= 2
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait(20)
        os.close(ours)
