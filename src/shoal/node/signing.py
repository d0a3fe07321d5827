"""Signing a newcomer's certificate, in a process of its own: `python -m shoal.node.signing`.

The process lives for a moment and imports little. With it go the CA key and the 11 MiB that
cryptography takes, so that a node which once let another one in is no larger than the rest.
"""

import sys

import msgspec

from shoal.model.errors import ShoalError
from shoal.node.certificates import Authority, issue
from shoal.node.sealed import seal, unseal


class Order(msgspec.Struct, frozen=True):
    """What to sign with what. `box_private` opens `sealed_key`; with `newcomer_box`, a raw X25519
    public key, the CA key is sealed to the newcomer too."""

    cloud: str
    authority: str  # PEM
    box_private: bytes
    sealed_key: bytes
    request: bytes  # CSR, DER
    newcomer_box: bytes = b""


class Signed(msgspec.Struct, frozen=True, tag=True):
    """`sealed_key`: the CA key for the newcomer, b"" if it was not asked for."""

    node_id: str
    certificate: str  # PEM
    sealed_key: bytes


class Refused(msgspec.Struct, frozen=True, tag=True):
    status: int
    text: str


def carry_out(order: Order) -> Signed | Refused:
    """What the process does."""
    try:
        key = unseal(order.box_private, order.sealed_key)
        authority = Authority(order.authority, key)
        node_id, certificate = issue(authority, order.cloud, order.request)
    except ShoalError as error:
        return Refused(error.status, error.text)
    shared = seal(order.newcomer_box, key) if order.newcomer_box else b""
    return Signed(node_id, certificate, shared)


def main() -> None:
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.msgpack.encode(carry_out(order)))


if __name__ == "__main__":
    main()
