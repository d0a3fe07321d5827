"""The end of this daemon's own log, where it is a file."""

import os
import stat
from collections import deque

from shoal.model.errors import NotFound

#: What is read at most, however long the lines are.
_BYTES = 4 << 20


def last_lines(count: int, descriptor: int = 2) -> list[str]:
    """The last lines that were written to standard error. Raises NotFound when that is no file:
    then whoever started the daemon has them (`journalctl -u shoal`)."""
    path = f"/proc/self/fd/{descriptor}"
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise NotFound("the daemon's log is no file: ask what started it, as `journalctl -u`")
        with open(path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - _BYTES))
            lines = deque(log, maxlen=count)
    except OSError as error:
        raise NotFound(f"the daemon's log cannot be read: {error.strerror}") from None
    return [line.decode(errors="replace").rstrip("\n") for line in lines]
