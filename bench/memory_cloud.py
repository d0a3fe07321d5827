"""A cloud of daemons over in-memory engines, one process each, on loopback addresses."""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from shoal.core.effects import Put
from shoal.core.founding import found
from shoal.core.members import SPACE as MEMBERS
from shoal.model.node import NodeInfo
from shoal.model.options import NodeOptions
from shoal.node.certificates import Authority, create_authority, issue, signing_request
from shoal.node.certificates import new_cloud_id as new_id
from shoal.node.clock import now
from shoal.node.identity import (
    Credentials,
    Identity,
    load_or_create_identity,
    save_credentials,
)
from shoal.node.main import GOSSIP_KEY
from shoal.node.membership import new_gossip_key
from shoal.node.store import DATABASE, SqliteStore
from shoal.node.stored_options import store

#: Of 127.0.0.0/8, where nobody else listens.
_ADDRESS = "127.44.0.{}"


class MemoryCloud:
    """`seen[observer][other]` is (state, since when), by names of nodes; `events` are all changes
    as (observer, other, state, monotonic seconds)."""

    def __init__(self, directory: Path, count: int) -> None:
        self.names = [f"n{number}" for number in range(1, count + 1)]
        self.seen: dict[str, dict[str, tuple[str, float]]] = {name: {} for name in self.names}
        self.events: list[tuple[str, str, str, float]] = []
        self._directory = directory
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._readers: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Make every node's disk as if all had joined."""
        cloud, key = new_id(), new_gossip_key()
        authority = create_authority(cloud)
        identities = {name: load_or_create_identity(self._directory / name) for name in self.names}
        infos = [
            NodeInfo(id=identity.node_id, name=name, address=self._address(name), port=7440)
            for name, identity in identities.items()
        ]
        for name, identity in identities.items():
            credentials = _certify(authority, cloud, identity)
            founder = name == self.names[0]
            writes = found(now(), cloud, identity.node_id, {}) if founder else []
            writes += [Put(MEMBERS, info.id, msgspec.msgpack.encode(info)) for info in infos]
            await self._settle_in(name, credentials, key, writes)

    async def _settle_in(
        self, name: str, credentials: Credentials, key: bytes, writes: list[Put]
    ) -> None:
        state = self._directory / name
        database = SqliteStore(state / DATABASE)
        await database.commit(writes)
        await database.close()
        (state / GOSSIP_KEY).write_bytes(key)
        options = NodeOptions(
            name=name, state_dir=str(state), run_dir=str(state), address=self._address(name)
        )
        store(options)
        save_credentials(state, credentials)

    def _address(self, name: str) -> str:
        return _ADDRESS.format(self.names.index(name) + 1)

    async def start(self, name: str) -> None:
        with (self._directory / name / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.memory_node",
                str(self._directory / name),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self._running[name] = process
        self.seen[name] = {}
        reader = asyncio.create_task(self._read(name, process))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)

    async def _read(self, name: str, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            other, state, at = json.loads(line)
            self.seen[name][other] = (state, at)
            self.events.append((name, other, state, at))

    async def kill(self, name: str) -> None:
        """As kill -9."""
        process = self._running.pop(name)
        process.kill()
        await process.wait()

    async def stop(self) -> None:
        for name in list(self._running):
            await self.kill(name)
        await asyncio.gather(*self._readers)

    def observers(self, of: str) -> list[str]:
        return [name for name in self._running if name != of]

    def all_see(self, name: str, state: str) -> bool:
        return all(self.seen[o].get(name, ("", 0.0))[0] == state for o in self.observers(name))


@contextlib.asynccontextmanager
async def memory_cloud(count: int) -> AsyncIterator[MemoryCloud]:
    """All nodes started and known to each other as up."""
    with tempfile.TemporaryDirectory() as directory:
        cloud = MemoryCloud(Path(directory), count)
        try:
            await cloud.prepare()
            for name in cloud.names:
                await cloud.start(name)
            async with asyncio.timeout(180):
                while not all(cloud.all_see(name, "up") for name in cloud.names):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            yield cloud
        finally:
            await cloud.stop()


def _certify(authority: Authority, cloud: str, identity: Identity) -> Credentials:
    node_id, certificate = issue(authority, cloud, signing_request(identity))
    return Credentials(cloud, node_id, certificate, (authority.certificate,))
