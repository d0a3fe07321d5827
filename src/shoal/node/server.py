"""The answering end of RPC connections."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, nullcontext
from typing import Any, cast

import msgspec
import structlog

from shoal.model.errors import BadRequest, Forbidden, ShoalError, Unavailable
from shoal.node.connection import MessageProtocol, certified_node
from shoal.node.frames import MAX_FRAME, FrameTooLarge
from shoal.node.rpc import (
    CallContext,
    Cancel,
    Credit,
    End,
    Failure,
    ForeignCloud,
    Hello,
    Item,
    Message,
    Method,
    Methods,
    Notify,
    Ping,
    Pong,
    Reply,
    Request,
    Welcome,
    negotiate,
    pack,
    refusal,
)

log = structlog.get_logger("shoal.rpc")


class ServerLimits(msgspec.Struct, frozen=True):
    """Bounds on what peers can make a node hold; times in seconds."""

    connections: int = 4096
    strangers: int = 64  # connections whose peer has not shown a certificate
    requests: int = 1024  # unanswered ones of one connection
    streams: int = 256  # open ones of one connection
    handshake: float = 5.0  # for TLS and Hello
    stranger_lifetime: float = 30.0
    silence: float = 90.0  # after which an unused connection is closed


class Service(msgspec.Struct):
    """What connections need of their node."""

    cloud: str
    node_id: str
    methods: Methods
    on_notify: Callable[[str, bytes], None]
    admit: Callable[[str], bool]  # False for a removed node
    limits: ServerLimits


class ServerConnection(MessageProtocol):
    """One connection that a peer dialled."""

    def __init__(self, service: Service, on_lost: Callable[["ServerConnection"], None]) -> None:
        super().__init__()
        self._service = service
        self._on_lost = on_lost
        self._hello: Hello | None = None
        self._protocol = 0
        self._address = ""
        self._made_at = self._loop.time()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._windows: dict[int, asyncio.Semaphore] = {}
        self.peer = ""  # proved by certificate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.peer = certified_node(transport)
        self._address = str((transport.get_extra_info("peername") or ("",))[0])

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for task in self._tasks.values():
            task.cancel()
        self._on_lost(self)

    def check(self, now: float) -> None:
        """Called now and then: close what is silent, unfinished or has stayed too long."""
        limits = self._service.limits
        if self._hello is None:
            late = now - self._made_at > limits.handshake
        elif not self.peer:
            late = now - self._made_at > limits.stranger_lifetime
        else:
            late = now - self.received_at > limits.silence
        if late:
            self.abort()

    def message_received(self, message: Message) -> None:
        if self._hello is None:
            if isinstance(message, Hello):
                self._greet(message)
            else:
                self.abort()
            return
        match message:
            case Notify(payload) if self.peer:
                self._notified(payload)
            case Request():
                self._accept(message)
            case Cancel(number):
                task = self._tasks.get(number)
                if task is not None:
                    task.cancel()
            case Credit(number, items):
                for _ in range(min(items, self._service.limits.requests)):
                    if number in self._windows:
                        self._windows[number].release()
            case Ping():
                self.send(Pong())
            case _:
                self.abort()

    def _greet(self, hello: Hello) -> None:
        try:
            self._protocol = negotiate(hello)
            self._check_identity(hello)
        except ShoalError as error:
            self.send(refusal(error))
            self.close()
            return
        self._hello = hello
        if self.peer:
            self._decoder.limit = MAX_FRAME
        service = self._service
        self.send(Welcome(self._protocol, service.cloud, service.node_id))

    def _check_identity(self, hello: Hello) -> None:
        if hello.cloud != self._service.cloud and (self.peer or hello.cloud):
            raise ForeignCloud(
                f"your node belongs to cloud {hello.cloud}, this one to {self._service.cloud}"
            )
        if self.peer and hello.node_id != self.peer:
            raise Forbidden("your node's certificate names another node: join again")
        if self.peer and not self._service.admit(self.peer):
            raise Forbidden("your node was removed from this cloud: join again with a new token")

    def _notified(self, payload: bytes) -> None:
        try:
            self._service.on_notify(self.peer, payload)
        except Exception:
            log.exception("BUG: a message could not be handled", peer=self.peer)

    # -- requests -------------------------------------------------------------------------------

    def _accept(self, request: Request) -> None:
        number = request.number
        if number in self._tasks:
            self.abort()
            return
        try:
            method = self._check(request)
        except ShoalError as error:
            self.send(Failure(number, error.status, error.text))
            return
        if request.window > 0:
            self._windows[number] = asyncio.Semaphore(request.window)
        self._tasks[number] = self._loop.create_task(self._serve(request, method))

    def _check(self, request: Request) -> Method[Any]:
        limits = self._service.limits
        if request.cloud != self._service.cloud and (self.peer or request.cloud):
            raise ForeignCloud(f"the call is meant for cloud {request.cloud}")
        if len(self._tasks) >= limits.requests:
            raise Unavailable(f"over {limits.requests} calls are under way: try again")
        if request.window > 0 and len(self._windows) >= limits.streams:
            raise Unavailable(f"over {limits.streams} streams are open: close some")
        stream = request.window > 0
        return self._service.methods.find(
            request.method, stream=stream, authenticated=bool(self.peer)
        )

    async def _serve(self, request: Request, method: Method[Any]) -> None:
        number = request.number
        try:
            answer = await self._answer(request, method)
            await self.writable()
            self._send_answer(number, answer)
        finally:
            self._tasks.pop(number, None)
            self._windows.pop(number, None)

    def _send_answer(self, number: int, answer: Message) -> None:
        try:
            self.send(answer)
        except FrameTooLarge as error:
            self.send(Failure(number, 413, f"the answer is too large: {error}"))

    async def _answer(self, request: Request, method: Method[Any]) -> Message:
        number = request.number
        try:
            if request.window > 0:
                await self._stream(request, method)
                return End(number)
            context = self._context(request)
            return Reply(number, await answer_call(context, request.method, method, request.args))
        except ShoalError as error:
            return Failure(number, error.status, error.text)
        except Exception as error:
            log.exception("BUG: a call failed", method=request.method, peer=self.peer)
            return Failure(number, 500, f"BUG: `{request.method}` failed: {error!r}")

    async def _stream(self, request: Request, method: Method[Any]) -> None:
        args = decode_args(request.method, method, request.args)
        assert method.streaming is not None
        items = method.streaming(self._context(request), args)
        window = self._windows[request.number]
        async with closing(items):
            async for item in items:
                await window.acquire()
                await self.writable()
                self.send(Item(request.number, pack(item)))

    def _context(self, request: Request) -> CallContext:
        budget = request.budget / 1e9
        return CallContext(
            peer=self.peer,
            address=self._address,
            cloud=self._service.cloud,
            protocol=self._protocol,
            scope=request.scope,
            deadline=self._loop.time() + budget if budget else math.inf,
        )


def decode_args(name: str, method: Method[Any], args: msgspec.Raw) -> Any:
    """Raises BadRequest."""
    try:
        return msgspec.msgpack.decode(args, type=method.takes)
    except msgspec.DecodeError as error:
        raise BadRequest(f"the arguments of `{name}` are wrong: {error}") from error


async def answer_call(
    context: CallContext, name: str, method: Method[Any], args: msgspec.Raw
) -> msgspec.Raw:
    """Run a unary handler until its deadline. Raises ShoalError, or what the handler raises."""
    decoded = decode_args(name, method, args)
    assert method.unary is not None
    limit = None if math.isinf(context.deadline) else context.deadline
    try:
        async with asyncio.timeout_at(limit) as timer:
            return pack(await method.unary(context, decoded))
    except TimeoutError:
        if not timer.expired():
            raise
        raise Unavailable(f"`{name}` was not done when its time was over") from None


def closing(items: AsyncIterator[Any]) -> Any:
    """A context that closes an async generator; other iterators need no closing."""
    return aclosing(cast(Any, items)) if hasattr(items, "aclose") else nullcontext()
