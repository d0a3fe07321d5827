"""Raw streams: both halves, and clients that go away."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import uvloop
from aiohttp import web
from fake_service import FakeService

from shoal.api.docker.app import make_app
from shoal.api.docker.hijack import ClientStream
from shoal.engine.memory import MemoryEngine
from shoal.model.container import ContainerSpec
from shoal.model.node import ImageInfo
from shoal.model.ops import CreateContainer

IMAGE = ImageInfo("sha256:" + "1" * 64, ("busybox:latest",))
REQUEST = b"POST /v1.41/containers/web/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: x\r\n"
UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"


class Output(asyncio.StreamReader):
    """With the one method of aiohttp's reader that is used."""

    async def readany(self) -> bytes:
        return await self.read(1 << 16)


class Upstream:
    """An engine's stream as a test sees it: what came in, and what it sends."""

    content_type = "application/vnd.docker.raw-stream"

    def __init__(self) -> None:
        self.reader: Any = Output()
        self.received = b""
        self.ended = asyncio.Event()
        self.closed = asyncio.Event()

    async def write(self, data: bytes) -> None:
        self.received += data

    async def write_eof(self) -> None:
        self.ended.set()

    def close(self) -> None:
        self.closed.set()

    async def request(self, *_: Any, **__: Any) -> aiohttp.ClientResponse:
        raise AssertionError("nothing but the stream is used here")

    async def hijack(self, path: str, **_: Any) -> "Upstream":
        return self


Test = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Upstream], Awaitable[None]]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@contextlib.asynccontextmanager
async def attached() -> AsyncIterator[
    tuple[asyncio.StreamReader, asyncio.StreamWriter, Upstream, web.AppRunner]
]:
    service = FakeService(MemoryEngine(images=[IMAGE]))
    await service.start()
    spec = ContainerSpec("busybox", IMAGE.id, {})
    await service.execute("default", CreateContainer("c" * 64, "web", spec))
    upstream = Upstream()
    service.engine = lambda _: upstream  # type: ignore[method-assign, assignment]
    runner = web.AppRunner(make_app(service, vcluster="default", node_name="a"), shutdown_timeout=1)
    await runner.setup()
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        await web.UnixSite(runner, f"{root}/s").start()
        reader, writer = await asyncio.open_unix_connection(f"{root}/s")
        yield reader, writer, upstream, runner
        writer.close()
        await runner.cleanup()
        await service.close()


def over(test: Test, loop: str, head: bytes = UPGRADE) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), attached() as (reader, writer, upstream, runner):
            writer.write(REQUEST + head)
            await test(reader, writer, upstream)
            await upstream.closed.wait()
            writer.close()
            assert runner.server is not None
            while runner.server.connections:  # noqa: ASYNC110 - aiohttp tells nobody
                await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(run())


@pytest.mark.parametrize("loop", LOOPS)
def test_output_still_comes_after_the_input_has_ended(loop: str) -> None:
    async def test(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Upgrade: tcp" in head
        writer.write(b"hello")
        writer.write_eof()
        await upstream.ended.wait()
        assert upstream.received == b"hello"
        upstream.reader.feed_data(b"x" * 1_000_000)
        upstream.reader.feed_eof()
        assert await reader.read() == b"x" * 1_000_000

    over(test, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_did_not_ask_for_an_upgrade_gets_the_stream_too(loop: str) -> None:
    async def test(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"chunked" not in head
        writer.write(b"hello")
        writer.write_eof()
        await upstream.ended.wait()
        upstream.reader.feed_data(b"bye")
        upstream.reader.feed_eof()
        assert await reader.read() == b"bye"

    over(test, loop, b"\r\n")


@pytest.mark.parametrize("half_closed", [False, True])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_client_that_goes_away_frees_the_engines_stream(loop: str, half_closed: bool) -> None:
    async def test(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: Upstream
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if half_closed:
            writer.write_eof()
            await upstream.ended.wait()
        writer.close()

    over(test, loop)


def test_writing_to_a_client_that_has_gone_is_an_error_and_not_a_wait() -> None:
    async def run() -> None:
        async with asyncio.timeout(10):
            stream = ClientStream(asyncio.Transport(), asyncio.Protocol())
            stream.pause_writing()
            stream.connection_lost(None)
            with pytest.raises(ConnectionResetError):
                await stream.write(b"x")

    asyncio.run(run())
