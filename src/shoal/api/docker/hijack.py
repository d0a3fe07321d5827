"""Taking over a client's connection for a raw stream both ways, as `attach` and `exec` need.

aiohttp ends a connection when the client closes its sending half; the stock client does that
as soon as its standard input ends, and then still waits for the output. So the connection gets
a protocol of its own.
"""

import asyncio
import contextlib
import select
from collections.abc import Coroutine
from typing import Any

import aiohttp
from aiohttp import web

from shoal.node.service import Hijacked

_CHUNK = 1 << 16
#: How often a client that has closed its sending half is looked at, seconds.
_CHECK = 1.0
#: How long a client may take to read the last of the output, seconds.
_FLUSH = 30.0


class ClientStream(asyncio.Protocol):
    """The client's end of a hijacked connection."""

    def __init__(self, transport: asyncio.Transport, before: asyncio.BaseProtocol) -> None:
        self.lost = asyncio.Event()
        self._before = before
        self._transport = transport
        self._writable = asyncio.Event()
        self._writable.set()
        self.reader = asyncio.StreamReader(_CHUNK)
        self.reader.set_transport(transport)  # reading stops while the engine is slower
        self._half_closed = False

    def data_received(self, data: bytes) -> None:
        self.reader.feed_data(data)

    def eof_received(self) -> bool:
        self._half_closed = True
        self.reader.feed_eof()
        return True  # keep the other half

    def connection_lost(self, exc: Exception | None) -> None:
        self.reader.feed_eof()
        self.lost.set()
        self._writable.set()
        self._before.connection_lost(exc)  # so that the server forgets the connection

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def write(self, data: bytes) -> None:
        """Raises ConnectionResetError once the client has gone."""
        await self._writable.wait()
        if self.lost.is_set() or self._transport.is_closing():
            raise ConnectionResetError("the client has gone")
        self._transport.write(data)

    async def gone(self) -> None:
        """Until nobody is at the other end any more."""
        while not self.lost.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.lost.wait(), _CHECK)
            if self._half_closed and _hung_up(self._transport):
                return

    async def finish(self) -> None:
        """Close once everything written has left."""
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.lost.wait(), _FLUSH)
        if not self.lost.is_set():
            self._transport.abort()


async def take_over(
    request: web.Request, content_type: str
) -> tuple[web.StreamResponse, ClientStream]:
    """Answer `101 UPGRADED` (or, to a client that did not ask for an upgrade, 200) and give the
    raw connection. Raises ConnectionResetError."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client has gone")
    upgrade = "upgrade" in request.headers.get("Connection", "").lower()
    headers = {"Content-Type": content_type}
    if upgrade:
        headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
    response = _Raw(status=101 if upgrade else 200, reason="UPGRADED" if upgrade else "OK")
    response.headers.update(headers)
    response.force_close()
    await response.prepare(request)
    # Until here aiohttp would read what the client sends as its next request. Clients wait for
    # the answer before they send.
    stream = ClientStream(transport, request.protocol)
    transport.set_protocol(stream)
    return response, stream


class _Raw(web.StreamResponse):
    """A response of headers only: what follows is not HTTP."""

    _length_check = False

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing: the connection is not aiohttp's any more."""


async def splice(client: ClientStream, engine: Hijacked) -> None:
    """Copy both ways until the engine's output ends or the client goes away."""

    async def upwards() -> None:
        while data := await client.reader.read(_CHUNK):
            await engine.write(data)
        await engine.write_eof()

    async def downwards() -> None:
        while data := await engine.reader.readany():
            await client.write(data)

    sending = asyncio.create_task(_quietly(upwards()))
    output = asyncio.create_task(_quietly(downwards()))
    gone = asyncio.create_task(client.gone())
    try:
        await asyncio.wait({output, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in (sending, output, gone):
            if task.done():
                task.result()  # nothing but a closed connection may end a copy early
    finally:
        for task in (sending, output, gone):
            task.cancel()
        engine.close()
        await client.finish()


async def _quietly(copying: Coroutine[Any, Any, None]) -> None:
    with contextlib.suppress(OSError, aiohttp.ClientError, aiohttp.EofStream):
        await copying


def _hung_up(transport: asyncio.Transport) -> bool:
    """Whether the peer has closed both halves; a unix socket tells at once."""
    sock = transport.get_extra_info("socket")
    number = sock.fileno() if sock is not None else -1
    if number < 0:
        return True
    poll = select.poll()
    poll.register(number, 0)
    return any(flags & (select.POLLHUP | select.POLLERR) for _, flags in poll.poll(0))
