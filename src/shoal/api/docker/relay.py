"""Streams to a client: sent on piece by piece, and given up when the client goes away."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, TypeVar

import aiohttp
from aiohttp import web

from shoal.engine.http import error_text
from shoal.engine.translate import our_names
from shoal.model.container import ContainerView
from shoal.model.errors import EngineError, ShoalError

#: How soon a client that went away is noticed while there is nothing to send, seconds.
CHECK = 1.0
#: A hijacked stream of an engine that does not say what it is.
RAW_STREAM = "application/vnd.docker.raw-stream"
_CHUNK = 1 << 16

T = TypeVar("T")


class ClientGone(Exception):
    """Nobody listens any more."""


async def while_connected(request: web.Request, work: Awaitable[T]) -> T:
    """Outcome of the work; cancels it and raises ClientGone once the client has gone."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=CHECK)
            if not task.done() and request.transport is None:
                raise ClientGone
        return task.result()
    finally:
        if task.cancel():
            # A generator that is still at work could not be closed by the caller.
            await asyncio.wait({task}, timeout=CHECK)


async def start_stream(
    request: web.Request, content_type: str, headers: dict[str, str] | None = None
) -> web.StreamResponse:
    """A response whose headers are on their way already."""
    response = web.StreamResponse(headers={**(headers or {}), "Content-Type": content_type})
    await response.prepare(request)
    return response


async def relay(
    request: web.Request,
    upstream: aiohttp.ClientResponse,
    *,
    keep: Iterable[str] = (),
    each_line: Callable[[bytes], bytes] | None = None,
) -> web.StreamResponse:
    """Send an engine's answer on as it comes; closes it in any case. `keep` names headers to
    pass on; `each_line` rewrites the lines of a stream of JSON."""
    async with upstream:
        content_type = upstream.headers.get("Content-Type", "application/octet-stream")
        headers = {name: upstream.headers[name] for name in keep if name in upstream.headers}
        response = await start_stream(request, content_type, headers)
        source = _chunks(upstream) if each_line is None else lines(upstream)
        try:
            async with contextlib.aclosing(source):
                while piece := await while_connected(request, anext(source, b"")):
                    await response.write(piece if each_line is None else each_line(piece))
        except (aiohttp.ClientError, OSError, ClientGone):
            # Half a stream must not look like a whole one: close without the last chunk.
            abort(request)
        return response


async def _chunks(upstream: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    while chunk := await upstream.content.read(_CHUNK):
        yield chunk


async def lines(upstream: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    """Lines that are not empty, of any length, without their ends."""
    pending = b""
    async for chunk in upstream.content.iter_any():
        *lines, pending = (pending + chunk).split(b"\n")
        for line in filter(None, lines):
            yield line
    if pending:
        yield pending


def abort(request: web.Request) -> None:
    """End the connection at once."""
    if request.transport is not None:
        request.transport.abort()


async def pieces(request: web.Request, source: AsyncIterator[T]) -> AsyncIterator[T]:
    """Items of the source for as long as the client listens."""
    try:
        while True:
            try:
                yield await while_connected(request, anext(source))
            except (StopAsyncIteration, ClientGone):
                return
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()


async def checked(
    upstream: aiohttp.ClientResponse, view: ContainerView, engine_path: str
) -> aiohttp.ClientResponse:
    """The answer if it is a success. Raises EngineError in the user's words."""
    if upstream.status < 400:
        return upstream
    raise user_error(EngineError(await error_text(upstream), upstream.status), view, engine_path)


def user_error(error: ShoalError, view: ContainerView, engine_path: str) -> EngineError:
    """An engine's error with the container's own name."""
    engine_name = engine_path.rpartition("/")[2]
    return EngineError(our_names(error.text, engine_name, view.name, view.id), error.status)


def passed(request: web.Request, *names: str) -> dict[str, Any]:
    """Those of the parameters that the client gave."""
    return {name: request.query[name] for name in names if name in request.query}
