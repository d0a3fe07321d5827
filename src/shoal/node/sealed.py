"""Sealed boxes: bytes that only the holder of one X25519 key can read.

Box = version (1 byte), ephemeral public key (32), ChaCha20-Poly1305 of the data. The key comes
from HKDF-SHA256 over the shared secret, salted with both public keys; it serves one box only,
so the nonce is constant.
"""

from typing import TYPE_CHECKING

from shoal.model.errors import ShoalError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_VERSION = b"\x01"
_NONCE = bytes(12)
_INFO = b"shoal sealed box 1"


class Unsealable(ShoalError):
    """The box is damaged or was sealed to another key."""

    status = 403


def seal(public: bytes, data: bytes) -> bytes:
    """Seal `data` to the raw X25519 public key of a node."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    ephemeral = X25519PrivateKey.generate()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public))
    own = ephemeral.public_key().public_bytes_raw()
    return _VERSION + own + _cipher(shared, own, public).encrypt(_NONCE, data, _VERSION)


def unseal(private: bytes, blob: bytes) -> bytes:
    """Open a box with the raw X25519 private key it was sealed to. Raises Unsealable."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    if blob[:1] != _VERSION or len(blob) < 49:
        raise Unsealable("the sealed box is damaged or of a version that this node does not know")
    key = X25519PrivateKey.from_private_bytes(private)
    ephemeral = blob[1:33]
    try:
        shared = key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        cipher = _cipher(shared, ephemeral, key.public_key().public_bytes_raw())
        return cipher.decrypt(_NONCE, blob[33:], _VERSION)
    except (InvalidTag, ValueError):
        raise Unsealable("the sealed box is damaged or meant for another node") from None


def _cipher(shared: bytes, ephemeral: bytes, recipient: bytes) -> "ChaCha20Poly1305":
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(algorithm=SHA256(), length=32, salt=ephemeral + recipient, info=_INFO)
    return ChaCha20Poly1305(derive.derive(shared))
