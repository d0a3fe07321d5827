"""The small parent process: starts the daemon's worker, starts it again when it fails, and ends
it when its event loop or its disk writer falls silent (membership runs on a thread of its own
and would keep a stuck daemon looking alive).

Run as `python -I -S supervisor.py [WORD...] -- COMMAND...`; the words only show in the process
list. The worker finds the descriptor for its heartbeats in the environment variable
SHOAL_HEARTBEAT_FD (see `heartbeat.py`), and in SHOAL_RESTARTS how often it was started again.
Only light parts of the standard library are imported
(`typing` is not one), and no package: this process lives as long as the daemon.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

HEARTBEAT_FD = "SHOAL_HEARTBEAT_FD"
RESTARTS = "SHOAL_RESTARTS"
LOOP_BEAT = b"L"
DISK_BEAT = b"D"

#: Exit code of a worker that it makes no sense to start again: its configuration is wrong.
FATAL = 78


class Limits:
    """Times in seconds."""

    def __init__(
        self,
        *,
        start: float = 60.0,  # to the first heartbeat
        loop: float = 5.0,  # without a beat of the loop
        disk: float = 20.0,  # without a beat of the disk
        stop: float = 20.0,  # from TERM to KILL
        pause_first: float = 0.2,  # before a restart, doubled up to pause_most
        pause_most: float = 10.0,
        steady: float = 60.0,  # after which a failure counts as the first one again
    ) -> None:
        self.start = start
        self.loop = loop
        self.disk = disk
        self.stop = stop
        self.pause_first = pause_first
        self.pause_most = pause_most
        self.steady = steady


class Supervisor:
    """Keeps one worker running until it ends by itself with 0 or FATAL, or is told to stop."""

    def __init__(self, command: Sequence[str], limits: Limits | None = None) -> None:
        self._command = list(command)
        self._limits = limits or Limits()
        self._pid = 0
        self._stop_at = 0.0  # when a worker that was told to stop will be killed; 0: not told
        self._ever_beat = False
        self._starts = 0

    def run(self) -> int:
        """Returns the exit code: the worker's, or 0 when it was stopped by a signal."""
        wakeup, wakeup_write = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(wakeup_write, False)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # it need only wake us up
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)
        pause = self._limits.pause_first
        while True:
            began = time.monotonic()
            code = self._run_worker(wakeup)
            if self._stop_at:
                return max(0, code)
            if code in (0, FATAL) or not self._ever_beat:
                return code if code >= 0 else 128 - code
            if time.monotonic() - began > self._limits.steady:
                pause = self._limits.pause_first
            _say(f"the daemon ended ({_describe(code)}); starting it again in {pause:g} s")
            self._wait(wakeup, pause)
            if self._stop_at:
                return 0
            pause = min(self._limits.pause_most, pause * 2)

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_at = self._stop_at or time.monotonic() + self._limits.stop
        if self._pid:
            os.kill(self._pid, number)

    def _run_worker(self, wakeup: int) -> int:
        """Start the worker and watch it. Returns its exit code, minus the signal's number if
        it was killed."""
        beats, beats_write = os.pipe()
        os.set_blocking(beats, False)
        os.set_blocking(beats_write, False)
        os.set_inheritable(beats_write, True)
        environment = os.environ | {HEARTBEAT_FD: str(beats_write), RESTARTS: str(self._starts)}
        self._starts += 1
        try:
            self._pid = os.posix_spawnp(
                self._command[0],
                self._command,
                environment,
                setsigdef=[signal.SIGTERM, signal.SIGINT, signal.SIGCHLD],
            )
            os.close(beats_write)
            return self._watch(beats, wakeup)
        finally:
            self._pid = 0
            os.close(beats)

    def _watch(self, beats: int, wakeup: int) -> int:
        watch = _Watch(self._limits, time.monotonic())
        ended = False
        while True:
            sources = [wakeup] if ended else [wakeup, beats]
            ready, _, _ = select.select(sources, [], [], 1.0)
            now = time.monotonic()
            _drain(wakeup)
            if beats in ready:
                data = _drain(beats)
                ended = not data
                watch.heard(data, now)
                self._ever_beat = self._ever_beat or LOOP_BEAT in data
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            complaint = watch.complaint(now)
            if self._stop_at:
                complaint = "it did not stop in time" if now > self._stop_at else ""
            if complaint:
                _say(f"ending the daemon: {complaint}")
                os.kill(self._pid, signal.SIGKILL)
                return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _wait(self, wakeup: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._stop_at and (left := end - time.monotonic()) > 0:
            select.select([wakeup], [], [], left)
            _drain(wakeup)


class _Watch:
    """When each kind of beat was heard last, and what is wrong with that."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._began = self._looked = now
        self._loop = self._disk = 0.0  # 0: never

    def heard(self, data: bytes, now: float) -> None:
        if LOOP_BEAT in data:
            self._loop = now
            self._disk = self._disk or now
        if DISK_BEAT in data:
            self._disk = now

    def complaint(self, now: float) -> str:
        if now - self._looked > 2.0:
            # We were not running ourselves (a frozen or overloaded machine), and the worker
            # perhaps neither: give it its time again.
            self._began, self._loop, self._disk = now, self._loop and now, self._disk and now
        self._looked = now
        limits = self._limits
        if not self._loop:
            return "it did not start in time" if now - self._began > limits.start else ""
        if now - self._loop > limits.loop:
            return f"its event loop was silent for {limits.loop:g} s"
        if now - self._disk > limits.disk:
            return f"its disk writer was silent for {limits.disk:g} s"
        return ""


def _drain(descriptor: int) -> bytes:
    """What is there to read; b"" at the end of a pipe (or when nothing was there)."""
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def _describe(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {-code}"


def _say(line: str) -> None:
    sys.stderr.write(f"shoal: {line}\n")
    sys.stderr.flush()


def main(arguments: list[str]) -> int:
    """Exit code 2 for wrong arguments."""
    if "--" not in arguments or arguments[-1] == "--":
        _say("usage: python -I -S supervisor.py [WORD...] -- COMMAND...")
        return 2
    return Supervisor(arguments[arguments.index("--") + 1 :]).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
