"""Clouds of transports on loopback, for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import uvloop

from shoal.node.certificates import (
    Authority,
    create_authority,
    issue,
    new_cloud_id,
    signing_request,
)
from shoal.node.identity import Credentials, Identity, load_or_create_identity
from shoal.node.rpc import Endpoint, Methods
from shoal.node.transport import Transport

PATIENCE = 20.0  # seconds; tests wait by polling, this only ends a hopeless one


def run(main: Coroutine[Any, Any, None], *, with_uvloop: bool = True) -> None:
    factory = uvloop.new_event_loop if with_uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(_bounded(main))


async def _bounded(main: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(60):
        await main


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the conditions are plain state
            await asyncio.sleep(0.01)


class Node:
    """A member with its transport; `heard` are the notifications that it got."""

    def __init__(self, identity: Identity, credentials: Credentials, **options: Any) -> None:
        self.identity = identity
        self.credentials = credentials
        self.id = identity.node_id
        self.methods = Methods()
        self.heard: list[tuple[str, bytes]] = []
        self.transport = Transport(
            identity,
            credentials,
            self.methods,
            on_notify=lambda sender, payload: self.heard.append((sender, payload)),
            **options,
        )
        self.endpoint = Endpoint("", 0)

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.endpoint = self.transport.start(host, port)


def member(state: Path, authority: Authority, cloud: str) -> tuple[Identity, Credentials]:
    identity = load_or_create_identity(state)
    node_id, certificate = issue(authority, cloud, signing_request(identity))
    return identity, Credentials(cloud, node_id, certificate, (authority.certificate,))


@contextlib.asynccontextmanager
async def cloud_of(
    tmp_path: Path, count: int = 2, *, host: str = "127.0.0.1", **options: Any
) -> AsyncIterator[list[Node]]:
    """`count` listening members of one new cloud that know each other's addresses."""
    cloud = new_cloud_id()
    authority = create_authority(cloud)
    nodes = []
    for number in range(count):
        identity, credentials = member(tmp_path / f"{cloud}-{number}", authority, cloud)
        nodes.append(Node(identity, credentials, **options))
    for node in nodes:
        node.listen(host)
    for node in nodes:
        for other in nodes:
            node.transport.set_peer(other.id, other.endpoint.host, other.endpoint.port)
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.transport.stop()
