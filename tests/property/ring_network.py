"""A network of Chord nodes in virtual time, for the tests of the ring."""

import heapq
from collections.abc import Callable, Iterable
from typing import cast

from shoal.core.ring.chord import Chord, Settings
from shoal.core.ring.ideal import ideal_fingers, ideal_successors
from shoal.core.ring.messages import RingMessage
from shoal.core.ring.port import Draw, Timer

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Node:
    """A node's port, and its Chord. A dead node's timers and messages vanish."""

    def __init__(self, network: "Network", own: int, settings: Settings) -> None:
        self.network = network
        self.own = own
        self.alive = True
        self.answers: dict[int, tuple[tuple[int, ...], int]] = {}
        self.chord = Chord(self, own, settings)

    @property
    def now(self) -> int:
        return self.network.now

    def send(self, to: int, message: object) -> None:
        self.network.send(self, to, message)

    def after(self, delay: int, timer: Timer) -> None:
        self.network.at(delay, lambda: self._fire(timer))

    def _fire(self, timer: Timer) -> None:
        if self.alive:
            self.chord.fire(timer)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        assert token not in self.answers, f"look-up {token} was answered twice"
        self.answers[token] = (nodes, hops)


class Network:
    """Delivers within 1 to 20 ms in no order, loses a share, and is cut between `sides`."""

    def __init__(self, seed: int, settings: Settings | None = None, loss: int = 0) -> None:
        self.settings = settings or Settings()
        self.draw = Draw(seed)
        self.loss = loss  # per thousand
        self.now = 0
        self.nodes: dict[int, Node] = {}
        self.cut: Callable[[int, int], bool] = lambda sender, to: False
        self.sent = 0
        self._events: list[tuple[int, int, Callable[[], object]]] = []

    # what nodes do

    def at(self, delay: int, do: Callable[[], object]) -> None:
        heapq.heappush(self._events, (self.now + delay, self.draw.bits(), do))

    def send(self, sender: Node, to: int, message: object) -> None:
        self.sent += 1
        if self.draw.below(1000) < self.loss or self.cut(sender.own, to):
            return
        delay = MILLISECOND + self.draw.below(19 * MILLISECOND)
        self.at(delay, lambda: self._deliver(sender.own, to, message))

    def _deliver(self, sender: int, to: int, message: object) -> None:
        node = self.nodes.get(to)
        if node is not None and node.alive:
            node.chord.receive(sender, cast("RingMessage", message))

    # what tests do

    def add(self, own: int) -> Chord:
        node = self.nodes[own] = Node(self, own, self.settings)
        return node.chord

    def settle(self, ring: Iterable[int]) -> None:
        """These nodes begin in an ideal ring."""
        ordered = sorted(ring)
        count, base = self.settings.successors, self.settings.base
        for at, own in enumerate(ordered):
            self.add(own).settle(
                ordered[at - 1] if len(ordered) > 1 else None,
                ideal_successors(ordered, at, count),
                ideal_fingers(ordered, at, count, base),
            )

    def kill(self, own: int) -> None:
        self.nodes[own].alive = False

    def run(self, duration: int) -> None:
        end = self.now + duration
        while self._events and self._events[0][0] <= end:
            self.now, _, do = heapq.heappop(self._events)
            do()
        self.now = end

    def until(self, condition: Callable[[], bool], limit: int, step: int = SECOND) -> None:
        """Run until the condition holds; fails after `limit` ns of virtual time."""
        end = self.now + limit
        while not condition():
            assert self.now < end, f"not within {limit // SECOND} virtual seconds"
            self.run(step)

    def members(self) -> list[int]:
        return sorted(own for own, node in self.nodes.items() if node.alive and node.chord.joined)

    def is_ideal(self) -> bool:
        """Whether all living nodes form one ring with the right neighbours."""
        ring = sorted(own for own, node in self.nodes.items() if node.alive)
        for at, own in enumerate(ring):
            chord = self.nodes[own].chord
            if not chord.joined or chord.predecessor != (ring[at - 1] if len(ring) > 1 else None):
                return False
            if chord.successors != ideal_successors(ring, at, self.settings.successors):
                return False
        return True

    def look_up(self, own: int, key: int, count: int = 1) -> tuple[tuple[int, ...], int]:
        """Run a look-up to its end; (nodes, hops)."""
        node = self.nodes[own]
        node.answers.clear()
        node.chord.find(key, 7, count)
        self.until(lambda: 7 in node.answers, 120 * SECOND, MILLISECOND)
        return node.answers[7]
