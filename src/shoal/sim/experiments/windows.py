"""Looking at the whole system every few minutes of virtual time."""

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

from shoal.sim.experiments.cores import offers_of, state_of
from shoal.sim.experiments.metrics import Window
from shoal.sim.experiments.quantiles import box

if TYPE_CHECKING:
    from shoal.sim.experiments.node import Node
    from shoal.sim.experiments.world import World

BANDS = 48
"""Rows of the heat map: nodes by the size of their machine."""


class Traffic:
    """What every node, the dead too, has received until this moment, in arrays by index."""

    def __init__(self, world: "World") -> None:
        members = world.members
        self.messages = array("q", [node.received for node in members])
        self.bytes = array("q", [node.bytes for node in members])
        self.acks = array("q", [node.acks for node in members])
        self.upkeep = array("q", [node.upkeep for node in members])
        self.upkeep_bytes = array("q", [node.upkeep_bytes for node in members])


class Windows:
    """Closes a window of time after the other; each is what changed since the one before."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.closed: list[Window] = []
        self._messages: array[int] = array("q")
        self._bytes: array[int] = array("q")
        self._row = 0
        self._stops = 0
        self._order: list[int] = []
        self.traffic: Traffic | None = None

    def begin(self) -> None:
        """Schedule the end of the first window."""
        members = self._world.members
        self._order = [
            node.index
            for node in sorted(
                members, key=lambda n: (n.total.cpu_class, n.total.cpus, n.total.memory, n.index)
            )
        ]
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
        living = list(world.nodes.values())
        window = Window(end=world.now, nodes=len(living))
        self._about_requests(window)
        self._about_traffic(window, living)
        uses = {node.index: use_of(node) for node in living}
        window.use = sum(uses.values()) / max(len(uses), 1)
        window.heat = self._heat(uses)
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

    def _about_traffic(self, window: Window, living: "list[Node]") -> None:
        """Newcomers begin at zero; what the dead had received is left out."""
        count = len(self._world.members)
        for before in (self._messages, self._bytes):
            before.extend([0] * (count - len(before)))
        messages, size = self._messages, self._bytes
        got = [node.received - messages[node.index] for node in living]
        window.node_messages = box(got)
        window.messages = sum(got)
        window.node_bytes = box([node.bytes - size[node.index] for node in living])
        for node in living:
            messages[node.index] = node.received
            size[node.index] = node.bytes
        window.busiest = max((node.received for node in living), default=0)

    def _heat(self, uses: dict[int, float]) -> list[float]:
        """The mean use of every band of the first nodes, 0 where all of a band are dead."""
        order = self._order
        edges = [len(order) * i // BANDS for i in range(BANDS + 1)]
        means = []
        for low, high in pairwise(edges):
            band = [uses[index] for index in order[low:high] if index in uses]
            means.append(round(sum(band) / len(band), 4) if band else 0.0)
        return means


def use_of(node: "Node") -> float:
    """The share of a node's resources in use, the mean of cpus and memory; 1 if one is used up,
    because then nothing can use the other (as in the original)."""
    free, total = node.launcher.ledger.free, node.total
    if free.cpus <= 0 or free.memory <= 0:
        return 1.0
    return 1 - (free.cpus / total.cpus + free.memory / total.memory) / 2
