"""Becoming a member: the new node's side, and what both sides say. For the other side see
`doorman.py`.
"""

import msgspec

from shoal.model.errors import Unavailable
from shoal.model.node import NodeInfo
from shoal.model.ops import WriteObject
from shoal.model.options import Discovery
from shoal.node.certificates import Authority, fingerprint, signing_request
from shoal.node.identity import Credentials, Identity
from shoal.node.rpc import Endpoint
from shoal.node.sealed import seal
from shoal.node.strangers import call_as_stranger, fetch_authority
from shoal.node.tokens import Token

JOIN = "join"
AUTHORITY = "authority"
TIMEOUT = 15.0  # seconds


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
    discovery: Discovery = "view"


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
                timeout=TIMEOUT,
            )
        except Unavailable as error:
            trouble.append(error.text)
    raise Unavailable(
        f"no node of the cloud lets this one in: {'; '.join(trouble)}; check that the addresses "
        "can be reached, or make a token on a node that runs"
    )


def credentials_of(joined: Joined, identity: Identity) -> Credentials:
    return Credentials(
        joined.cloud,
        identity.node_id,
        joined.certificate,
        joined.authorities,
        joined.discovery,
    )


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
