"""A terminal at one end, a container at the other: output, input, resizing and signals."""

import contextlib
import os
import shutil
import signal
import termios
import threading
import tty
from collections.abc import Iterator
from types import FrameType

from shoal.cli.client import Client, Stream, segment
from shoal.cli.streams import copy_output
from shoal.model.errors import ShoalError

STDIN = 0
#: Ctrl-P Ctrl-Q: the node lets go of the terminal, the container runs on.
DETACH_KEYS = b"\x10\x11"
_PROXIED = ("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2")
#: A user who insists so often wants out, whatever the container does.
_ENOUGH = 3


def console_size() -> tuple[int, int]:
    """Rows and columns of the terminal."""
    columns, rows = shutil.get_terminal_size()
    return rows, columns


class Attached:
    """An open attach stream of one container."""

    def __init__(
        self, client: Client, container: str, stream: Stream, *, terminal: bool, stdin: bool
    ) -> None:
        self._client = client
        self._path = f"/containers/{segment(container)}"
        self._stream = stream
        self._terminal = terminal
        self._stdin = stdin
        self._last_byte = b""
        self._interrupts = 0
        self.detached = False  # the user asked to let go

    def pump(self) -> None:
        """Copy until the container's output ends. Raises OSError when nobody reads ours."""
        if self._stdin:
            threading.Thread(target=self._copy_input, daemon=True).start()
        copy_output(self._stream.read, raw=self._terminal)

    def _copy_input(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(STDIN, 65536):
                if self._terminal and DETACH_KEYS in self._last_byte + data:
                    self.detached = True
                self._last_byte = data[-1:]
                self._stream.write(data)
            self._stream.write_eof()

    @contextlib.contextmanager
    def raw_terminal(self) -> Iterator[None]:
        """Keys go to the container as they are pressed; the terminal is as it was afterwards."""
        if not (self._terminal and self._stdin):
            yield
            return
        descriptor = STDIN
        before = termios.tcgetattr(descriptor)
        tty.setraw(descriptor)
        try:
            yield
        finally:
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)

    @contextlib.contextmanager
    def signals(self, *, proxied: bool) -> Iterator[None]:
        """Pass signals and changes of the terminal's size on to the container."""
        handlers = {}
        if proxied:
            handlers = {getattr(signal, name): self._proxy for name in _PROXIED}
        if self._terminal:
            handlers[signal.SIGWINCH] = self._resized
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _proxy(self, number: int, _: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM):
            self._interrupts += 1
            if self._interrupts >= _ENOUGH:
                raise KeyboardInterrupt
        self._post("kill", {"signal": signal.Signals(number).name})

    def _resized(self, number: int, _: FrameType | None) -> None:
        self.resize()

    def resize(self) -> None:
        """Tell the container the size of the terminal."""
        rows, columns = console_size()
        self._post("resize", {"h": str(rows), "w": str(columns)})

    def _post(self, what: str, query: dict[str, str]) -> None:
        """In a thread: the stream goes on meanwhile. A container that has just ended refuses,
        and that is no news."""

        def post() -> None:
            with contextlib.suppress(ShoalError):
                self._client.call("POST", f"{self._path}/{what}", query=query)

        threading.Thread(target=post, daemon=True).start()
