"""The frame codec and the messages in it, against any cut of the byte stream."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.node.frames import (
    MAX_FRAME,
    FrameDecoder,
    FrameError,
    FrameGarbage,
    FrameTooLarge,
    frame,
)
from shoal.node.rpc import (
    Hello,
    Notify,
    Ping,
    Reply,
    Request,
    Scope,
    decode,
    encode,
    pack,
)


@given(st.lists(st.binary(max_size=200), max_size=20), st.lists(st.integers(1, 50)))
def test_frames_come_out_as_they_went_in_however_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(body) for body in bodies)
    decoder = FrameDecoder()
    got: list[bytes] = []
    for cut in cuts:
        got += decoder.feed(stream[:cut])
        stream = stream[cut:]
    got += decoder.feed(stream)
    assert got == bodies
    assert decoder.pending == 0


@given(st.binary(max_size=300))
def test_rubbish_makes_typed_errors_only(data: bytes) -> None:
    decoder = FrameDecoder(limit=100)
    with contextlib.suppress(FrameError):
        for body in decoder.feed(data):
            decode(body)
    assert decoder.pending <= 104 + len(data)


def test_large_frames_are_refused_on_both_ends_before_their_bytes_come() -> None:
    with pytest.raises(FrameTooLarge, match="over the limit"):
        frame(bytes(MAX_FRAME + 1))
    with pytest.raises(FrameTooLarge):
        encode(Notify(bytes(MAX_FRAME)))
    with pytest.raises(FrameTooLarge):
        FrameDecoder(limit=10).feed((11).to_bytes(4))
    assert FrameDecoder(limit=10).feed((10).to_bytes(4)) == []


def test_messages_survive_the_trip() -> None:
    for message in (
        Hello(1, 1, "c", "n"),
        Notify(b"x"),
        Request(7, "add", 5, "c", Scope("p", "v", "r"), pack({"a": [1, 2]})),
        Reply(7, pack(None)),
        Ping(),
    ):
        (body,) = FrameDecoder().feed(bytes(encode(message)))
        assert msgspec.msgpack.encode(decode(body)) == msgspec.msgpack.encode(message)


def test_newer_messages_may_carry_more_and_unknown_ones_are_garbage() -> None:
    longer = msgspec.msgpack.encode([4, b"payload", "a field of tomorrow"])
    assert decode(longer) == Notify(b"payload")
    wrongs: list[object] = [[99, 1], [4], [4, 5], {}, None, []]
    for wrong in wrongs:
        with pytest.raises(FrameGarbage):
            decode(msgspec.msgpack.encode(wrong))
