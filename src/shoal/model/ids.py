"""Identifiers: who they name, how they are made and how they are shortened.

Node ids are the SHA-256 of the node's public key, container ids are random; both are 64
lower-case hex digits. Vcluster ids are UUIDs in hex. Generations name one placement of an
object.
"""

import hashlib
import re
import uuid

import msgspec

SHORT = 12

_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
#: What Docker accepts as a container name (moby: RestrictedNamePattern).
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}\Z")

SYSTEM = "system"
DEFAULT = "default"


def short(identifier: str) -> str:
    """The 12 digits that Docker prints."""
    return identifier[:SHORT]


def is_id(text: str) -> bool:
    return _HEX64.match(text) is not None


def is_name(text: str) -> bool:
    return _NAME.match(text) is not None


def vcluster_id(cloud: str, name: str) -> str:
    """Id (32 hex digits) of a vcluster that every cloud has; uuid5 so that no node must ask."""
    return uuid.uuid5(uuid.UUID(cloud), name).hex


def ring_position(key: str) -> int:
    """Place of a key on the ring: the first 64 bits of its SHA-256."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])


def node_position(node_id: str) -> int:
    """Place of a node on the ring: the first 64 bits of its id, which is a hash already."""
    return int(node_id[:16], 16)


class Generation(msgspec.Struct, frozen=True, order=True, array_like=True):
    """One placement of an object; hosts ignore lower ones. Ordered by counter, stamp, writer."""

    counter: int
    stamp: int
    writer: str

    @property
    def key(self) -> str:
        """Text form, used in record keys and engine labels."""
        return f"{self.counter}-{self.stamp:x}-{short(self.writer)}"
