"""One line on standard error: how far a run is, how fast it goes, how long it will take."""

import sys
import time

from shoal.sim.experiments.world import World

_TERMINAL = 0.5
_ELSEWHERE = 30.0
_CLEAR = "\r\033[K"
_SECOND = 1_000_000_000


class Progress:
    """Written over itself on a terminal, now and then as a line of its own elsewhere."""

    def __init__(self, label: str, *, quiet: bool = False) -> None:
        self._label = label
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._began = self._last = time.monotonic()
        self._from: int | None = None

    def show(self, world: World) -> None:
        """Say where the run is, unless that was said a moment ago."""
        now = time.monotonic()
        if self._from is None:
            self._from = world.now
        if self._quiet or now - self._last < (_TERMINAL if self._terminal else _ELSEWHERE):
            return
        self._last = now
        done = world.now - self._from
        left = world.experiment.duration - world.now
        rate = done / _SECOND / max(now - self._began, 1e-9)
        line = (
            f"{self._label}: {_clock(world.now / _SECOND)} of "
            f"{_clock(world.experiment.duration / _SECOND)}, {rate:,.0f} x real time, "
            f"{_clock(left / _SECOND / rate) if rate else '?'} left"
        )
        self._write(f"{_CLEAR}{line}" if self._terminal else f"{line}\n")

    def end(self) -> None:
        """Leave a clean line behind."""
        if self._terminal and not self._quiet:
            self._write(_CLEAR)

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
