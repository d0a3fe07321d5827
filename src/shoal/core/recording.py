"""A recording of one node: everything that went into its core, and what the core decided.

A core depends on nothing else, so a recording is enough to have every decision made again: by
today's code to find out why, by tomorrow's to find out whether it still decides the same.
"""

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec

from shoal.core.discovery.contract import StrategyName
from shoal.core.effects import Effect, Put
from shoal.core.events import Event, Now
from shoal.core.keeper.objects import Placement
from shoal.core.keeper.records import PLACEMENT, Record
from shoal.model.node import NodeInfo

_LENGTH = 4  # bytes before each frame: how long it is
#: No step of a node is larger: what is, is no recording.
_FRAME_AT_MOST = 1 << 30


class Decision(msgspec.Struct, frozen=True, array_like=True):
    """A container was given to a node: where, as which generation, and why."""

    container: str
    generation: str
    node: str
    reason: str


class Began(msgspec.Struct, frozen=True, tag="began", array_like=True):
    """A core was made from what the disk had (space, key, value)."""

    now: Now
    cloud: str
    own: NodeInfo
    stored: list[tuple[str, str, bytes]]
    founder: bool = False
    discovery: StrategyName = "view"


class Met(msgspec.Struct, frozen=True, tag="met", array_like=True):
    """The core learned a peer's inventory outside a step."""

    info: NodeInfo


class Stepped(msgspec.Struct, frozen=True, tag="stepped", array_like=True):
    """One step: its input, what it decided, and a hash of all its effects."""

    now: Now
    event: Event
    decisions: tuple[Decision, ...]
    effects: bytes


Frame = Began | Met | Stepped

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Frame).decode
_decode_record = msgspec.msgpack.Decoder(Record).decode


def write_frame(frame: Frame) -> bytes:
    """A frame as it stands in a file, its length before it."""
    body = _encode(frame)
    return len(body).to_bytes(_LENGTH) + body


def read_frames(data: bytes) -> Iterator[Frame]:
    """The frames of a recording; one that was cut short by the end of the power ends it.

    Raises msgspec.MsgspecError for what is no recording.
    """
    at = 0
    while at + _LENGTH <= len(data):
        length = int.from_bytes(data[at : at + _LENGTH])
        if length > _FRAME_AT_MOST:
            raise msgspec.DecodeError("this is no recording of a node")
        at += _LENGTH
        if at + length > len(data):
            return
        yield _decode(data[at : at + length])
        at += length


def fingerprint(effects: Iterable[Effect]) -> bytes:
    """Equal for equal effects in equal order."""
    hashed = blake2b(digest_size=8)
    for effect in effects:
        hashed.update(_encode(effect))
    return hashed.digest()


def decisions_of(node: str, effects: Iterable[Effect]) -> tuple[Decision, ...]:
    """The placements that `node` itself wrote in a step."""
    found = []
    for effect in effects:
        if isinstance(effect, Put) and effect.space.startswith("v/"):
            record = _decode_record(effect.value)
            if record.concern == PLACEMENT and record.writer == node:
                placement = msgspec.convert(record.value, Placement)
                found.append(
                    Decision(record.object, record.generation, placement.node, placement.reason)
                )
    return tuple(found)
