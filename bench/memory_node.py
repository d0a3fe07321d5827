"""A daemon over an in-memory engine, without APIs: `python -m bench.memory_node STATE_DIR`.

Writes a JSON line for each change that it sees in the state of another node:
[name of the other, state, CLOCK_MONOTONIC in seconds].
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from shoal.engine.memory import MemoryEngine
from shoal.model.options import NodeOptions
from shoal.node.daemon import Daemon
from shoal.node.identity import load_credentials, load_or_create_identity
from shoal.node.main import GOSSIP_KEY
from shoal.node.serving import configure_logging
from shoal.node.stored_options import stored

_LOOK = 0.05  # seconds


async def serve(state: Path) -> None:
    """Until killed."""
    options = msgspec.convert(stored(str(state)), NodeOptions)
    credentials = load_credentials(state)
    assert credentials is not None
    daemon = Daemon(
        options,
        options.address,
        load_or_create_identity(state),
        credentials,
        (state / GOSSIP_KEY).read_bytes(),
        engine=MemoryEngine(),
    )
    await daemon.start()
    seen: dict[str, str] = {}
    while True:
        for member in daemon.members():
            name, now = member.info.name, time.monotonic()
            if name != options.name and seen.get(name) != member.state:
                seen[name] = member.state
                sys.stdout.write(json.dumps([name, member.state, now]) + "\n")
        sys.stdout.flush()
        await asyncio.sleep(_LOOK)


if __name__ == "__main__":
    configure_logging()
    uvloop.run(serve(Path(sys.argv[1])))
