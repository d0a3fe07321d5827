"""HTTP to an engine, over its unix socket or whatever reaches it, with the engine's own API
version in the path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec

from shoal.model.errors import EngineError, Unavailable

#: Seconds to the headers of an answer where the caller names no bound.
ANSWER_TIMEOUT = 30.0
CONNECT_TIMEOUT = 5.0
_BUFFER = 1 << 16


class EngineAway(Unavailable):
    """Nothing reached the engine, so nothing happened."""


class RawStream:
    """A hijacked connection to an engine: bytes both ways, each way closed on its own."""

    def __init__(self, response: aiohttp.ClientResponse, reader: aiohttp.StreamReader) -> None:
        connection = response.connection
        assert connection is not None
        assert connection.protocol is not None
        self.reader = reader
        self.content_type = response.headers.get("Content-Type", "")
        self._response = response
        self._protocol = connection.protocol

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError once the engine has closed its end."""
        transport = self._protocol.transport
        if transport is None:
            raise ConnectionResetError("the engine closed the stream")
        transport.write(data)
        # aiohttp has no public way to wait for an upgraded connection to drain.
        await self._protocol._drain_helper()

    async def write_eof(self) -> None:
        transport = self._protocol.transport
        if transport is not None and transport.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                transport.write_eof()

    def close(self) -> None:
        self._response.close()


class _Feeder:
    """Hands the bytes of an upgraded connection to a StreamReader as they are."""

    def __init__(self, reader: aiohttp.StreamReader) -> None:
        self._reader = reader

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if data:
            self._reader.feed_data(data)
        return False, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def set_exception(self, exc: BaseException, *_: object) -> None:
        self._reader.set_exception(exc)


class HttpPort:
    """EnginePort of the engine that connections of `connector` lead to. Connects when first
    used; `where` names it in errors."""

    def __init__(self, connector: Callable[[], aiohttp.BaseConnector], where: str) -> None:
        self._connector = connector
        self._where = where
        self._session: aiohttp.ClientSession | None = None
        self._api_version = ""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        data: Any = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> aiohttp.ClientResponse:
        """See EnginePort. Raises EngineAway when nothing was sent, Unavailable when nobody
        knows."""
        prefix = await self._prefix()
        return await self._send(
            method,
            prefix + path,
            timeout=timeout,
            params=params,
            headers=headers,
            data=data,
            json=json,
        )

    async def hijack(self, path: str, *, params: dict[str, str], json: Any = None) -> RawStream:
        """See EnginePort. Raises EngineError with the engine's answer when it refuses."""
        response = await self.request(
            "POST",
            path,
            params=params,
            headers={"Connection": "Upgrade", "Upgrade": "tcp"},
            json=json,
        )
        connection = response.connection
        if response.status != 101 or connection is None or connection.protocol is None:
            text = await error_text(response)
            raise EngineError(text, response.status)
        protocol = connection.protocol
        reader = aiohttp.StreamReader(protocol, _BUFFER, loop=asyncio.get_running_loop())
        protocol.set_parser(_Feeder(reader), reader)
        return RawStream(response, reader)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def forget_version(self) -> None:
        """Ask for the API version again: the engine may have been replaced."""
        self._api_version = ""

    async def _prefix(self) -> str:
        if not self._api_version:
            response = await self._send("GET", "/version", timeout=CONNECT_TIMEOUT)
            document = await read_json(response)
            self._api_version = str(document.get("ApiVersion", ""))
        return f"/v{self._api_version}"

    async def _send(
        self, method: str, path: str, *, timeout: float | None = None, **options: Any
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = _new_session(self._connector())
        try:
            async with asyncio.timeout(timeout or ANSWER_TIMEOUT):
                return await self._session.request(method, f"http://engine{path}", **options)
        except aiohttp.ClientConnectorError as error:
            raise EngineAway(f"{self._where} is away") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unavailable(f"{self._where} did not answer {method} {path}") from error


def socket_port(url: str) -> HttpPort:
    """EnginePort over a unix socket, given as `unix:///path` or `/path`."""
    path = url.removeprefix("unix://")
    return HttpPort(
        # Streams keep their connections, so their number has no limit here.
        lambda: aiohttp.UnixConnector(path, limit=0),
        f"the container engine at {path}",
    )


def _new_session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    # The time to connect and to the headers is bounded, the length of a stream is not.
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        read_bufsize=_BUFFER,
        # Bodies are passed on as they come, so nothing is compressed that nobody asked for.
        auto_decompress=False,
        headers={"Accept-Encoding": "identity"},
    )


async def read_json(response: aiohttp.ClientResponse) -> Any:
    """Body of a successful answer. Raises EngineError for any other status."""
    async with response:
        if response.status >= 400:
            raise EngineError(await error_text(response), response.status)
        try:
            return msgspec.json.decode(await response.read() or b"null")
        except (msgspec.DecodeError, aiohttp.ClientError) as error:
            raise Unavailable(f"the container engine answered nonsense: {error}") from error


async def error_text(response: aiohttp.ClientResponse) -> str:
    """The engine's message; closes the response."""
    async with response:
        try:
            body = await response.read()
            return str(msgspec.json.decode(body)["message"])
        except (aiohttp.ClientError, msgspec.DecodeError, KeyError, TypeError):
            return f"the container engine answered {response.status}"


async def read_lines(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """JSON documents of a stream (events, progress), one a line, until it ends or breaks."""
    pending = b""
    try:
        async for chunk in response.content.iter_any():
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield msgspec.json.decode(line)
        if pending.strip():
            yield msgspec.json.decode(pending)
    except (aiohttp.ClientError, OSError, msgspec.DecodeError):
        return
