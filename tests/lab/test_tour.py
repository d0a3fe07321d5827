"""README's tour, as it stands: every command of its first console block, in order."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parents[2]


def tour() -> list[str]:
    """The commands of README's first console block."""
    block = re.search(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    return [line[2:] for line in block.group(1).splitlines() if line.startswith("$ ")]


def run(command: str, timeout: float = 240) -> str:
    """Output of a command as a reader of the README would type it."""
    environment = os.environ | {
        "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
        "CI": "true",
    }
    # Run by `make test`, make would tell of the directories that it enters.
    for name in ("SHOAL_HOST", "MAKELEVEL", "MAKEFLAGS", "MFLAGS"):
        environment.pop(name, None)
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def until(command: str, wanted: str, seconds: float = 60) -> str:
    """Repeat a command until its output matches."""
    end = time.monotonic() + seconds
    while True:
        output = run(command)
        if re.search(wanted, output) or time.monotonic() > end:
            assert re.search(wanted, output), f"{command}: no {wanted} in\n{output}"
            return output
        time.sleep(0.5)


@pytest.fixture
def clean_up() -> Iterator[None]:
    if Path("/run/shoal-lab/lab").exists():
        pytest.fail("a demo runs on this machine: end it by `make demo-down`")
    yield
    subprocess.run(["docker", "context", "rm", "-f", "shoal"], capture_output=True, check=False)
    subprocess.run([ROOT / ".venv/bin/shoal", "lab", "down"], capture_output=True, check=False)


def test_the_tour_of_the_readme_works_as_it_stands(clean_up: None) -> None:
    steps = tour()
    demo, context, start, fetch, listing, kill, events, listing_again, why, down = steps
    last_line = run(demo).strip().splitlines()[-1]
    assert last_line == context, "the demo's last line is the tour's next command"
    run(context)
    identifier = run(start).strip()
    assert "Hello from container" in until(fetch + " || true", "Hello from container")
    assert re.search(r"\bweb +b\b", run(listing)), "web runs on b, the one host with its image"
    wait_for_a_second_image()
    run(kill)
    moved = until(listing_again, rf"{identifier[:12]} .*Up .*web +[ac]\b")
    assert "10.9.0.3:8080" not in moved
    assert re.search(r"start web", run(events))
    assert "host b unreachable" in run(why)
    run(down)
    assert "there is no lab" in run("shoal lab status 2>&1 || true")


def wait_for_a_second_image() -> None:
    """The image of a container that may move is on two hosts before long."""
    until(
        "for h in a c; do docker -H unix:///run/shoal-lab/lab/$h/engine.sock images; done",
        "demo/web",
    )
