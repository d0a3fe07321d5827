"""Everything between nodes but membership: one TCP port, an address book, calls both ways."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from shoal.model.ids import short
from shoal.node.client import ClientConnection, dial, dial_error
from shoal.node.connection import certified_node
from shoal.node.identity import Credentials, Identity
from shoal.node.link import Link, LinkLimits, LinkStats
from shoal.node.listener import Listener
from shoal.node.local import LocalCalls
from shoal.node.rpc import (
    ALPN_ENGINE,
    ALPN_RPC,
    AUTHORITIES,
    CallContext,
    Endpoint,
    Methods,
    Scope,
    Unreachable,
    hello,
    new_scope,
    pack,
    unpack,
)
from shoal.node.server import ServerConnection, ServerLimits, Service
from shoal.node.splice import engine_side
from shoal.node.tls import Contexts
from shoal.node.tunnel import open_tunnel

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")
P = TypeVar("P", bound=asyncio.Protocol)

_CHECK_EVERY = 1.0  # seconds


class Transport:
    """A member's connections to its peers.

    `on_notify(sender, payload)` runs on the event loop for each notification; it must not block.
    `admit(node_id)` says whether a certified node is still a member. `engine_socket` is the path
    of the local engine's unix socket, which peers reach through tunnels.
    """

    def __init__(
        self,
        identity: Identity,
        credentials: Credentials,
        methods: Methods,
        *,
        on_notify: Callable[[str, bytes], None],
        admit: Callable[[str], bool] = lambda _: True,
        engine_socket: str = "",
        server_limits: ServerLimits | None = None,
        link_limits: LinkLimits | None = None,
    ) -> None:
        self.node_id = identity.node_id
        self.cloud = credentials.cloud
        self.stats = LinkStats()
        self._contexts = Contexts(identity, credentials)
        self._limits = link_limits or LinkLimits()
        self._engine_socket = engine_socket
        methods.unary(AUTHORITIES, self._authorities, takes=type(None), public=True)
        self._service = Service(
            cloud=self.cloud,
            node_id=self.node_id,
            methods=methods,
            on_notify=on_notify,
            admit=admit,
            limits=server_limits or ServerLimits(),
        )
        self._local = LocalCalls(self._service)
        self._listener: Listener | None = None
        self._endpoint = Endpoint("", 0)
        self._serving: set[ServerConnection] = set()
        self._peers: dict[str, tuple[Endpoint, str]] = {}
        self._links: dict[str, Link] = {}
        self._housekeeping: asyncio.TimerHandle | None = None

    # -- life -----------------------------------------------------------------------------------

    def start(self, host: str, port: int) -> Endpoint:
        """Listen on `host` ("::" means IPv4 too); port 0 takes a free one. Raises OSError."""
        limits = self._service.limits
        self._listener = Listener(
            self._contexts.server,
            self._choose,
            handshake=limits.handshake,
            connections=limits.connections,
        )
        self._endpoint = self._listener.start(Endpoint(host, port))
        self._check()
        return self._endpoint

    async def stop(self) -> None:
        """Close everything; calls under way fail."""
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        for link in self._links.values():
            link.close()
        if self._listener is not None:
            await self._listener.stop()

    def add_authority(self, certificate: str) -> None:
        """Trust one more CA certificate (PEM) from now on."""
        self._contexts.add_authority(certificate)

    # -- address book ---------------------------------------------------------------------------

    def set_peer(self, node_id: str, host: str, port: int, *, name: str = "") -> None:
        """Where a node listens and what people call it; a new address drops its connection."""
        endpoint = Endpoint(host, port)
        known = self._peers.get(node_id)
        self._peers[node_id] = (endpoint, name or short(node_id))
        if known is not None and known[0] != endpoint and node_id in self._links:
            self._links.pop(node_id).close()

    def forget_peer(self, node_id: str) -> None:
        """Drop a node's address and break all its connections, tunnels included."""
        self._peers.pop(node_id, None)
        if node_id in self._links:
            self._links.pop(node_id).close()
        if self._listener is not None:
            self._listener.drop(lambda peer: certified_node(peer) == node_id)

    def disconnect(self, node_id: str) -> None:
        """Break our connection to a node held for dead, so that calls to it fail at once."""
        if node_id in self._links:
            self._links[node_id].disconnect()

    def connections(self) -> tuple[int, int]:
        """How many are open: those that this node dialled, and those that it answers on."""
        dialled = sum(link.connected for link in self._links.values())
        return dialled, len(self._serving)

    # -- to peers -------------------------------------------------------------------------------

    def notify(self, node_id: str, payload: bytes) -> None:
        """Send a message that may be lost; in order as long as a connection lasts."""
        if node_id == self.node_id:
            asyncio.get_running_loop().call_soon(self._service.on_notify, node_id, payload)
        elif node_id in self._peers:
            self._link(node_id).notify(payload)
        else:
            self.stats.dropped += 1

    async def call(
        self,
        target: str | Endpoint,
        method: str,
        args: object,
        *,
        returns: type[T],
        timeout: float = 10.0,
        scope: Scope | None = None,
    ) -> T:
        """Ask a node (by id, or whatever node of this cloud is at an endpoint) and wait.

        Raises what the handler raised, Unreachable (see its `maybe_done`) when there was no
        answer within `timeout` seconds, BadAnswer when it is not a `returns`.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        scope = scope or new_scope()
        raw = pack(args)
        if isinstance(target, Endpoint):
            connection = await self._dial_any(target, min(timeout, self._limits.dial))
            try:
                answer = await connection.call(method, raw, scope=scope, deadline=deadline)
            finally:
                connection.close()
        elif target == self.node_id:
            answer = await self._local.call(method, raw, scope=scope, deadline=deadline)
        else:
            answer = await self._link(target).call(method, raw, scope=scope, deadline=deadline)
        return unpack(answer, returns, method)

    async def stream(
        self,
        node_id: str,
        method: str,
        args: object,
        *,
        yields: type[T],
        scope: Scope | None = None,
    ) -> AsyncGenerator[T, None]:
        """Items that a node sends as they happen, no faster than they are taken. Raises as
        `call`; closing the generator ends the stream on both sides."""
        raw, scope = pack(args), scope or new_scope()
        way = self._local if node_id == self.node_id else self._link(node_id)
        async with contextlib.aclosing(way.stream(method, raw, scope=scope)) as items:
            async for item in items:
                yield unpack(item, yields, method)

    # -- to engines -----------------------------------------------------------------------------

    def engine_connector(self, node_id: str) -> "aiohttp.BaseConnector":
        """For an aiohttp.ClientSession that speaks to a node's engine, this node's included;
        URLs are `http://engine/...`."""
        if node_id == self.node_id:
            import aiohttp

            return aiohttp.UnixConnector(self._engine_socket, limit=0)
        from shoal.node.engine_connector import EngineConnector

        return EngineConnector(lambda factory: self.open_engine(node_id, factory))

    async def open_engine(self, node_id: str, factory: Callable[[], P]) -> P:
        """A byte stream to a node's engine for the protocol that `factory` makes. Half-close
        works. Raises Unreachable or ForeignCloud."""
        endpoint, name = self._peer(node_id)
        label, limit = _label(name, endpoint), self._limits.dial
        try:
            return await open_tunnel(endpoint, self._contexts.engine, node_id, factory, limit)
        except (OSError, ssl.SSLError, TimeoutError) as error:
            raise dial_error(error, label, limit) from error

    # -- inside ---------------------------------------------------------------------------------

    def _peer(self, node_id: str) -> tuple[Endpoint, str]:
        try:
            return self._peers[node_id]
        except KeyError:
            raise Unreachable(f"the address of node {short(node_id)} is not known") from None

    def _link(self, node_id: str) -> Link:
        link = self._links.get(node_id)
        if link is None:
            endpoint, _ = self._peer(node_id)
            link = Link(endpoint, self._dialler(node_id, endpoint), self._limits, self.stats)
            self._links[node_id] = link
        return link

    def _dialler(
        self, node_id: str, endpoint: Endpoint
    ) -> Callable[[Callable[[], None]], Awaitable[ClientConnection]]:
        def run(on_writable: Callable[[], None]) -> Awaitable[ClientConnection]:
            return dial(
                endpoint,
                self._contexts.rpc,
                hello(self.cloud, self.node_id),
                label=_label(self._peers[node_id][1], endpoint),
                timeout=self._limits.dial,
                expected=node_id,
                on_writable=on_writable,
            )

        return run

    async def _dial_any(self, endpoint: Endpoint, timeout: float) -> ClientConnection:
        greeting = hello(self.cloud, self.node_id)
        label = f"the node at {endpoint}"
        return await dial(endpoint, self._contexts.any_node, greeting, label=label, timeout=timeout)

    def _choose(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """The protocol for a peer that has finished its TLS handshake."""
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        alpn, peer = tls.selected_alpn_protocol(), certified_node(transport)
        if alpn == ALPN_ENGINE and peer and self._service.admit(peer) and self._engine_socket:
            return engine_side(self._engine_socket)
        strangers = sum(not connection.peer for connection in self._serving)
        if alpn != ALPN_RPC or (not peer and strangers >= self._service.limits.strangers):
            return None
        connection = ServerConnection(self._service, self._serving.discard)
        self._serving.add(connection)
        return connection

    def _check(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for link in self._links.values():
            link.check(now)
        for connection in list(self._serving):
            connection.check(now)
        self._housekeeping = loop.call_later(_CHECK_EVERY, self._check)

    async def _authorities(self, context: CallContext, args: None) -> list[str]:
        return self._contexts.authorities


def _label(name: str, endpoint: Endpoint) -> str:
    return f"node {name} ({endpoint})"
