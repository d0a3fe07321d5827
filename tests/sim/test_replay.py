"""A run depends on its seed and on nothing else."""

import os
import subprocess
import sys

import pytest

from shoal.sim.__main__ import main


def _replay(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "shoal.sim", "replay", str(seed)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", [7, 41, 176])
def test_traces_are_equal_under_different_hash_seeds(seed: int) -> None:
    first = _replay(seed, "0")
    assert len(first.splitlines()) > 500
    assert _replay(seed, "4242") == first


def test_wrong_arguments_say_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay"]) == 2
    assert main(["run", "x"]) == 2
    assert main([]) == 2
    assert "usage: python -m shoal.sim run" in capsys.readouterr().err


def test_a_run_prints_its_probes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "3", "2"]) == 0
    printed = capsys.readouterr().out
    assert "two keepers" in printed
    assert "0 of 2 failed" in printed
