"""Freeze a container's processes, and let them go on."""

import asyncio
import time

from aiohttp import web

from shoal.api.docker.front import Front
from shoal.api.docker.relay import checked

#: How long the cloud may take to hear of it from the container's host, seconds.
_HEARD_WITHIN = 5.0
_LOOK_AGAIN = 0.05


class Pausing:
    """Handlers that pass on to the engine, and answer when the cloud knows: a listing that follows
    shows it."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def pause(self, request: web.Request) -> web.Response:
        return await self._turn(request, "pause", paused=True)

    async def unpause(self, request: web.Request) -> web.Response:
        return await self._turn(request, "unpause", paused=False)

    async def _turn(self, request: web.Request, what: str, *, paused: bool) -> web.Response:
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request("POST", f"{path}/{what}")
        (await checked(upstream, view, path)).close()
        end = time.monotonic() + _HEARD_WITHIN
        while time.monotonic() < end:
            if (await self._front.view(view.id)).status.paused == paused:
                break
            await asyncio.sleep(_LOOK_AGAIN)
        return web.Response(status=204)
