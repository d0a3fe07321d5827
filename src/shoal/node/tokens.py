"""Join tokens: what a new node needs to find a cloud, to know that it is the right one, and to
be let in. Text form: `shoal1.` and base64url of a msgpack array.

The cloud keeps a record with the hash of the secret only; records are plain data, so that any
node can check a token against its mirror of `system`.
"""

import base64
import binascii
import hashlib
import hmac
import secrets

import msgspec

from shoal.model.errors import BadRequest, Unauthorized

_PREFIX = "shoal1."
_SECRET_SIZE = 32
_ID_SIZE = 6  # bytes; the id is written as hex
_LONGEST = 4096


class Token(msgspec.Struct, frozen=True, array_like=True):
    """A parsed token. `addresses` are `host:port` of nodes to ask, IPv6 in brackets."""

    addresses: tuple[str, ...]
    authority: bytes  # SHA-256 of the CA certificate, 32 bytes
    token_id: str  # 12 hex digits
    secret: bytes  # 32 bytes

    def __str__(self) -> str:
        body = base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).rstrip(b"=")
        return _PREFIX + body.decode()

    def __repr__(self) -> str:  # the secret stays out of logs and tracebacks
        return f"Token({self.token_id}, {', '.join(self.addresses)})"


class TokenRecord(msgspec.Struct, frozen=True):
    """What the cloud keeps of a token. Times are wall clock, ns; `expires` 0 is never."""

    digest: bytes  # SHA-256 of the secret
    created: int
    expires: int = 0
    revoked: bool = False
    made_on: str = ""  # name of the node


def create_token(
    addresses: tuple[str, ...], authority: bytes, *, now: int, lifetime: int, made_on: str = ""
) -> tuple[Token, TokenRecord]:
    """A new token and its record. `now` wall clock ns; `lifetime` ns, 0 for one without end;
    `made_on` is the name of a node."""
    secret = secrets.token_bytes(_SECRET_SIZE)
    token = Token(addresses, authority, secrets.token_hex(_ID_SIZE), secret)
    expires = now + lifetime if lifetime else 0
    digest = hashlib.sha256(secret).digest()
    return token, TokenRecord(digest, created=now, expires=expires, made_on=made_on)


def parse_token(text: str) -> Token:
    """Read a token as a user pasted it. Raises BadRequest with a line that says what is wrong."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        if text.startswith("shoal") and "." in text:
            raise BadRequest("the token was made by a newer version: install that version here")
        raise BadRequest(f"this is no token: it should begin with `{_PREFIX}`")
    if len(text) > _LONGEST:
        raise BadRequest("the token is damaged: it is too long; copy it again")
    body = text.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        token = msgspec.msgpack.decode(raw, type=Token)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise BadRequest("the token is damaged: copy it whole, in one line") from None
    if len(token.secret) != _SECRET_SIZE or len(token.authority) != 32 or not token.addresses:
        raise BadRequest("the token is damaged: parts are missing; copy it whole, in one line")
    return token


def check_token(record: TokenRecord | None, secret: bytes, *, now: int) -> None:
    """Raise Unauthorized unless `secret` fits the record and it is still good (`now` wall ns)."""
    digest = hashlib.sha256(secret).digest()
    if record is None or not hmac.compare_digest(record.digest, digest):
        raise Unauthorized("the cloud does not know this token; make one with `shoal token create`")
    if record.revoked:
        raise Unauthorized("the token was revoked; make a new one with `shoal token create`")
    if record.expires and now >= record.expires:
        ago = _duration(now - record.expires)
        raise Unauthorized(f"the token expired {ago} ago; make a new one with `shoal token create`")


def _duration(nanoseconds: int) -> str:
    seconds = nanoseconds // 1_000_000_000
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
