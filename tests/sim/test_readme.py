"""README's commands for the simulator, as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands() -> list[str]:
    """Those of the block that begins with `shoal sim run`."""
    for block in re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL):
        lines = [line.removeprefix("$ ") for line in block.splitlines()]
        if lines[0].startswith("shoal sim run"):
            return lines
    raise AssertionError("README has no block for the simulator")


def test_the_simulator_runs_as_the_readme_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    beside_python = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{beside_python}:{os.environ['PATH']}"}
    printed = [
        subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        ).stdout
        for command in commands()
    ]
    _, compared, _ = printed
    for word in ("central", "multiple-updates", "random", "success / allocation efficiency"):
        assert word in compared
    assert "<svg" in (tmp_path / "report.html").read_text()
