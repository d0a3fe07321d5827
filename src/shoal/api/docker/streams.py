"""A container's streams: logs, attach, and the size of its terminal."""

from aiohttp import web

from shoal.api.docker.front import Front, flag
from shoal.api.docker.hijack import splice, take_over
from shoal.api.docker.relay import RAW_STREAM, checked, passed, relay, user_error
from shoal.model.errors import BadRequest, EngineError


class Streams:
    """Handlers that pass an engine's streams on, framing untouched."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def logs(self, request: web.Request) -> web.StreamResponse:
        if not flag(request, "stdout") and not flag(request, "stderr"):
            raise BadRequest("Bad parameters: you must choose at least one stream")
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        names = ("follow", "stdout", "stderr", "since", "until", "timestamps", "tail", "details")
        upstream = await port.request("GET", f"{path}/logs", params=passed(request, *names))
        return await relay(request, await checked(upstream, view, path))

    async def attach(self, request: web.Request) -> web.StreamResponse:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        names = ("detachKeys", "logs", "stream", "stdin", "stdout", "stderr")
        try:
            upstream = await port.hijack(f"{path}/attach", params=passed(request, *names))
        except EngineError as error:
            raise user_error(error, view, path) from error
        try:
            response, client = await take_over(request, upstream.content_type or RAW_STREAM)
        except ConnectionError:
            upstream.close()
            raise
        await splice(client, upstream)
        return response

    async def resize(self, request: web.Request) -> web.Response:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request("POST", f"{path}/resize", params=passed(request, "h", "w"))
        (await checked(upstream, view, path)).close()
        return web.Response(status=200)
