"""Accepting peers: TLS with a bound on time and number, then the protocol that ALPN named."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

import structlog

from shoal.node.rpc import Endpoint

log = structlog.get_logger("shoal.rpc")

_ACCEPT_PAUSE = 0.1  # seconds, when the system has no descriptor left
_BACKLOG = 256


class Listener:
    """`protocol(alpn)` makes the protocol for a new connection, or None to refuse it."""

    def __init__(
        self,
        context: ssl.SSLContext,
        protocol: Callable[[asyncio.Transport], asyncio.Protocol | None],
        *,
        handshake: float,
        connections: int,
    ) -> None:
        self._context = context
        self._protocol = protocol
        self._handshake = handshake
        self._limit = connections
        self._shaking = 0
        self._gates: set[_Gate] = set()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, endpoint: Endpoint) -> Endpoint:
        """Listen; port 0 takes a free one. Returns where. Raises OSError."""
        v6 = ":" in endpoint.host
        self._socket = socket.create_server(
            (endpoint.host, endpoint.port),
            family=socket.AF_INET6 if v6 else socket.AF_INET,
            backlog=_BACKLOG,
            dualstack_ipv6=endpoint.host == "::" and socket.has_dualstack_ipv6(),
        )
        self._socket.setblocking(False)
        self._task = asyncio.get_running_loop().create_task(self._accept(self._socket))
        host, port = self._socket.getsockname()[:2]
        return Endpoint(host, port)

    async def stop(self) -> None:
        """Stop listening and break all connections."""
        tasks = [*self._handshakes, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        self.drop(lambda _: True)

    def drop(self, chosen: Callable[[asyncio.Transport], bool]) -> None:
        """Break the connections that are `chosen`."""
        for gate in list(self._gates):
            if chosen(gate.transport):
                gate.transport.abort()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("cannot accept a connection", error=str(error))
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            if self._shaking + len(self._gates) >= self._limit:
                accepted.close()
                continue
            self._shaking += 1
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = loop.create_task(self._welcome(accepted))
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)

    async def _welcome(self, accepted: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Gate(self._protocol, self._gates),
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake,
            )
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.info("a peer failed the TLS handshake", error=str(error))
            accepted.close()
        finally:
            self._shaking -= 1


class _Gate(asyncio.Protocol):
    """Hands the connection to its real protocol; in `gates` from TLS to the loss."""

    transport: asyncio.Transport

    def __init__(
        self,
        choose: Callable[[asyncio.Transport], asyncio.Protocol | None],
        gates: "set[_Gate]",
    ) -> None:
        self._choose = choose
        self._gates = gates
        self._inner: asyncio.Protocol = asyncio.Protocol()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass
        self._gates.add(self)
        inner = self._choose(self.transport)
        if inner is None:
            self.transport.abort()
            return
        self._inner = inner
        self.data_received = inner.data_received  # type: ignore[method-assign]
        inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Replaced by the real protocol's own, to save a call per read."""

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gates.discard(self)
        self._inner.connection_lost(exc)
