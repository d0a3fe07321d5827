"""What nodes of the ring say to each other. Every message may be lost, doubled or late.

Nodes and keys are positions on the circle. Tokens are the asker's and come back unchanged.
"""

import msgspec


class Find(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rf"):
    """Who owns the key? To be passed on until it reaches the node before the key, which answers
    `origin`. `hops` counts the times it was sent."""

    key: int
    origin: int
    token: int
    hops: int
    count: int


class Found(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rF"):
    """The key's owner and the nodes after it, from the node before them."""

    token: int
    nodes: tuple[int, ...]
    hops: int


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rs"):
    """One step of an iterative look-up: the owner if you are before it, else who is nearer?
    The `silent` nodes did not answer; do without them."""

    key: int
    token: int
    count: int
    silent: tuple[int, ...]


class Stepped(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rS"):
    """`final`: the owner and the nodes after it; else some nodes before the key, nearest first."""

    token: int
    nodes: tuple[int, ...]
    final: bool


class Ask(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ra"):
    """What are your neighbours? Silence means dead."""

    token: int


class State(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rA"):
    """These are my neighbours."""

    token: int
    predecessor: int | None
    successors: tuple[int, ...]


class Notify(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rn"):
    """You are my first successor: I may be your predecessor."""


class Nearer(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rc"):
    """This node may belong right after you; if it does not, pass this on towards it."""

    node: int
    hops: int


class Leaving(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rl"):
    """I have left; this was my predecessor."""

    predecessor: int | None


class Absent(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="rx"):
    """Answers an Ask: I am no member, not any more or not yet. As good as dead, but faster."""

    token: int


RingMessage = Find | Found | Step | Stepped | Ask | State | Notify | Nearer | Leaving | Absent
