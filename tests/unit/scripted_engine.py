"""An engine that answers as a test wants, over real HTTP on a unix socket, behind one node's
Docker API."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from fake_service import FakeService

from shoal.api.docker.app import make_app
from shoal.engine.http import socket_port
from shoal.engine.memory import MemoryEngine
from shoal.model.container import ContainerSpec
from shoal.model.node import ImageInfo
from shoal.model.ops import CreateContainer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Test = Callable[["Place"], Awaitable[None]]

IMAGE = ImageInfo("sha256:" + "1" * 64, ("busybox:latest",))
WEB = "c" * 64
#: The engine's own id for the container `web`.
ENGINE_WEB = "e" * 64


class Place:
    """A node with the container `web` on it, and the engine it is on."""

    def __init__(self, api: aiohttp.ClientSession, service: FakeService, socket: Path) -> None:
        self.api = api
        self.service = service
        self.socket = socket

    async def message(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        """Status and words of a refusal."""
        answer = await self.api.request(method, path, **options)
        document = await answer.json()
        assert list(document) == ["message"]
        return answer.status, document["message"]


def over(test: Test, *routes: tuple[str, str, Handler]) -> None:
    """Run a test against an engine with these routes; `NAME` in a path is the container's."""

    async def run() -> None:
        async with asyncio.timeout(30), _place(routes) as place:
            await test(place)

    asyncio.run(run())


def refusing(status: int, text: str) -> Handler:
    """A handler that answers as an engine does to what it will not do."""

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"message": text}, status=status)

    return handler


@contextlib.asynccontextmanager
async def _place(routes: tuple[tuple[str, str, Handler], ...]) -> AsyncIterator[Place]:
    service = FakeService(MemoryEngine(images=[IMAGE]))
    await service.start()
    spec = ContainerSpec("busybox", IMAGE.id, {})
    await service.execute("default", CreateContainer(WEB, "web", spec))
    name = service.engine_name(service.containers[WEB])
    with tempfile.TemporaryDirectory(dir="/tmp") as root:
        ours, theirs = f"{root}/shoal", f"{root}/engine"
        port = socket_port(theirs)
        service.engine = lambda _: port  # type: ignore[method-assign, assignment]
        app = make_app(service, vcluster="default", node_name="a")
        async with (
            _listening(_engine(routes, name), theirs),
            _listening(app, ours),
            aiohttp.ClientSession("http://shoal", connector=aiohttp.UnixConnector(ours)) as api,
        ):
            yield Place(api, service, Path(ours))
            await port.close()
    await service.close()


def _engine(routes: tuple[tuple[str, str, Handler], ...], name: str) -> web.Application:
    async def version(request: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41"})

    app = web.Application()
    app.router.add_get("/version", version)
    for method, path, handler in routes:
        app.router.add_route(method, f"/v1.41{path.replace('NAME', name)}", handler)
    return app


@contextlib.asynccontextmanager
async def _listening(app: web.Application, socket: str) -> AsyncIterator[None]:
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    try:
        yield
    finally:
        await runner.cleanup()
