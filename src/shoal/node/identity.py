"""Who this node is: its keys in the state directory, and what the cloud certified about it.

`node.key` is an Ed25519 key; the node's id is the SHA-256 of its raw public key. `box.key` is an
X25519 key, to which secrets are sealed (`sealed.py`). `credentials.json` appears when the node
creates or joins a cloud. cryptography is imported late: a daemon that only serves does not need
it, and it costs about 9 MiB.
"""

import hashlib
import os
from pathlib import Path

import msgspec

from shoal.model.errors import ShoalError
from shoal.model.options import Discovery
from shoal.node.files import write_durably

NODE_KEY = "node.key"
BOX_KEY = "box.key"
PUBLIC = "identity.json"
CREDENTIALS = "credentials.json"


class BadIdentity(ShoalError):
    """A file of the identity cannot be used; says which and what to do."""


class Identity(msgspec.Struct, frozen=True):
    """The public half of the node's identity and where the private half lies."""

    node_id: str  # 64 hex digits
    public: bytes  # raw Ed25519 public key, 32 bytes
    box_public: bytes  # raw X25519 public key, 32 bytes
    state: Path

    @property
    def key_path(self) -> Path:
        return self.state / NODE_KEY

    def key_pem(self) -> bytes:
        """The private Ed25519 key (PKCS8 PEM)."""
        return _read_private(self.key_path)

    def box_private(self) -> bytes:
        """The raw private X25519 key, 32 bytes."""
        return _read_private(self.state / BOX_KEY)


class Credentials(msgspec.Struct, frozen=True):
    """What makes the node a member of a cloud. `authorities` are all trusted CA certificates."""

    cloud: str  # uuid, 32 hex digits
    node_id: str
    certificate: str  # PEM, signed by one of the authorities
    authorities: tuple[str, ...]  # PEM
    discovery: Discovery = "view"


class _Public(msgspec.Struct, frozen=True):
    node_id: str
    public: bytes
    box_public: bytes


def node_id_of(public: bytes) -> str:
    """Id of the node with this raw Ed25519 public key."""
    return hashlib.sha256(public).hexdigest()


def load_or_create_identity(state: Path) -> Identity:
    """The identity in `state`, created with new keys when there is none. Raises BadIdentity."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        public = _load_public(state) or _create(state)
    except (OSError, ValueError, TypeError) as error:
        raise BadIdentity(f"the node's identity in {state} cannot be used: {error}") from error
    return Identity(public.node_id, public.public, public.box_public, state)


def save_credentials(state: Path, credentials: Credentials) -> None:
    """Durably make the node a member; replaces earlier credentials. Raises OSError."""
    write_durably(state / CREDENTIALS, msgspec.json.encode(credentials))


def load_credentials(state: Path) -> Credentials | None:
    """The saved credentials; None before the node has created or joined a cloud."""
    path = state / CREDENTIALS
    try:
        return msgspec.json.decode(path.read_bytes(), type=Credentials)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise BadIdentity(f"{path} cannot be used: {error}; restore it or join again") from error


def _load_public(state: Path) -> _Public | None:
    path = state / PUBLIC
    if not (path.exists() and (state / NODE_KEY).exists() and (state / BOX_KEY).exists()):
        return None
    return msgspec.json.decode(path.read_bytes(), type=_Public)


def _create(state: Path) -> _Public:
    """Make the keys that are missing: a crash between two writes must not change the id."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    if not (state / NODE_KEY).exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        write_durably(state / NODE_KEY, pem)
    if not (state / BOX_KEY).exists():
        write_durably(state / BOX_KEY, X25519PrivateKey.generate().private_bytes_raw())
    key = load_pem_private_key(_read_private(state / NODE_KEY), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{NODE_KEY} holds no Ed25519 key")
    raw = key.public_key().public_bytes_raw()
    box = X25519PrivateKey.from_private_bytes(_read_private(state / BOX_KEY))
    public = _Public(node_id_of(raw), raw, box.public_key().public_bytes_raw())
    write_durably(state / PUBLIC, msgspec.json.encode(public), mode=0o644)
    return public


def _read_private(path: Path) -> bytes:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise BadIdentity(f"{path} can be read by others: run `chmod 600 {path}`")
        return file.read()
