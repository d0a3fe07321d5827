"""Calls of a node that has no certificate yet: how it learns whom to trust and joins."""

import asyncio
from typing import TypeVar

from shoal.model.errors import Unauthorized
from shoal.node.certificates import fingerprint
from shoal.node.client import dial
from shoal.node.rpc import AUTHORITIES, Endpoint, hello, new_scope, pack, unpack
from shoal.node.tls import joining_context

T = TypeVar("T")


async def fetch_authority(endpoint: Endpoint, expected: bytes, *, timeout: float = 5.0) -> str:
    """The CA certificate (PEM) with the SHA-256 `expected`, as the node at `endpoint` has it.

    The connection is not verified, so nothing secret is said; the fingerprint is what counts.
    Raises Unauthorized when the node belongs to another cloud, Unreachable.
    """
    authorities = await _call(endpoint, AUTHORITIES, None, [], returns=list[str], timeout=timeout)
    for certificate in authorities:
        if fingerprint(certificate) == expected:
            return certificate
    raise Unauthorized(
        f"the node at {endpoint} is not of the cloud that made this token: "
        "make a new one there with `shoal token create`"
    )


async def call_as_stranger(
    endpoint: Endpoint,
    method: str,
    args: object,
    *,
    authority: str,
    node_id: str,
    returns: type[T],
    timeout: float = 15.0,
) -> T:
    """Call a public method of a node whose certificate `authority` (PEM) has signed.

    `node_id` is the caller's. Raises as Transport.call.
    """
    return await _call(
        endpoint, method, args, [authority], returns=returns, timeout=timeout, node_id=node_id
    )


async def _call(
    endpoint: Endpoint,
    method: str,
    args: object,
    authorities: list[str],
    *,
    returns: type[T],
    timeout: float,
    node_id: str = "",
) -> T:
    deadline = asyncio.get_running_loop().time() + timeout
    label = f"the node at {endpoint}"
    context = joining_context(authorities)
    connection = await dial(endpoint, context, hello("", node_id), label=label, timeout=timeout)
    try:
        raw = await connection.call(method, pack(args), scope=new_scope(), deadline=deadline)
        return unpack(raw, returns, method)
    finally:
        connection.close()
