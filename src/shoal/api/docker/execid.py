"""Ids of execs for clients: the id of the node followed by the engine's own, hexadecimal digits
as they expect. So every node finds the engine again, and nobody has to remember anything."""

import re

_ID = re.compile(r"([0-9a-f]{64})([0-9a-f]{64})\Z")


def exec_id(node: str, engine_id: str) -> str:
    """The id for clients of a node's engine's exec."""
    return node + engine_id


def parse_exec_id(text: str) -> tuple[str, str] | None:
    """Node and engine's id; None when it is no id of ours."""
    match = _ID.match(text)
    return (match[1], match[2]) if match else None
