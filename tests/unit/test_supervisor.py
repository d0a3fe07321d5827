"""The parent process with real workers, its times shortened."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from shoal.node.supervisor import FATAL, Limits, _Watch

QUICK = """
import sys
from shoal.node.supervisor import Limits, Supervisor
sys.exit(Supervisor(sys.argv[1:], Limits(
    start=30, loop=2.0, disk=3.0, stop=1.0, pause_first=0.05, pause_most=0.1)).run())
"""

BEATING = """
import asyncio, os, sys, time
from shoal.node.heartbeat import beat, heartbeat_descriptor
import shoal.node.heartbeat as heartbeat
heartbeat.INTERVAL = 0.1
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file)
starts = len(open(sys.argv[1]).readlines())
"""


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def supervised(tmp_path: Path, body: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    pids = tmp_path / "pids"
    pids.touch()
    worker = [sys.executable, "-c", BEATING + body, str(pids)]
    with subprocess.Popen(
        [sys.executable, "-c", QUICK, *worker], stderr=subprocess.PIPE, text=True
    ) as parent:
        try:
            yield parent, pids
        finally:
            parent.kill()
            for pid in started(pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def started(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().split()]


def ended(parent: subprocess.Popen[str]) -> tuple[int, str]:
    assert parent.stderr is not None
    code = parent.wait(timeout=30)
    return code, parent.stderr.read()


FOREVER = "asyncio.run(beat(heartbeat_descriptor(), lambda: 0.0))\n"


def test_a_normal_end_and_a_hopeless_one_are_final(tmp_path: Path) -> None:
    for code in (0, FATAL):
        body = f"os.write(heartbeat_descriptor(), b'L'); sys.exit({code})"
        with supervised(tmp_path, body) as (parent, _):
            assert ended(parent)[0] == code


def test_a_worker_that_never_came_up_is_not_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path, "sys.exit(3)") as (parent, pids):
        assert ended(parent)[0] == 3
        assert len(started(pids)) == 1


def test_a_crash_is_followed_by_a_restart(tmp_path: Path) -> None:
    body = """
os.write(heartbeat_descriptor(), b'L')
sys.exit(7 if starts < 3 else 0)
"""
    with supervised(tmp_path, body) as (parent, pids):
        code, said = ended(parent)
        assert code == 0
        assert len(started(pids)) == 3
        assert said.count("ended (exit code 7); starting it again") == 2


def test_a_stopped_worker_is_killed_and_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path, FOREVER) as (parent, pids):
        until(lambda: len(started(pids)) == 1)
        time.sleep(0.5)
        os.kill(started(pids)[0], signal.SIGSTOP)
        until(lambda: len(started(pids)) == 2)
        parent.terminate()
        assert "its event loop was silent" in ended(parent)[1]


def test_a_blocked_loop_is_ended(tmp_path: Path) -> None:
    body = """
async def main():
    task = asyncio.create_task(beat(heartbeat_descriptor(), lambda: 0.0))
    await asyncio.sleep(0.3)
    if starts == 1:
        time.sleep(60)
    task.cancel()
asyncio.run(main())
"""
    with supervised(tmp_path, body) as (parent, pids):
        code, said = ended(parent)
        assert code == 0
        assert len(started(pids)) == 2
        assert "its event loop was silent for 2 s" in said


def test_a_stalled_disk_is_ended(tmp_path: Path) -> None:
    body = """
asyncio.run(beat(heartbeat_descriptor(), lambda: 60.0 if starts == 1 else sys.exit(0)))
"""
    with supervised(tmp_path, body) as (parent, _):
        code, said = ended(parent)
        assert code == 0
        assert "its disk writer was silent for 3 s" in said


def test_signals_reach_the_worker_and_an_unwilling_one_is_killed(tmp_path: Path) -> None:
    kind = """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
"""
    with supervised(tmp_path, kind + FOREVER) as (parent, pids):
        until(lambda: len(started(pids)) == 1)
        time.sleep(0.5)
        parent.terminate()
        code, said = ended(parent)
        assert (code, said) == (0, "")
        assert len(started(pids)) == 1
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    with supervised(tmp_path, deaf + FOREVER) as (parent, pids):
        until(lambda: len(started(pids)) == 2)
        time.sleep(0.5)
        parent.send_signal(signal.SIGINT)
        code, said = ended(parent)
        assert code == 0
        assert "it did not stop in time" in said


def test_a_worker_whose_parent_died_learns_it(tmp_path: Path) -> None:
    with supervised(tmp_path, FOREVER) as (parent, pids):
        until(lambda: len(started(pids)) == 1)
        time.sleep(0.3)
        parent.kill()
        parent.wait()
        until(lambda: not Path(f"/proc/{started(pids)[0]}").exists())


def test_a_parent_that_did_not_run_itself_blames_nobody() -> None:
    limits = Limits()
    watch = _Watch(limits, 100.0)
    watch.heard(b"LD", 101.0)
    assert watch.complaint(102.0) == ""
    assert watch.complaint(160.0) == ""
    assert watch.complaint(161.5) == ""
    times = [161.5 + n for n in range(5)]
    assert [bool(watch.complaint(now)) for now in times] == [False, False, False, False, True]
    watch.heard(b"L", 166.0)
    for now in range(167, 180):
        watch.heard(b"L", now)
        assert watch.complaint(now) == ""
    watch.heard(b"L", 181.0)
    assert "disk" in watch.complaint(181.0)


def test_the_parent_stays_small() -> None:
    probe = (
        "import sys, shoal.node.supervisor; "
        "print([m for m in ('asyncio', 'msgspec', 'ssl', 'threading') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
