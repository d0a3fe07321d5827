"""Files of a container as tar streams: `docker cp` both ways, and `docker export`."""

from aiohttp import web

from shoal.api.docker.front import Front
from shoal.api.docker.relay import checked, passed, relay, while_connected
from shoal.model.errors import EngineError

#: Where the engine says what the path is, in base64.
_STAT = "X-Docker-Container-Path-Stat"
#: An upload is answered when it has ended; a client that goes away ends it sooner, seconds.
_UPLOAD = 24 * 3600.0


class Archive:
    """Handlers that pass archives on, none of them held whole."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def get(self, request: web.Request) -> web.StreamResponse:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request(
            "GET",
            f"{path}/archive",
            params=passed(request, "path"),
            # The engine compresses for who takes it, and so does every HTTP library if not told.
            headers={"Accept-Encoding": request.headers.get("Accept-Encoding", "identity")},
        )
        return await relay(
            request, await checked(upstream, view, path), keep=(_STAT, "Content-Encoding")
        )

    async def head(self, request: web.Request) -> web.Response:
        """A refusal has no words here: HTTP leaves no room for them."""
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request("HEAD", f"{path}/archive", params=passed(request, "path"))
        async with upstream:
            if upstream.status >= 400:
                raise EngineError("", upstream.status)
            return web.Response(headers={_STAT: upstream.headers.get(_STAT, "")})

    async def put(self, request: web.Request) -> web.Response:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upload = port.request(
            "PUT",
            f"{path}/archive",
            params=passed(request, "path", "noOverwriteDirNonDir", "copyUIDGID"),
            headers={"Content-Type": request.headers.get("Content-Type", "application/x-tar")},
            data=request.content,
            timeout=_UPLOAD,
        )
        upstream = await while_connected(request, upload)
        (await checked(upstream, view, path)).close()
        return web.Response(status=200)

    async def export(self, request: web.Request) -> web.StreamResponse:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request("GET", f"{path}/export")
        return await relay(request, await checked(upstream, view, path))
