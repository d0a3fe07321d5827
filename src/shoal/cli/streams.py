"""What containers print, out of Docker's stream formats and onto our own outputs."""

import os
import sys
from collections.abc import Callable

#: Each frame of a multiplexed stream: kind of stream, three zeros, length (big-endian).
_HEADER = 8
_STDERR = 2

Read = Callable[[], bytes]


def copy_output(read: Read, *, raw: bool) -> None:
    """Copy until `read` gives b"". Without `raw` (a terminal's stream) the frames are taken
    apart into standard output and error."""
    out = sys.stdout.fileno()
    if not raw:
        _copy_frames(read)
        return
    while data := read():
        write_all(out, data)


def _copy_frames(read: Read) -> None:
    """Parts of frames are passed on as they come; a stream cut off ends like any other."""
    outputs = {_STDERR: sys.stderr.fileno()}
    standard = sys.stdout.fileno()
    header, left, target = b"", 0, standard
    while data := read():
        while data:
            if left:
                part, data = data[:left], data[left:]
                left -= len(part)
                write_all(target, part)
                continue
            need = _HEADER - len(header)
            header, data = header + data[:need], data[need:]
            if len(header) == _HEADER:
                target = outputs.get(header[0], standard)
                left, header = int.from_bytes(header[4:]), b""


def write_all(descriptor: int, data: bytes) -> None:
    """Unbuffered, so that output appears in order and at once. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
