"""The worker's end of the supervisor's watch: a byte a second while loop and disk are alive."""

import asyncio
import os
from collections.abc import Callable

from shoal.node.supervisor import DISK_BEAT, HEARTBEAT_FD, LOOP_BEAT

INTERVAL = 1.0  # seconds


def heartbeat_descriptor() -> int | None:
    """The inherited descriptor; None without a supervisor. Children will not get it."""
    text = os.environ.pop(HEARTBEAT_FD, "")
    if not text.isdigit():
        return None
    os.set_inheritable(int(text), False)
    return int(text)


async def beat(descriptor: int, stalled: Callable[[], float]) -> None:
    """Beat until cancelled. `stalled()` is for how many seconds the disk writer has made no
    progress (`SqliteStore.stalled`). Returns when the supervisor is gone: then stop, so that no
    second daemon meets this one."""
    while True:
        beats = LOOP_BEAT if stalled() > INTERVAL else LOOP_BEAT + DISK_BEAT
        try:
            os.write(descriptor, beats)
        except BlockingIOError:
            pass  # the supervisor is stopped: what it has not read is enough
        except OSError:
            return
        await asyncio.sleep(INTERVAL)
