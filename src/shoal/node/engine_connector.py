"""aiohttp over a tunnel: HTTP to another node's engine, upgrades and half-close included."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.client_proto import ResponseHandler

if TYPE_CHECKING:
    from aiohttp import ClientRequest, ClientTimeout
    from aiohttp.tracing import Trace

#: Opens a tunnel for a protocol made by the factory, and returns that protocol.
OpenTunnel = Callable[[Callable[[], ResponseHandler]], Awaitable[ResponseHandler]]


class EngineConnector(aiohttp.BaseConnector):
    """Use as `ClientSession(connector=...)` with URLs `http://engine/...`; the host is ignored.

    A request raises `rpc.Unreachable` or `rpc.ForeignCloud` when the node cannot be reached,
    and aiohttp's own errors for what happens later.
    """

    def __init__(self, open_tunnel: OpenTunnel) -> None:
        # Streams (logs, attach) keep their connections, so their number has no limit here.
        super().__init__(limit=0, keepalive_timeout=30.0)
        self._open_tunnel = open_tunnel

    async def _create_connection(
        self, req: "ClientRequest", traces: "list[Trace]", timeout: "ClientTimeout"
    ) -> ResponseHandler:
        async with asyncio.timeout(timeout.sock_connect):
            return await self._open_tunnel(self._factory)
