"""Becoming a member: the new node's side, and that of the nodes that let it in.

Any node takes the request and checks the token against the records of `system`; a node of role
admin, which holds the CA key, signs. The first ADMINS nodes become admins.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from shoal.model.errors import Conflict, Forbidden, Unavailable
from shoal.model.node import NodeInfo
from shoal.model.ops import Answer, Objects, Operation, ReadObjects, WriteObject
from shoal.node.certificates import Authority, fingerprint, signing_request
from shoal.node.identity import Credentials, Identity
from shoal.node.rpc import CallContext, Endpoint, Methods
from shoal.node.sealed import seal
from shoal.node.signing import Order, Signed, sign
from shoal.node.strangers import call_as_stranger, fetch_authority
from shoal.node.tokens import Token, TokenRecord, check_token
from shoal.node.transport import Transport

JOIN = "join"
SIGN = "sign"
ADMINS = 3
AUTHORITY = "authority"
TOKEN = "token"  # noqa: S105 - the name of a record
_TIMEOUT = 15.0

_log = structlog.get_logger()


class JoinRequest(msgspec.Struct, frozen=True):
    """What a new node sends. `secret` proves the invitation, `request` (CSR) its key."""

    token_id: str
    secret: bytes
    request: bytes
    box: bytes  # raw X25519 public key, to seal the CA key to
    info: NodeInfo


class Joined(msgspec.Struct, frozen=True):
    """What it gets: its credentials, the key of membership packets, and whom to talk to."""

    cloud: str
    certificate: str
    authorities: tuple[str, ...]
    gossip_key: bytes
    members: tuple[NodeInfo, ...]
    admin: bool


async def ask_to_join(token: Token, identity: Identity, info: NodeInfo) -> Joined:
    """Join by the first address of the token that answers. Raises Unauthorized, Conflict,
    Unavailable (nobody answered)."""
    trouble: list[str] = []
    for address in token.addresses:
        endpoint = Endpoint.parse(address)
        try:
            authority = await fetch_authority(endpoint, token.authority)
            request = JoinRequest(
                token.token_id, token.secret, signing_request(identity), identity.box_public, info
            )
            return await call_as_stranger(
                endpoint,
                JOIN,
                request,
                authority=authority,
                node_id=identity.node_id,
                returns=Joined,
                timeout=_TIMEOUT,
            )
        except Unavailable as error:
            trouble.append(error.text)
    raise Unavailable(
        f"no node of the cloud lets this one in: {'; '.join(trouble)}; check that the addresses "
        "can be reached, or make a token on a node that runs"
    )


def credentials_of(joined: Joined, identity: Identity) -> Credentials:
    return Credentials(joined.cloud, identity.node_id, joined.certificate, joined.authorities)


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
                        member.id, SIGN, request, returns=Joined, timeout=_TIMEOUT
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


def authority_object(certificate: str) -> str:
    """Object id of an authority's record."""
    return f"{AUTHORITY}:{fingerprint(certificate).hex()[:16]}"


def founding_record(identity: Identity, authority: Authority) -> WriteObject:
    """The record of a new cloud's authority, its key sealed to the founder."""
    value = {
        "certificate": authority.certificate,
        "sealed": {identity.node_id: seal(identity.box_public, authority.key)},
    }
    return WriteObject(authority_object(authority.certificate), AUTHORITY, value)
