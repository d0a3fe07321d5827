"""The way to one peer: dialled when needed, dropped when idle, never in the way of others."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from shoal.model.errors import ShoalError
from shoal.node.client import ClientConnection
from shoal.node.frames import MAX_FRAME
from shoal.node.rpc import Endpoint, Scope, Unreachable


class LinkLimits(msgspec.Struct, frozen=True):
    """Times in seconds, sizes in bytes."""

    dial: float = 3.0  # TCP, TLS and greeting together
    retry_first: float = 0.1  # pause after a failed dial, doubled up to retry_most
    retry_most: float = 1.0
    idle: float = 60.0
    ping_after: float = 2.0  # of silence while an answer is owed
    dead_after: float = 8.0  # longer than the 5 s after which a blocked daemon is ended
    queued_messages: int = 4096
    queued_bytes: int = 16 << 20


class LinkStats(msgspec.Struct):
    sent: int = 0  # notifications
    dropped: int = 0  # notifications, for want of room or of a connection
    dials: int = 0
    failures: int = 0  # of dials


#: Bytes in one notification: a frame less what surrounds the payload.
_LARGEST = MAX_FRAME - 64

Dial = Callable[[Callable[[], None]], Awaitable[ClientConnection]]


class Link:
    """`dial(on_writable)` makes a greeted connection to this peer."""

    def __init__(self, endpoint: Endpoint, dial: Dial, limits: LinkLimits, stats: LinkStats):
        self.endpoint = endpoint
        self._dial = dial
        self._limits = limits
        self._stats = stats
        self._loop = asyncio.get_running_loop()
        self._connection: ClientConnection | None = None
        self._dialling: asyncio.Task[ClientConnection] | None = None
        self._queue: deque[bytes] = deque()
        self._queued = 0  # bytes
        self._pause = 0.0
        self._retry_at = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.open

    # -- notifications --------------------------------------------------------------------------

    def notify(self, payload: bytes) -> None:
        """Send when possible; the oldest waiting ones are dropped when too much waits, and one
        that no frame can hold."""
        if self._closed or len(payload) > _LARGEST:
            self._stats.dropped += 1
            return
        self._queue.append(payload)
        self._queued += len(payload)
        limits = self._limits
        while len(self._queue) > limits.queued_messages or self._queued > limits.queued_bytes:
            self._queued -= len(self._queue.popleft())
            self._stats.dropped += 1
        self._pump()

    def _pump(self) -> None:
        connection = self._connection
        if connection is None or not connection.open:
            if self._queue:
                self._dial_soon()
            return
        while self._queue and connection.can_write:
            payload = self._queue.popleft()
            self._queued -= len(payload)
            connection.notify(payload)
            self._stats.sent += 1

    def _dial_soon(self) -> None:
        wait = self._retry_at - self._loop.time()
        if wait <= 0:
            self._start_dial()
        elif self._retry is None:
            self._retry = self._loop.call_later(wait, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        self._pump()

    # -- calls ----------------------------------------------------------------------------------

    async def call(
        self, method: str, args: msgspec.Raw, *, scope: Scope, deadline: float
    ) -> msgspec.Raw:
        """Raises ShoalError."""
        try:
            async with asyncio.timeout_at(deadline):
                connection = await self._connected()
        except TimeoutError:
            raise Unreachable(f"node at {self.endpoint} does not answer in time") from None
        return await connection.call(method, args, scope=scope, deadline=deadline)

    async def stream(
        self, method: str, args: msgspec.Raw, *, scope: Scope
    ) -> AsyncGenerator[msgspec.Raw, None]:
        """Raises ShoalError."""
        connection = await self._connected()
        items = connection.stream(method, args, scope=scope)
        try:
            async for item in items:
                yield item
        finally:
            await items.aclose()

    # -- the connection -------------------------------------------------------------------------

    async def _connected(self) -> ClientConnection:
        # Calls dial at once, also in the pause after a failure: their callers wait for them.
        if self._connection is not None and self._connection.open:
            return self._connection
        dialling = self._start_dial()
        try:
            # Shielded: one caller's timeout must not end the dial that others wait for.
            return await asyncio.shield(dialling)
        except asyncio.CancelledError:
            if not dialling.cancelled():
                raise  # it is the caller who was cancelled
            raise Unreachable(f"the way to {self.endpoint} was closed") from None

    def _start_dial(self) -> asyncio.Task[ClientConnection]:
        if self._dialling is None:
            self._stats.dials += 1
            self._dialling = self._loop.create_task(self._try())
            self._dialling.add_done_callback(_retrieve)
        return self._dialling

    async def _try(self) -> ClientConnection:
        try:
            if self._closed:
                raise Unreachable(f"the way to {self.endpoint} is closed")
            self._connection = await self._dial(self._pump)
        except ShoalError:
            self._failed()
            raise
        else:
            self._pause = 0.0
            self._loop.call_soon(self._pump)
            return self._connection
        finally:
            if self._dialling is asyncio.current_task():
                self._dialling = None

    def _failed(self) -> None:
        limits = self._limits
        self._stats.failures += 1
        # Messages are worth something now or not at all: their senders repeat them.
        self._stats.dropped += len(self._queue)
        self._queue.clear()
        self._queued = 0
        self._pause = min(limits.retry_most, max(limits.retry_first, self._pause * 2))
        self._retry_at = self._loop.time() + self._pause

    def check(self, now: float) -> None:
        """Called about once a second: probe, give up or close the connection."""
        connection = self._connection
        if connection is None:
            return
        limits = self._limits
        if not connection.open:
            self._connection = None
        elif not connection.busy and now - connection.used_at > limits.idle and not self._queue:
            connection.close()
            self._connection = None
        else:
            connection.check(now, ping_after=limits.ping_after, dead_after=limits.dead_after)

    def disconnect(self) -> None:
        """Break the connection now: calls under way fail, the next use dials again."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._dialling = None
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        self._pause = self._retry_at = 0.0

    def close(self) -> None:
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        self._queue.clear()
        self.disconnect()


def _retrieve(task: asyncio.Task[ClientConnection]) -> None:
    """The outcome is for whoever waits; with nobody there it must not be reported as lost."""
    if not task.cancelled():
        task.exception()
