"""Letting a new node in.

Any node takes the request and checks the token against the records of `system`; a node of role
admin, which holds the CA key, signs. The first ADMINS nodes become admins.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from shoal.model.errors import Conflict, Forbidden, Unavailable, revive
from shoal.model.node import NodeInfo
from shoal.model.ops import Answer, Objects, Operation, ReadObjects, WriteObject
from shoal.node import signing
from shoal.node.identity import Credentials, Identity
from shoal.node.joining import AUTHORITY, JOIN, TIMEOUT, Joined, JoinRequest
from shoal.node.rpc import CallContext, Methods
from shoal.node.signing import Order, Refused, Signed
from shoal.node.tokens import TokenRecord, check_token
from shoal.node.transport import Transport

SIGN = "sign"
ADMINS = 3
TOKEN = "token"  # noqa: S105 - the name of a record
_SIGNING = 10.0  # seconds

_log = structlog.get_logger()


class Doorman:
    """The methods `join` and `sign`. `execute` reaches the records of `system`."""

    def __init__(
        self,
        identity: Identity,
        credentials: Credentials,
        gossip_key: bytes,
        *,
        execute: Callable[[Operation], Awaitable[Answer]],
        members: Callable[[], list[NodeInfo]],
        transport: Callable[[], Transport],
        now: Callable[[], int],
    ) -> None:
        self._identity = identity
        self._credentials = credentials
        self._gossip_key = gossip_key
        self._execute = execute
        self._members = members
        self._transport = transport
        self._now = now
        self._sharing = asyncio.Lock()  # newcomers at the same moment must not lose each other

    def register(self, methods: Methods) -> None:
        methods.unary(JOIN, self._join, takes=JoinRequest, public=True)
        methods.unary(SIGN, self._sign, takes=JoinRequest)

    async def _join(self, context: CallContext, request: JoinRequest) -> Joined:
        await self._check(request)
        if (held := await self._held()) is not None:
            return await self._admit(request, *held)
        return await self._forward(request)

    async def _forward(self, request: JoinRequest) -> Joined:
        for member in self._members():
            if member.admin and member.id != self._identity.node_id:
                try:
                    return await self._transport().call(
                        member.id, SIGN, request, returns=Joined, timeout=TIMEOUT
                    )
                except Unavailable as error:
                    _log.info("admin did not sign", admin=member.name, error=error.text)
        raise Unavailable("no node of role admin is reachable: joins wait until one is back")

    async def _sign(self, context: CallContext, request: JoinRequest) -> Joined:
        await self._check(request)
        held = await self._held()
        if held is None:
            raise Forbidden("this node does not hold the key of the cloud's authority")
        return await self._admit(request, *held)

    async def _check(self, request: JoinRequest) -> None:
        records = (await self._read(TOKEN)).records
        value = records.get(f"{TOKEN}:{request.token_id}")
        record = None if value is None else msgspec.convert(value, TokenRecord)
        check_token(record, request.secret, now=self._now())
        for member in self._members():
            if member.name == request.info.name and member.id != request.info.id:
                raise Conflict(
                    f"a node named {member.name} is in the cloud already: choose another --name"
                )

    async def _read(self, concern: str) -> Objects:
        answer = await self._execute(ReadObjects(concern))
        assert isinstance(answer, Objects)
        return answer

    async def _held(self) -> tuple[str, dict[str, Any]] | None:
        """Object id and value of the authority whose key is sealed to this node."""
        for name, value in (await self._read(AUTHORITY)).records.items():
            if self._identity.node_id in value["sealed"]:
                return name, value
        return None

    async def _admit(self, request: JoinRequest, name: str, authority: dict[str, Any]) -> Joined:
        sealed: dict[str, Any] = authority["sealed"]
        # The CA key goes to the first ADMINS nodes.
        shares = request.info.id in sealed or len(sealed) < ADMINS
        signed = await sign(
            Order(
                cloud=self._credentials.cloud,
                authority=authority["certificate"],
                box_private=self._identity.box_private(),
                sealed_key=sealed[self._identity.node_id],
                request=request.request,
                newcomer_box=request.box if shares else b"",
            )
        )
        if signed.node_id != request.info.id:
            raise Forbidden("the request names a node whose key it does not hold")
        admin = shares and await self._share_key(name, signed)
        return Joined(
            cloud=self._credentials.cloud,
            certificate=signed.certificate,
            authorities=self._credentials.authorities,
            gossip_key=self._gossip_key,
            members=tuple(self._members()),
            admin=admin,
            discovery=self._credentials.discovery,
        )

    async def _share_key(self, name: str, signed: Signed) -> bool:
        """Record the CA key sealed to a new node, unless others were faster."""
        async with self._sharing:
            sealed = (await self._read(AUTHORITY)).records[name]["sealed"]
            if signed.node_id not in sealed and len(sealed) >= ADMINS:
                return False
            value = {"sealed": {**sealed, signed.node_id: signed.sealed_key}}
            await self._execute(WriteObject(name, AUTHORITY, value))
            return True


async def sign(order: Order) -> Signed:
    """Have the signing process carry an order out. Raises ShoalError: Unsealable, BadRequest
    (damaged request), or Unavailable when the process fails."""
    # Secrets go through pipes: arguments and environment can be read by others.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        signing.__name__,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SIGNING):
            output, _ = await process.communicate(msgspec.msgpack.encode(order))
        answer = msgspec.msgpack.decode(output, type=Signed | Refused)
    except (TimeoutError, msgspec.DecodeError):
        raise Unavailable("signing the certificate failed: see this node's log") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if isinstance(answer, Refused):
        raise revive(answer.status, answer.text)
    return answer
