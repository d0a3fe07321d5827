"""The relay's arithmetic: when a frame leaves, in which order, and which rule decides."""

import socket
from collections.abc import Iterator

import pytest

from shoal.lab.relay import Direction, Rule

HEADER = bytes(10)
B, C = bytes.fromhex("025a00000003"), bytes.fromhex("025a00000004")


def frame(peer: bytes, body: bytes) -> bytes:
    return HEADER + peer + bytes(6) + body


class Cable:
    """A direction between two pairs of sockets, with frames of both ends in our hands."""

    def __init__(self, *rules: Rule) -> None:
        kinds = (socket.AF_UNIX, socket.SOCK_DGRAM)
        (self._in, source), (target, self._out) = (
            socket.socketpair(*kinds),
            socket.socketpair(*kinds),
        )
        self._all = (self._in, source, target, self._out)
        source.setblocking(False)
        target.setblocking(False)
        self._out.setblocking(False)
        self.direction = Direction(source, target, list(rules), peer_at=0)

    def put(self, now: float, *frames: bytes) -> None:
        for data in frames:
            self._in.send(data)
        self.direction.receive(now)

    def take(self, now: float) -> list[bytes]:
        """The bodies of the frames that have left by `now`."""
        self.direction.release(now)
        taken = []
        while True:
            try:
                taken.append(self._out.recv(65536)[22:])
            except BlockingIOError:
                return taken

    def close(self) -> None:
        for end in self._all:
            end.close()


@pytest.fixture
def cables() -> Iterator[list[Cable]]:
    made: list[Cable] = []
    yield made
    for cable in made:
        cable.close()


def rule(
    *, peer: bytes | None = None, delay: float = 0.0, jitter: float = 0.0, loss: float = 0.0,
    rate: float = 0.0,
) -> Rule:  # fmt: skip
    return Rule(peer, delay, jitter, loss, rate)


def test_a_frame_leaves_after_the_delay_and_not_before(cables: list[Cable]) -> None:
    cables.append(cable := Cable(rule(delay=0.5)))
    cable.put(10.0, frame(B, b"one"))
    assert cable.take(10.49) == []
    assert cable.direction.next_due() == 10.5
    assert cable.take(10.5) == [b"one"]
    assert cable.direction.next_due() is None


def test_the_first_rule_that_fits_decides_and_others_pass_at_once(cables: list[Cable]) -> None:
    cables.append(cable := Cable(rule(peer=B, delay=1.0)))
    cable.put(0.0, frame(B, b"slow"), frame(C, b"fast"))
    assert cable.take(0.0) == [b"fast"]
    assert cable.take(1.0) == [b"slow"]


def test_total_loss_lets_nothing_through(cables: list[Cable]) -> None:
    cables.append(cable := Cable(rule(loss=1.0)))
    cable.put(0.0, *[frame(B, b"x")] * 20)
    assert cable.take(100.0) == []


def test_a_rate_spaces_frames_by_their_length(cables: list[Cable]) -> None:
    cables.append(cable := Cable(rule(rate=1000.0)))
    cable.put(0.0, frame(B, bytes(488)), frame(B, bytes(488)))  # 500 bytes each on the wire
    assert cable.take(0.49) == []
    assert len(cable.take(0.5)) == 1
    assert len(cable.take(1.0)) == 1


def test_jitter_never_reorders(cables: list[Cable]) -> None:
    cables.append(cable := Cable(rule(delay=0.1, jitter=0.1)))
    bodies = [bytes([n]) for n in range(60)]
    for number, body in enumerate(bodies):
        cable.put(number * 0.001, frame(B, body))
    assert cable.take(10.0) == bodies


def test_a_full_queue_drops_what_comes_later(cables: list[Cable]) -> None:
    cables.append(cable := Cable(rule(delay=5.0)))
    for number in range(1100):
        cable.put(number * 1e-6, frame(B, b"x"))
    left = 0
    for step in range(1100):
        left += len(cable.take(5.0 + step * 1e-6))
    assert left == 1000
