"""The language of node-to-node RPC, pure: messages, what a call carries, errors, methods.

A connection carries requests one way: the node that dialled asks, the other answers. It opens
with Hello and Welcome (or Refused). Arguments and results are msgpack inside msgpack, decoded
only where their type is known. New trailing fields and new methods are compatible changes; a
new message needs a new PROTOCOL.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec

from shoal import OLDEST_PROTOCOL, PROTOCOL
from shoal.model.errors import Forbidden, NotSupported, ShoalError, Unavailable
from shoal.node.frames import HEADER, MAX_FRAME, FrameGarbage, check_size

ALPN_RPC = "shoal-rpc"
ALPN_ENGINE = "shoal-engine"

#: Public method of every node: the CA certificates (PEM) that it trusts.
AUTHORITIES = "authorities"


class Unreachable(Unavailable):
    """The peer did not answer. With `maybe_done` it may have got the request all the same."""

    def __init__(self, text: str, *, maybe_done: bool = False) -> None:
        super().__init__(text)
        self.maybe_done = maybe_done


class ProtocolMismatch(NotSupported):
    """One side is too old for the other."""


class ForeignCloud(Forbidden):
    """The peer belongs to another cloud."""


class BadAnswer(ShoalError):
    """The peer's answer is not what the call returns: a bug, or an incompatible version."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a node listens; `host` is an IPv4 or IPv6 address without brackets, or a name."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> "Endpoint":
        """`host:port` or `[ipv6]:port`. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"`{text}` is no address: it should be HOST:PORT or [IPv6]:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


class Scope(msgspec.Struct, frozen=True, array_like=True):
    """On whose behalf a call is made. An empty principal is the node itself."""

    principal: str = ""
    vcluster: str = ""  # id
    request_id: str = ""


class CallContext(msgspec.Struct, frozen=True):
    """What a handler knows of its caller."""

    peer: str  # node id proved by certificate; "" for a joining node
    address: str  # the IP address that it calls from
    cloud: str
    protocol: int
    scope: Scope
    deadline: float  # seconds on the event loop's clock; inf for streams


# -- messages -----------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):
    protocol: int
    oldest: int
    cloud: str  # "" from a joining node
    node_id: str


class Welcome(msgspec.Struct, frozen=True, array_like=True, tag=2):
    protocol: int  # the one that both speak
    cloud: str
    node_id: str


class Refused(msgspec.Struct, frozen=True, array_like=True, tag=3):
    kind: str  # protocol | cloud | other
    status: int
    text: str


class Notify(msgspec.Struct, frozen=True, array_like=True, tag=4):
    payload: bytes


class Request(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """A call, or a stream when `window` (items that may be sent ahead) is not 0."""

    number: int
    method: str
    budget: int  # ns left until the caller gives up; 0 for streams
    cloud: str
    scope: Scope
    args: msgspec.Raw
    window: int = 0


class Reply(msgspec.Struct, frozen=True, array_like=True, tag=6):
    number: int
    value: msgspec.Raw


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=7):
    number: int
    status: int
    text: str


class Item(msgspec.Struct, frozen=True, array_like=True, tag=8):
    number: int
    value: msgspec.Raw


class End(msgspec.Struct, frozen=True, array_like=True, tag=9):
    number: int


class Credit(msgspec.Struct, frozen=True, array_like=True, tag=10):
    number: int
    items: int


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=11):
    number: int


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=12):
    pass


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=13):
    pass


Message = (
    Hello
    | Welcome
    | Refused
    | Notify
    | Request
    | Reply
    | Failure
    | Item
    | End
    | Credit
    | Cancel
    | Ping
    | Pong
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytearray:
    """A message as a frame. Raises FrameTooLarge."""
    buffer = bytearray(HEADER)
    _encoder.encode_into(message, buffer, HEADER)
    size = len(buffer) - HEADER
    check_size(size, MAX_FRAME)
    buffer[:HEADER] = size.to_bytes(HEADER)
    return buffer


def decode(body: bytes) -> Message:
    """The message in a frame. Raises FrameGarbage."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise FrameGarbage(f"no message of protocol {PROTOCOL}: {error}") from error


def pack(value: object) -> msgspec.Raw:
    """Arguments or a result, ready to be put in a message."""
    return msgspec.Raw(_encoder.encode(value))


T = TypeVar("T")


def unpack(value: msgspec.Raw, returns: type[T], method: str) -> T:
    """A result. Raises BadAnswer."""
    try:
        return msgspec.msgpack.decode(value, type=returns)
    except msgspec.DecodeError as error:
        raise BadAnswer(f"BUG: the answer to `{method}` makes no sense: {error}") from error


def hello(cloud: str, node_id: str) -> Hello:
    return Hello(PROTOCOL, OLDEST_PROTOCOL, cloud, node_id)


def negotiate(theirs: Hello, *, protocol: int = PROTOCOL, oldest: int = OLDEST_PROTOCOL) -> int:
    """The newest protocol that both speak. Raises ProtocolMismatch, worded for the caller."""
    if theirs.protocol < oldest:
        raise ProtocolMismatch(
            f"your node speaks protocol {theirs.protocol}, this one {oldest} to {protocol}: "
            "update Shoal on your node"
        )
    if protocol < theirs.oldest:
        raise ProtocolMismatch(
            f"this node speaks protocol {protocol}, yours needs {theirs.oldest}: "
            "update Shoal on this node"
        )
    return min(protocol, theirs.protocol)


def refusal(error: ShoalError) -> Refused:
    kinds = {ProtocolMismatch: "protocol", ForeignCloud: "cloud"}
    return Refused(kinds.get(type(error), "other"), error.status, error.text)


def new_scope(principal: str = "", vcluster: str = "") -> Scope:
    """A scope with a fresh request id."""
    return Scope(principal, vcluster, uuid.uuid4().hex)


# -- methods ------------------------------------------------------------------------------------

A = TypeVar("A")
Unary = Callable[[CallContext, A], Awaitable[Any]]
Streaming = Callable[[CallContext, A], AsyncIterator[Any]]


class Method(msgspec.Struct, Generic[A], frozen=True):
    """A registered method; exactly one of `unary` and `streaming` is set."""

    takes: type[A]
    unary: Unary[A] | None = None
    streaming: Streaming[A] | None = None
    public: bool = False  # may be called without a certificate


class Methods:
    """The methods that a node answers. Handlers raise ShoalError for the caller to see."""

    def __init__(self) -> None:
        self._methods: dict[str, Method[Any]] = {}

    def unary(self, name: str, handler: Unary[A], *, takes: type[A], public: bool = False) -> None:
        self._add(name, Method(takes, unary=handler, public=public))

    def streaming(self, name: str, handler: Streaming[A], *, takes: type[A]) -> None:
        """`handler` is usually an async generator; it is closed when the caller goes away."""
        self._add(name, Method(takes, streaming=handler))

    def find(self, name: str, *, stream: bool, authenticated: bool) -> Method[Any]:
        """Raises NotSupported for an unknown method, Forbidden without the certificate."""
        method = self._methods.get(name)
        if not authenticated and (method is None or not method.public):
            raise Forbidden("only nodes of this cloud may do this; `shoal join TOKEN` makes one")
        if method is None or (method.streaming is None) == stream:
            raise NotSupported(f"this node (protocol {PROTOCOL}) does not know the call `{name}`")
        return method

    def _add(self, name: str, method: Method[Any]) -> None:
        assert name not in self._methods, name
        self._methods[name] = method
