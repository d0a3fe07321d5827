"""The far end of a tunnel: joins it to the local engine's unix socket, byte for byte."""

import asyncio
from typing import cast

import structlog

from shoal.node.tunnel import TunnelWire

log = structlog.get_logger("shoal.rpc")

_CONNECT = 5.0  # seconds for the engine to accept


class _Pipe(asyncio.Protocol):
    """One side. What comes in goes out on the other, at the pace of the slower one."""

    transport: asyncio.Transport
    other: "_Pipe"

    def __init__(self) -> None:
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.other.transport.is_closing():
            self.other.transport.write(data)

    def eof_received(self) -> bool:
        self.ended = True
        if self.other.ended:
            self.other.transport.close()
            return False
        if not self.other.transport.is_closing():
            self.other.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self.other.transport.close()
        else:
            self.other.transport.abort()


class _TunnelSide(_Pipe):
    """The side of the peer; connects to the engine before it reads anything."""

    def __init__(self, engine_socket: str) -> None:
        super().__init__()
        self._engine_socket = engine_socket
        self._connecting: asyncio.Task[None] | None = None
        self._joined = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.pause_reading()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._joined:
            super().connection_lost(exc)
        elif self._connecting is not None:
            self._connecting.cancel()

    async def _connect(self) -> None:
        engine = _Pipe()
        engine.other = self
        try:
            async with asyncio.timeout(_CONNECT):
                await asyncio.get_running_loop().create_unix_connection(
                    lambda: engine, self._engine_socket
                )
        except (OSError, TimeoutError) as error:
            log.warning("a peer cannot reach the engine", error=str(error))
            self.transport.abort()
            return
        self.other = engine
        self._joined = True
        self.transport.resume_reading()


def engine_side(engine_socket: str) -> asyncio.Protocol:
    """Protocol for an accepted tunnel connection."""
    return TunnelWire(lambda: _TunnelSide(engine_socket))
