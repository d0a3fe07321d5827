"""Looking at the whole system every few minutes of virtual time."""

from array import array
from collections.abc import Sequence
from itertools import pairwise
from operator import sub
from typing import TYPE_CHECKING

from shoal.sim.experiments.cores import offers_of, state_of
from shoal.sim.experiments.metrics import Window
from shoal.sim.experiments.quantiles import box

if TYPE_CHECKING:
    from shoal.sim.experiments.node import Node
    from shoal.sim.experiments.world import World

BANDS = 48
"""Rows of the heat map: nodes by the size of their machine."""

SAMPLE = 2048


class Traffic:
    """What every node, the dead too, has received until this moment, in arrays by index."""

    def __init__(self, world: "World") -> None:
        members = world.members
        self.messages = array("q", [node.received for node in members])
        self.bytes = array("q", [node.bytes for node in members])
        self.visits = array("q", [node.visits for node in members])
        self.upkeep = array("q", [node.upkeep for node in members])
        self.upkeep_bytes = array("q", [node.upkeep_bytes for node in members])


class Windows:
    """Closes a window of time after the other; each is what changed since the one before.

    Boxes, use and heat are those of every so-many-th node, `SAMPLE` at most: looking at a million
    nodes every three minutes would take longer than simulating them.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.closed: list[Window] = []
        self.traffic: Traffic | None = None
        self._sample: list[Node] = []
        self._messages: list[int] = []
        self._bytes: list[int] = []
        self._row = 0
        self._stops = 0
        self._received = 0

    def begin(self) -> None:
        """Schedule the end of the first window."""
        members = self._world.members
        self._sample = sorted(members[:: -(-len(members) // SAMPLE)], key=_size)
        self._messages = [0] * len(self._sample)
        self._bytes = [0] * len(self._sample)
        experiment = self._world.experiment
        self._world.later(experiment.window, (-1, self._close, None))
        if experiment.traffic_until:
            self._world.later(experiment.traffic_until, (-1, self._record, None))

    def _record(self, _nothing: object) -> None:
        self.traffic = Traffic(self._world)

    def _close(self, _nothing: object) -> None:
        self.close()
        self._world.later(self._world.experiment.window, (-1, self._close, None))

    def close(self) -> None:
        """End a window now, unless one ended at this moment."""
        world = self._world
        if self.closed and self.closed[-1].end == world.now:
            return
        window = Window(end=world.now, nodes=len(world.nodes))
        self._about_requests(window)
        self._about_traffic(window)
        living = [node for node in self._sample if node.own in world.nodes]
        window.use = mean([use_of(node) for node in living])
        window.heat = self._heat()
        window.offers = box([offers_of(node) for node in living])
        window.state = box([state_of(node) for node in living])
        self.closed.append(window)

    def _about_requests(self, window: Window) -> None:
        world = self._world
        requests = world.requests
        first, self._row = self._row, len(requests.asked)
        window.requests = self._row - first
        window.succeeded = sum(requests.ok[first:])
        window.request_messages = box(requests.messages[first:])
        window.efficiency = requests.efficiency()
        window.stops = world.feeder.stops - self._stops
        self._stops = world.feeder.stops

    def _about_traffic(self, window: Window) -> None:
        messages = [node.received for node in self._sample]
        size = [node.bytes for node in self._sample]
        window.node_messages = box(list(map(sub, messages, self._messages)))
        window.node_bytes = box(list(map(sub, size, self._bytes)))
        self._messages, self._bytes = messages, size
        received = [node.received for node in self._world.members]
        window.messages = sum(received) - self._received
        window.busiest = max(received)
        self._received += window.messages

    def _heat(self) -> list[float]:
        """The mean use of every band of the sample, 0 where all of a band are dead."""
        sample, nodes = self._sample, self._world.nodes
        edges = [len(sample) * i // BANDS for i in range(BANDS + 1)]
        return [
            round(mean([use_of(node) for node in sample[low:high] if node.own in nodes]), 4)
            for low, high in pairwise(edges)
        ]


def mean(values: Sequence[float]) -> float:
    """Of no values, 0."""
    return sum(values) / len(values) if values else 0.0


def _size(node: "Node") -> tuple[int, int, int, int]:
    total = node.total
    return total.cpu_class, total.cpus, total.memory, node.index


def use_of(node: "Node") -> float:
    """The share of a node's resources in use, the mean of cpus and memory; 1 if one is used up,
    because then nothing can use the other (as in the original)."""
    free, total = node.launcher.ledger.free, node.total
    if free.cpus <= 0 or free.memory <= 0:
        return 1.0
    return 1 - (free.cpus / total.cpus + free.memory / total.memory) / 2
