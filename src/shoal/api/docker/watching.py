"""What goes on in a container: its processes, what it changed on disk, and what it uses."""

import msgspec
from aiohttp import web

from shoal.api.docker.front import Front
from shoal.api.docker.relay import checked, passed, relay
from shoal.model.container import ContainerView


class Watching:
    """Handlers that pass on what a container's engine measures."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def top(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request, "top", "ps_args")

    async def changes(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request, "changes")

    async def stats(self, request: web.Request) -> web.StreamResponse:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        params = passed(request, "stream", "one-shot")
        upstream = await port.request("GET", f"{path}/stats", params=params)
        return await relay(
            request,
            await checked(upstream, view, path),
            each_line=lambda line: sample(line, view),
        )

    async def _pass(self, request: web.Request, what: str, *names: str) -> web.StreamResponse:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request("GET", f"{path}/{what}", params=passed(request, *names))
        return await relay(request, await checked(upstream, view, path))


def sample(line: bytes, view: ContainerView) -> bytes:
    """One sample of an engine's statistics, with our names. Raises msgspec.DecodeError."""
    document = {**msgspec.json.decode(line), "id": view.id, "name": f"/{view.name}"}
    return msgspec.json.encode(document) + b"\n"
