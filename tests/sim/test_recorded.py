"""Recordings: a node's core decides the same again when it is told the same again."""

import io
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from shoal.cli.recordings import replay as replay_command
from shoal.core.events import Now
from shoal.core.node import NodeCore, Stored
from shoal.core.placement import ranking
from shoal.core.recording import Began, Stepped, read_frames, write_frame
from shoal.model.errors import Unavailable
from shoal.model.node import NodeInfo
from shoal.node.recording import RecordedCore, open_recording
from shoal.sim import host as sim_host
from shoal.sim.faults import Plan
from shoal.sim.recorded import replay
from shoal.sim.run import run

PLAN = Plan(11, 4, ("partition", "power"), 2.0, 20_000_000_000, 30_000_000_000, 1.0, 0.5)


@pytest.fixture(scope="module")
def recordings() -> list[bytes]:
    """Of every node of a small cloud whose nodes lost power and each other."""
    files: dict[str, io.BytesIO] = defaultdict(io.BytesIO)

    def recorded(now: Now, cloud: str, own: NodeInfo, stored: Stored, **given: Any) -> NodeCore:
        return RecordedCore(files[own.id], now, cloud, own, stored, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sim_host, "NodeCore", recorded)
        assert not run(PLAN).wrong
    return [file.getvalue() for file in files.values()]


def test_every_decision_is_made_again(recordings: list[bytes]) -> None:
    results = [replay(read_frames(data)) for data in recordings]
    assert len(results) == PLAN.nodes
    assert all(result.steps > 100 for result in results)
    assert sum(result.lives for result in results) > PLAN.nodes
    assert sum(result.decisions for result in results) > 10
    assert [(r.unlike, r.differences) for r in results] == [(0, [])] * PLAN.nodes


def test_code_that_decides_otherwise_is_seen(
    recordings: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    best_first = ranking.rank
    monkeypatch.setattr(
        "shoal.core.keeper.reconciler.rank",
        lambda *args, **limits: best_first(*args, **{**limits, "limit": 4})[::-1],
    )
    results = [replay(read_frames(data)) for data in recordings]
    difference = next(result.differences[0] for result in results if result.differences)
    assert difference.recorded != difference.replayed


def test_a_frame_cut_short_ends_the_recording(recordings: list[bytes]) -> None:
    whole = list(read_frames(recordings[0]))
    assert list(read_frames(recordings[0][:-3])) == whole[:-1]


def test_a_recording_begins_with_a_start(recordings: list[bytes]) -> None:
    frames = list(read_frames(recordings[0]))
    assert isinstance(frames[0], Began)
    step = next(frame for frame in frames if isinstance(frame, Stepped))
    with pytest.raises(ValueError, match="begin with the start"):
        replay(read_frames(write_frame(step)))


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    for text in ("", "host\n", "four bytes of length, and these say that much is to come"):
        file.write_text(text)
        refused = CliRunner().invoke(replay_command, [str(file)])
        assert refused.exit_code == 1
        assert "notes is no recording: make one by `shoal lab up --record`" in refused.output


def test_only_its_owner_reads_a_recording(tmp_path: Path) -> None:
    with open_recording(tmp_path / "a.rec"):
        assert os.stat(tmp_path / "a.rec").st_mode & 0o777 == 0o600
    with pytest.raises(Unavailable, match=r"cannot record to .*: No such file"):
        open_recording(tmp_path / "none" / "a.rec")
