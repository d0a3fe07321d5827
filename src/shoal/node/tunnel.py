"""A tunnel to another node's engine, as an asyncio transport.

TLS cannot close one direction and keep the other, as `docker run -i` needs at the end of its
input. So the bytes travel in frames, and an empty frame is the end of one direction.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, TypeVar, cast

from shoal.node.certificates import server_name
from shoal.node.frames import FrameDecoder, FrameError, frame
from shoal.node.rpc import Endpoint

P = TypeVar("P", bound=asyncio.Protocol)

CHUNK = 64 << 10  # bytes in one frame
_EOF = frame(b"")


class TunnelTransport(asyncio.Transport):
    """What a protocol sees: a byte stream with half-close, over a TLS connection."""

    def __init__(self, wire: asyncio.Transport, protocol: asyncio.Protocol | None = None) -> None:
        super().__init__()
        self._wire = wire
        self._protocol = protocol
        self._eof_sent = False
        self.closed_here = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._eof_sent:
            raise RuntimeError("the tunnel is closed for writing")
        view = memoryview(data).cast("B")
        for start in range(0, len(view), CHUNK):
            self._wire.write(frame(bytes(view[start : start + CHUNK])))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._eof_sent and not self._wire.is_closing():
            self._eof_sent = True
            self._wire.write(_EOF)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        # `socket` and TLS belong to the wire: who tunes or inspects them is not meant to here.
        return self._wire.get_extra_info(name, default) if name == "peername" else default

    def close(self) -> None:
        self.closed_here = True
        self._wire.close()

    def abort(self) -> None:
        self.closed_here = True
        self._wire.abort()

    def is_closing(self) -> bool:
        return self._wire.is_closing()

    def pause_reading(self) -> None:
        if not self._wire.is_closing():
            self._wire.pause_reading()

    def resume_reading(self) -> None:
        if not self._wire.is_closing():
            self._wire.resume_reading()

    def is_reading(self) -> bool:
        return self._wire.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._wire.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._wire.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._wire.set_write_buffer_limits(high, low)


class TunnelWire(asyncio.Protocol):
    """The protocol on the TLS connection: cuts frames and feeds the tunnel's protocol."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._decoder = FrameDecoder(CHUNK)
        self._eof_seen = False
        self.tunnel: TunnelTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        inner = self._factory()
        self.tunnel = TunnelTransport(cast(asyncio.Transport, transport), inner)
        inner.connection_made(self.tunnel)

    def data_received(self, data: bytes) -> None:
        try:
            bodies = self._decoder.feed(data)
        except FrameError:
            self._tunnel.abort()
            return
        for body in bodies:
            if body:
                # Asked for each time: HTTP libraries change the protocol at an upgrade.
                self._inner.data_received(body)
            elif not self._eof_seen:
                self._eof_seen = True
                if not self._inner.eof_received():
                    self._tunnel.close()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and not self._eof_seen and not self._tunnel.closed_here:
            exc = ConnectionResetError("the tunnel to the node broke")
        self._inner.connection_lost(exc)

    @property
    def _tunnel(self) -> TunnelTransport:
        assert self.tunnel is not None
        return self.tunnel

    @property
    def _inner(self) -> asyncio.Protocol:
        return cast(asyncio.Protocol, self._tunnel.get_protocol())


async def open_tunnel(
    endpoint: Endpoint,
    context: ssl.SSLContext,
    node_id: str,
    factory: Callable[[], P],
    timeout: float,
) -> P:
    """Connect the protocol that `factory` makes to the engine of the node at `endpoint`, which
    must prove `node_id`. Raises OSError, ssl.SSLError or TimeoutError."""
    inner = factory()
    async with asyncio.timeout(timeout):
        await asyncio.get_running_loop().create_connection(
            lambda: TunnelWire(lambda: inner),
            endpoint.host,
            endpoint.port,
            ssl=context,
            server_hostname=server_name(node_id),
            ssl_handshake_timeout=timeout,
        )
    return inner
