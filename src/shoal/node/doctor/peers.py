"""Facts about the way to each peer, and from it back. The peer's node dials us itself, when
asked by RPC: whoever only dials out takes a firewall on the way back for no firewall.

Calls go over connections of their own, since one that was made before a firewall closed its port
still works. Membership is tried with its own datagrams, from port to port, as it sends them.
"""

import asyncio
import secrets
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from shoal.model.errors import NotSupported, ShoalError
from shoal.model.node import NodeInfo
from shoal.node.membership import MEMBERSHIP_OFFSET
from shoal.node.rpc import CallContext, Endpoint, Methods
from shoal.node.service import Member
from shoal.node.transport import Transport

ANSWER = "doctor-answer"
DIAL_BACK = "doctor-dial-back"
#: Seconds for one call, one connection, one datagram to arrive, and all of one peer.
_CALL = 3.0
_CONNECT = 3.0
_ARRIVE = 0.5
_PEER = 20.0
_BACK = 12.0
#: A datagram may be lost for no reason; as many in a row hardly ever.
_DATAGRAMS = 5
_PAUSE = 0.05
_LARGE = 64 << 10  # bytes: many full packets
_AT_ONCE = 16
_REMEMBERED = 4096
_MTU_OPTIONS = {
    socket.AF_INET: (socket.IPPROTO_IP, 14),  # IP_MTU
    socket.AF_INET6: (socket.IPPROTO_IPV6, 24),  # IPV6_MTU
}


class Spoken(Protocol):
    """What is needed of membership."""

    async def say(self, node_id: str, data: bytes) -> None:
        """Send one datagram, which may be lost. Raises Unavailable when it cannot be sent."""
        ...


class Answered(msgspec.Struct, frozen=True):
    """What a node says when it is called: its id and its wall clock (ns)."""

    node: str
    wall: int
    filling: bytes = b""


class Way(msgspec.Struct, frozen=True):
    """What came of dialling a node, each "" when it worked, else why it did not. `large`: calls
    that fill many packets; `mtu`: bytes in one packet on this way as the dialling machine knows
    it, 0 if it does not; `clock`: how far (ns) the dialled one's clock is ahead, None if not
    known."""

    calls: str = ""
    membership: str = ""
    large: str = ""
    mtu: int = 0
    clock: int | None = None


class DialBack(msgspec.Struct, frozen=True):
    """Asks a node to dial the asking one, saying `token` by membership, and to tell whether it
    heard `heard`."""

    token: bytes
    heard: bytes


class Dialled(msgspec.Struct, frozen=True):
    way: Way
    heard: bool


class PeerFacts(msgspec.Struct, frozen=True):
    """One peer. `there` and `back` are the two ways, None where nobody could dial; `unasked` says
    why the peer did not dial back. `heard_there`: it heard our datagrams, `heard_back`: we heard
    its, None where nobody could tell."""

    info: NodeInfo
    state: str
    since: int  # wall clock ns of the last change of state
    there: Way | None = None
    back: Way | None = None
    unasked: str = ""
    heard_there: bool | None = None
    heard_back: bool | None = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.info.address, self.info.port)

    @property
    def present(self) -> bool:
        return self.state in ("up", "suspect")


class Prober:
    """Dials peers, and for peers. `members` are those that this node knows, itself included."""

    def __init__(
        self,
        node_id: str,
        *,
        transport: Callable[[], Transport],
        membership: Spoken,
        members: Callable[[], list[Member]],
    ) -> None:
        self._node_id = node_id
        self._transport = transport
        self._membership = membership
        self._members = members
        self._heard: deque[tuple[str, bytes]] = deque(maxlen=_REMEMBERED)

    def register(self, methods: Methods) -> None:
        methods.unary(ANSWER, self._answer, takes=bytes)
        methods.unary(DIAL_BACK, self._dial_back, takes=DialBack)

    def heard(self, node_id: str, data: bytes) -> None:
        """A datagram came by way of membership."""
        self._heard.append((node_id, data))

    # -- asked by peers --------------------------------------------------------------------------

    async def _answer(self, context: CallContext, filling: bytes) -> Answered:
        return Answered(self._node_id, time.time_ns(), filling)

    async def _dial_back(self, context: CallContext, asked: DialBack) -> Dialled:
        """Dial the caller where this node believes it to be, not where it says it is."""
        heard = (context.peer, asked.heard) in self._heard
        caller = [one for one in self._members() if one.info.id == context.peer]
        if not caller:
            return Dialled(Way("this node is not known there"), heard)
        return Dialled(await self._dial(caller[0], asked.token), heard)

    # -- the examination -------------------------------------------------------------------------

    async def examine(self) -> list[PeerFacts]:
        """All peers but those that have left, in the order of their names."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def look(member: Member) -> PeerFacts:
            async with gate:
                return await self._examine(member)

        peers = [
            one for one in self._members() if one.info.id != self._node_id and one.state != "left"
        ]
        return list(await asyncio.gather(*map(look, peers)))

    async def _examine(self, member: Member) -> PeerFacts:
        facts = PeerFacts(member.info, member.state, member.since)
        replace = msgspec.structs.replace
        try:
            async with asyncio.timeout(_PEER):
                token, back_token = secrets.token_bytes(8), secrets.token_bytes(8)
                there = await self._dial(member, token)
                facts = replace(facts, there=there)
                if not facts.present:
                    return facts
                asked = DialBack(back_token, token)
                answer = await self._transport().call(
                    member.info.id, DIAL_BACK, asked, returns=Dialled, timeout=_BACK
                )
                heard_back = await self._hears(member.info.id, back_token)
                return replace(
                    facts, back=answer.way, heard_there=answer.heard, heard_back=heard_back
                )
        except ShoalError as error:
            return replace(facts, unasked=error.text)
        except TimeoutError:
            return replace(facts, unasked=f"it took longer than {_PEER:.0f} s")

    async def _hears(self, node_id: str, token: bytes) -> bool:
        end = time.monotonic() + _ARRIVE
        while (node_id, token) not in self._heard and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return (node_id, token) in self._heard

    async def _dial(self, member: Member, token: bytes) -> Way:
        info = member.info
        calls, membership, _ = await asyncio.gather(
            self._call(info),
            _connect(Endpoint(info.address, info.port + MEMBERSHIP_OFFSET)),
            self._say(info.id, token),
        )
        way = msgspec.structs.replace(calls, membership=membership, mtu=route_mtu(info.address))
        if way.calls:
            return way
        large = await _complaint(self._ask(info, bytes(_LARGE)))
        return msgspec.structs.replace(way, large=large)

    async def _call(self, info: NodeInfo) -> Way:
        clock: int | None = None

        async def once() -> None:
            nonlocal clock
            answer = await self._ask(info, b"")
            clock = answer.wall - time.time_ns()
            if answer.node != info.id:
                raise ShoalError(f"another node ({answer.node[:12]}) answers at {info.endpoint}")

        complaint = await _complaint(once())
        return Way(complaint, clock=None if complaint else clock)

    async def _ask(self, info: NodeInfo, filling: bytes) -> Answered:
        """Over a connection of its own."""
        endpoint = Endpoint(info.address, info.port)
        return await self._transport().call(
            endpoint, ANSWER, filling, returns=Answered, timeout=_CALL
        )

    async def _say(self, node_id: str, token: bytes) -> None:
        for _ in range(_DATAGRAMS):
            if await _complaint(self._membership.say(node_id, token)):
                return  # whether it is heard says it all
            await asyncio.sleep(_PAUSE)


async def _complaint(work: Awaitable[object]) -> str:
    """Why something did not work, "" if it did."""
    try:
        await work
    except NotSupported:
        return ""  # of an older version, but it has answered
    except ShoalError as error:
        return error.text
    return ""


async def _connect(endpoint: Endpoint) -> str:
    """Open a TCP connection and close it again; see `_complaint`."""
    try:
        async with asyncio.timeout(_CONNECT):
            _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    except TimeoutError:
        return f"{endpoint} does not answer within {_CONNECT:g} s"
    except OSError as error:
        return f"{endpoint} does not answer: {error.strerror or error}"
    writer.transport.abort()
    return ""


def route_mtu(address: str) -> int:
    """Bytes in one packet on the way to an address as the kernel knows it, 0 if it does not."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
            return probe.getsockopt(*_MTU_OPTIONS[family])
    except OSError:
        return 0
