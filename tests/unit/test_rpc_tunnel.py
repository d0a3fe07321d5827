"""HTTP to another node's engine: a real aiohttp server on a unix socket behind the tunnel."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cloud_fixture import Node, cloud_of, run

from shoal.engine.http import HttpPort
from shoal.node.rpc import Unreachable


class _Echo(asyncio.Protocol):
    """What follows the upgrade: answers at the end of the input, like `cat | sha256sum`."""

    def __init__(self) -> None:
        self._seen = b""
        self.done = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._seen += data

    def eof_received(self) -> bool:
        digest = hashlib.sha256(self._seen).hexdigest().encode()
        self._transport.write(digest)  # type: ignore[attr-defined]
        self._transport.close()
        self.done.set()
        return True


async def _hello(request: web.Request) -> web.Response:
    return web.json_response({"path": request.path, "body": await request.text()})


async def _big(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(64):
        await response.write(os.urandom(256 << 10))
    return response


async def _attach(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=101, headers={"Connection": "Upgrade", "Upgrade": "tcp"})
    await response.prepare(request)
    assert request.transport is not None
    echo = _Echo()
    request.transport.set_protocol(echo)
    echo.connection_made(request.transport)
    await echo.done.wait()
    return response


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"ApiVersion": "1.47"})


@contextlib.asynccontextmanager
async def _engine(path: str) -> AsyncIterator[None]:
    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/hello", _hello)
    app.router.add_get("/big", _big)
    app.router.add_get("/version", _version)
    app.router.add_post("/v1.47/attach", _attach)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    try:
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _session(tmp_path: Path) -> AsyncIterator[tuple[aiohttp.ClientSession, Node, Node]]:
    path = str(tmp_path / "engine.sock")
    async with (
        _engine(path),
        cloud_of(tmp_path, engine_socket=path) as (a, b),
        aiohttp.ClientSession(connector=a.transport.engine_connector(b.id)) as session,
    ):
        yield session, a, b


@pytest.mark.parametrize("with_uvloop", [True, False])
def test_requests_reach_the_other_engine(tmp_path: Path, with_uvloop: bool) -> None:
    async def main() -> None:
        async with _session(tmp_path) as (session, _, _):
            for _ in range(3):
                async with session.post("http://engine/hello", data=b"x" * 300_000) as response:
                    assert response.status == 200
                    assert (await response.json())["body"] == "x" * 300_000

    run(main(), with_uvloop=with_uvloop)


def test_the_own_engine_is_reached_in_the_same_way(tmp_path: Path) -> None:
    async def main() -> None:
        async with _session(tmp_path) as (_, a, _):
            connector = a.transport.engine_connector(a.id)
            async with (
                aiohttp.ClientSession(connector=connector) as own,
                own.get("http://engine/hello") as response,
            ):
                assert (await response.json())["path"] == "/hello"

    run(main())


def test_a_slow_reader_holds_back_the_engine(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            _session(tmp_path) as (session, _, _),
            session.get("http://engine/big") as response,
        ):
            size = 0
            async for chunk in response.content.iter_chunked(64 << 10):
                size += len(chunk)
                if size < 2 << 20:
                    await asyncio.sleep(0.005)
            assert size == 64 * (256 << 10)

    run(main())


@pytest.mark.parametrize("with_uvloop", [True, False])
def test_an_upgraded_stream_can_close_one_direction(tmp_path: Path, with_uvloop: bool) -> None:
    async def main() -> None:
        async with _session(tmp_path) as (_, a, b):
            port = HttpPort(lambda: a.transport.engine_connector(b.id), "the engine of b")
            stream = await port.hijack("/attach", params={})
            data = os.urandom(1 << 20)
            await stream.write(data)
            await stream.write_eof()
            got = await asyncio.wait_for(stream.reader.read(), 20)
            assert got == hashlib.sha256(data).hexdigest().encode()
            stream.close()
            await port.close()

    run(main(), with_uvloop=with_uvloop)


def test_an_absent_engine_or_node_is_an_error(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "nothing.sock")
        async with (
            cloud_of(tmp_path, engine_socket=path) as (a, b),
            aiohttp.ClientSession(connector=a.transport.engine_connector(b.id)) as session,
        ):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get("http://engine/hello")
            await b.transport.stop()
            with pytest.raises(Unreachable, match="does not answer"):
                await session.get("http://engine/hello")

    run(main())


def test_removed_nodes_get_no_tunnel(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "engine.sock")
        async with (
            _engine(path),
            cloud_of(tmp_path, engine_socket=path, admit=lambda _: False) as (a, b),
            aiohttp.ClientSession(connector=a.transport.engine_connector(b.id)) as session,
        ):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get("http://engine/hello")

    run(main())


def test_forgotten_nodes_lose_their_tunnels(tmp_path: Path) -> None:
    async def main() -> None:
        async with _session(tmp_path) as (session, a, b):
            response = await session.get("http://engine/big")
            await response.content.readexactly(1)
            b.transport.forget_peer(a.id)
            with pytest.raises(aiohttp.ClientError):
                await response.content.read()
            response.close()

    run(main())
