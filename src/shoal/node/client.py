"""The asking end of an RPC connection: calls, streams and notifications to one peer."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from itertools import count
from typing import TYPE_CHECKING

import msgspec

from shoal.model.errors import TooLarge, revive
from shoal.node.certificates import server_name
from shoal.node.connection import MessageProtocol, certified_node
from shoal.node.frames import MAX_FRAME, FrameTooLarge
from shoal.node.rpc import (
    Cancel,
    Credit,
    End,
    Endpoint,
    Failure,
    ForeignCloud,
    Hello,
    Item,
    Message,
    Notify,
    Ping,
    Pong,
    ProtocolMismatch,
    Refused,
    Reply,
    Request,
    Scope,
    Unreachable,
    Welcome,
)

if TYPE_CHECKING:
    from shoal.model.errors import ShoalError

#: Items that a stream's server may send ahead of its reader.
WINDOW = 64

_HOSTNAME_MISMATCH = 62  # OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH


class ClientConnection(MessageProtocol):
    """One connection that we dialled. `label` names the peer in errors."""

    def __init__(self, hello: Hello, label: str, on_writable: Callable[[], None]) -> None:
        super().__init__()
        self.label = label
        self.node_id = ""
        self._hello = hello
        self._on_writable = on_writable
        self._welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self._numbers = count(1)
        self._calls: dict[int, asyncio.Future[msgspec.Raw]] = {}
        self._streams: dict[int, asyncio.Queue[Item | End | ShoalError]] = {}
        self._owed_since: float | None = None  # since when the peer should have said something
        self.used_at = self._loop.time()

    async def handshake(self) -> Welcome:
        """Exchange Hello and Welcome. Raises ShoalError when refused or not understood."""
        self.send(self._hello)
        return await self._welcome

    @property
    def busy(self) -> bool:
        return bool(self._calls or self._streams)

    def notify(self, payload: bytes) -> None:
        self._post(Notify(payload))

    async def call(
        self, method: str, args: msgspec.Raw, *, scope: Scope, deadline: float
    ) -> msgspec.Raw:
        """Ask and wait for the answer until `deadline` (loop time). Raises ShoalError."""
        number = next(self._numbers)
        answer: asyncio.Future[msgspec.Raw] = self._loop.create_future()
        sent = False
        try:
            async with asyncio.timeout_at(deadline):
                await self.writable()
                self._check_open()
                budget = max(1, int((deadline - self._loop.time()) * 1e9))
                self._calls[number] = answer
                self._post(Request(number, method, budget, self._hello.cloud, scope, args))
                sent = True
                return await answer
        except FrameTooLarge as error:
            raise TooLarge(f"the call `{method}` is too large: {error}") from error
        except TimeoutError:
            raise Unreachable(
                f"{self.label} did not answer `{method}` in time", maybe_done=sent
            ) from None
        finally:
            if self._calls.pop(number, None) is not None:
                self._post(Cancel(number))

    async def stream(
        self, method: str, args: msgspec.Raw, *, scope: Scope, window: int = WINDOW
    ) -> AsyncGenerator[msgspec.Raw, None]:
        """Items as they come. Closing the generator frees the server's end. Raises ShoalError."""
        number = next(self._numbers)
        inbox: asyncio.Queue[Item | End | ShoalError] = asyncio.Queue()
        self._check_open()
        self._streams[number] = inbox
        ended = False
        try:
            await self.writable()
            self._post(Request(number, method, 0, self._hello.cloud, scope, args, window))
            taken = 0
            while True:
                event = await inbox.get()
                if not isinstance(event, Item):
                    ended = True
                    if isinstance(event, End):
                        return
                    raise event
                yield event.value
                taken += 1
                if taken * 2 >= window:
                    self._post(Credit(number, taken))
                    taken = 0
        finally:
            self._streams.pop(number, None)
            if not ended:
                self._post(Cancel(number))

    def check(self, now: float, *, ping_after: float, dead_after: float) -> None:
        """Called now and then: probe a peer that owes us an answer, give up a silent one."""
        if self._owed_since is None:
            return
        silent = now - self._owed_since
        if silent > dead_after:
            self.abort()
        elif silent > ping_after:
            self.send(Ping())

    def _post(self, message: Message) -> None:
        self.send(message)
        self.used_at = self._loop.time()
        if self._owed_since is None:
            self._owed_since = self.used_at

    def _check_open(self) -> None:
        if not self.open:
            raise Unreachable(f"the connection to {self.label} broke")

    # -- what comes in --------------------------------------------------------------------------

    def message_received(self, message: Message) -> None:
        match message:
            case Reply(number, value):
                self._answer(number, value)
            case Failure(number, status, text):
                self._fail(number, revive(status, text))
            case Item(number, _) | End(number):
                self._streamed(number, message)
            case Pong():
                pass
            case Welcome() if not self._welcome.done():
                self._welcomed(message)
            case Refused(kind, status, text) if not self._welcome.done():
                self._welcome.set_exception(self._refused(kind, status, text))
            case _:
                self.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._owed_since = self.received_at if self.busy else None

    def resume_writing(self) -> None:
        super().resume_writing()
        self._on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if not self._welcome.done():
            self._welcome.set_exception(self._lost_early())
        why = f"the connection to {self.label} broke" + (f": {exc}" if exc else "")
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(Unreachable(why, maybe_done=True))
        for inbox in self._streams.values():
            inbox.put_nowait(Unreachable(why, maybe_done=True))

    def _welcomed(self, welcome: Welcome) -> None:
        self.node_id = certified_node(self.transport)
        if self._hello.cloud and welcome.cloud != self._hello.cloud:
            error = ForeignCloud(f"{self.label} belongs to another cloud ({welcome.cloud})")
            self._welcome.set_exception(error)
        else:
            self._decoder.limit = MAX_FRAME
            self._welcome.set_result(welcome)

    def _refused(self, kind: str, status: int, text: str) -> "ShoalError":
        line = f"{self.label} refused the connection: {text}"
        if kind == "protocol":
            return ProtocolMismatch(line)
        return ForeignCloud(line) if kind == "cloud" else revive(status, line)

    def _lost_early(self) -> "ShoalError":
        # With TLS 1.3 the server judges our certificate when our side has long been done, and
        # uvloop keeps the alert to itself: all that can be seen is the end of the connection.
        return Unreachable(
            f"{self.label} closed the connection before its greeting: "
            "it is overloaded or does not accept this node's certificate"
        )

    def _answer(self, number: int, value: msgspec.Raw) -> None:
        answer = self._calls.pop(number, None)
        if answer is not None and not answer.done():
            answer.set_result(value)

    def _fail(self, number: int, error: "ShoalError") -> None:
        answer = self._calls.pop(number, None)
        inbox = self._streams.get(number)
        if answer is not None and not answer.done():
            answer.set_exception(error)
        elif inbox is not None:
            inbox.put_nowait(error)

    def _streamed(self, number: int, event: Item | End) -> None:
        inbox = self._streams.get(number)
        if inbox is None:
            return
        inbox.put_nowait(event)
        if inbox.qsize() > 2 * WINDOW:  # it ignores our window: never buffer without bound
            self.abort()


async def dial(
    endpoint: Endpoint,
    context: ssl.SSLContext,
    hello: Hello,
    *,
    label: str,
    timeout: float,
    expected: str = "",
    on_writable: Callable[[], None] = lambda: None,
) -> ClientConnection:
    """Connect, check the certificate and greet, within `timeout` seconds in all.

    `expected` is the node id to find there, "" for any node of the cloud. Raises Unreachable,
    ForeignCloud, ProtocolMismatch or what the peer refused with.
    """
    connection: ClientConnection | None = None
    try:
        async with asyncio.timeout(timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: ClientConnection(hello, label, on_writable),
                endpoint.host,
                endpoint.port,
                ssl=context,
                server_hostname=server_name(expected) if expected else "any.node.shoal",
                ssl_handshake_timeout=timeout,
            )
            await connection.handshake()
            return connection
    except BaseException as error:
        if connection is not None:
            connection.abort()
        if isinstance(error, OSError | TimeoutError | ssl.SSLError):
            raise dial_error(error, label, timeout) from error
        raise


def dial_error(error: Exception, label: str, timeout: float) -> "ShoalError":
    """The error for users when a connection could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _HOSTNAME_MISMATCH:
            return Unreachable(f"another node answers in the place of {label}")
        return ForeignCloud(f"{label} is no node of this cloud: {error.verify_message}")
    if isinstance(error, TimeoutError):
        return Unreachable(f"{label} does not answer within {timeout:g} s")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Unreachable(f"{label} does not answer: {reason}")
