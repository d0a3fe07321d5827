"""The simulated cloud: all nodes, the network between them, and the loop that drives them."""

import gc
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from shoal.core.ring.chord import Chord
from shoal.core.ring.ideal import ideal_fingers, ideal_successors
from shoal.core.ring.messages import Find
from shoal.core.ring.port import Draw, Timer
from shoal.sim.experiments.churn import Churner
from shoal.sim.experiments.experiment import Experiment
from shoal.sim.experiments.feeder import Feeder
from shoal.sim.experiments.hints import Hints
from shoal.sim.experiments.kinds import kinds
from shoal.sim.experiments.metrics import DISCOVERY, LAUNCH, PARTS, RING, Kind, Requests
from shoal.sim.experiments.network import Sites, even, ticks
from shoal.sim.experiments.node import FarNode, Node
from shoal.sim.experiments.population import Maker
from shoal.sim.experiments.wheel import TICK, Wheel
from shoal.sim.experiments.windows import Windows
from shoal.sim.experiments.workloads import Workload

_BATCH = 1000
"""Ticks between two looks at the clock on the wall."""

_encode = msgspec.msgpack.Encoder().encode

Action = Callable[[Any], None]
Event = tuple[int, int, object] | tuple[int, Action, object]
"""(receiver, sender, message or timer), or (-1, function, its argument)."""


@contextmanager
def uncollected() -> Iterator[None]:
    """No search for garbage: nodes live to the end and messages are in no cycles, so looking
    through millions of objects again and again would find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


class World:
    """Everything of a run; pickles, so that it can be interrupted.

    nodes: the living by position. members: all by index, the dead too. order: positions of
    the living, sorted. now: virtual time, ns. outbox: where messages of this tick go if all take
    equally long.
    """

    def __init__(self, experiment: Experiment, workload: Workload) -> None:
        self.experiment = experiment
        self.now = 0
        self.wheel = Wheel()
        self.kinds = kinds()
        self.requests = Requests()
        self.lookups = self.hops = self.failed_lookups = 0
        self.undelivered = self.lost = 0
        recursive = experiment.ring.mode == "recursive"
        self.hop_cost, self.answer_cost = (1, 1) if recursive else (2, 0)
        self.sites = Sites(experiment.network)
        self._far = not even(experiment.network)
        self._latency = ticks(experiment.network.latency, "network.latency")
        self._loss = Draw(experiment.seed ^ 0x10_55)
        self.outbox = self.wheel.slot(self._latency)
        self.maker = Maker(experiment, self.sites)
        self.order = self.maker.positions()
        self.members: list[Node] = []
        self.nodes: dict[int, Node] = {}
        self.end = experiment.duration // TICK
        self.feeder = Feeder(self, workload)
        self.windows = Windows(self)
        self.churner = Churner(self)
        self.hints = Hints(self)
        with uncollected():
            self._begin()

    def add(self, position: int) -> Node:
        """A new node, not started."""
        kind = FarNode if self._far else Node
        node = kind(
            self,
            own=position,
            index=len(self.members),
            site=self.maker.site(),
            total=self.maker.machine(),
        )
        self.maker.equip(node)
        self.members.append(node)
        self.nodes[position] = node
        self.hints.joined(node)
        return node

    def settle(self, node: Node) -> Chord:
        """Give a node the place in the ring that it has in the order of all."""
        chord = Chord(node, node.own, self.maker.ring)
        node.chord = chord
        at = self.place(node.own)
        order, ring = self.order, self.maker.ring
        chord.settle(
            order[at - 1] if len(order) > 1 else None,
            ideal_successors(order, at, ring.successors),
            ideal_fingers(order, at, ring.successors, ring.base),
        )
        return chord

    def place(self, position: int) -> int:
        """Where a position stands, or would stand, in the order."""
        return bisect_left(self.order, position)

    def entry(self, bits: int) -> Node:
        """The node at which a request comes in: the master, or any of the living."""
        if self.experiment.strategy == "central":
            return self.nodes[self.order[0]]
        return self.nodes[self.order[bits * len(self.order) >> 64]]

    # the network

    def later(self, delay: int, event: Event) -> None:
        """Let an event come in `delay` ns, rounded up to the next tick."""
        self.wheel.put(max(-(-delay // TICK), 0), event)

    def transmit(self, sender: Node, to: int, message: object) -> None:
        """Send where latency depends on the sites, or messages get lost."""
        receiver = self.nodes.get(to)
        if receiver is None:
            self.undelivered += 1
        elif to != sender.own and self.sites.loses(self._loss):
            self.lost += 1
        else:
            latency = self.sites.latency[sender.site][receiver.site]
            self.wheel.slot(latency).append((to, sender.own, message))

    # running

    def _begin(self) -> None:
        for position in self.order:
            self.add(position)
        if self.experiment.maintains:
            for node in list(self.nodes.values()):
                self.settle(node)
        for node in list(self.nodes.values()):
            node.discovery.start()
        self.later(0, (-1, self.feeder.tick, 0))
        self.churner.begin()
        self.windows.begin()
        self._work(0, self.wheel.slots[:1])

    def run(self, until: int, look: Callable[[], bool]) -> None:
        """Go on to tick `until`; `look` is asked every second of virtual time whether to."""
        with uncollected():
            while self.wheel.tick < until and look():
                self._run(min(self.wheel.tick + _BATCH, until))

    def _run(self, until: int) -> None:
        while self.wheel.tick < until:
            first = self.wheel.tick + 1
            stretch = self.wheel.stretch(until)
            self._work(first, stretch)
            self.wheel.tick = first + len(stretch) - 1

    def _work(self, first: int, stretch: list[list[Any]]) -> None:
        """Deliver everything in these lists, of tick `first` and those after it.

        This is the loop that a run spends its time in, so it is one function, and the hops of
        look-ups, most of all messages, have a way of their own through it.
        """
        wheel, nodes, known, encode, latency = (
            self.wheel,
            self.nodes.get,
            self.kinds,
            _encode,
            self._latency,
        )
        finds = find_bytes = 0
        for tick, events in enumerate(stretch, first):
            if not events:
                continue
            wheel.tick = tick
            self.now = tick * TICK
            self.outbox = wheel.slot(latency)
            for to, sender, message in events:
                node = nodes(to)
                if node is None:
                    self._without_node(to, sender, message)
                    continue
                message_class = message.__class__
                if message_class is Find:
                    size = len(encode(message))
                    finds += 1
                    find_bytes += size
                    node.received += 1
                    node.bytes += size
                    (node.chord or self.settle(node)).receive(sender, message)
                elif message_class is Timer:
                    self._fire(node, message)
                else:
                    self._deliver(node, sender, message, known[message_class])
            events.clear()
        known[Find].count += finds
        known[Find].bytes += find_bytes

    def _without_node(self, to: int, sender: Any, message: Any) -> None:
        """An action of the simulation itself, or a message to a dead node."""
        if to < 0:
            sender(message)
        else:
            self.undelivered += 1

    def _deliver(self, node: Node, sender: int, message: Any, kind: Kind) -> None:
        size = len(_encode(message))
        kind.count += 1
        kind.bytes += size
        if kind.upkeep:
            node.upkeep += 1
            node.upkeep_bytes += size
        else:
            node.received += 1
            node.bytes += size
        core = kind.core
        if core == RING:
            (node.chord or self.settle(node)).receive(sender, message)
            return
        if kind.traced and message.token > 0:
            self.requests.messages[(message.token >> PARTS) - 1] += 1
        if core == DISCOVERY:
            node.discovery.receive(sender, message)
        elif core == LAUNCH:
            node.launcher.receive(sender, message)
        else:
            self.hints.hear(node, sender, message)

    def _fire(self, node: Node, timer: Timer) -> None:
        kind = timer.kind
        if kind.startswith("ring."):
            assert node.chord is not None
            node.chord.fire(timer)
        elif kind.startswith("launch."):
            node.launcher.fire(timer)
        else:
            node.discovery.fire(timer)
