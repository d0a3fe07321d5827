"""A simulated node: the daemon's cores of ring, discovery and launching behind one port."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shoal.core.discovery.contract import Candidate, Demand, Discovery
from shoal.core.discovery.launch import Launcher
from shoal.core.ring.chord import Chord
from shoal.core.ring.port import Timer
from shoal.sim.experiments.hints import Hint
from shoal.sim.experiments.metrics import PARTS

if TYPE_CHECKING:
    from shoal.sim.experiments.world import World


class Node:
    """The port of its own cores. Counters say what it has received.

    `chord` is None until the node first routes: in a ring that never changes, what it would know
    is worked out only then.
    """

    __slots__ = (
        "bytes",
        "chord",
        "discovery",
        "images",
        "index",
        "launcher",
        "own",
        "received",
        "site",
        "total",
        "upkeep",
        "upkeep_bytes",
        "visits",
        "world",
    )

    discovery: Discovery
    launcher: Launcher

    def __init__(self, world: "World", *, own: int, index: int, site: int, total: Demand) -> None:
        self.world = world
        self.own = own
        self.index = index
        self.site = site
        self.total = total
        self.chord: Chord | None = None
        self.received = 0
        self.bytes = 0
        self.upkeep = 0
        self.upkeep_bytes = 0
        self.visits = 0
        self.images: set[int] | None = None

    @property
    def now(self) -> int:
        """The present time, ns."""
        return self.world.now

    def send(self, to: int, message: object) -> None:
        """Every message takes equally long, so all of a tick go into one list."""
        self.world.outbox.append((to, self.own, message))

    def after(self, delay: int, timer: Timer) -> None:
        """Hand the timer to the core that set it, in `delay` ns, rounded up to the next tick."""
        self.world.later(delay, (self.own, self.own, timer))

    def find(self, key: int, token: int, count: int) -> None:
        """Discovery looks a key up. Its own tokens are negative, as are the ring's own: here they
        become even (a request's) and odd ones."""
        asked = token << 1 if token >= 0 else ~token << 1 | 1
        (self.chord or self.world.settle(self)).find(key, asked, count)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """The ring answers discovery; a request pays for the hops and the answer. Visits of the
        key's owner are what the original sends besides."""
        world = self.world
        world.lookups += 1
        world.hops += hops
        if not nodes:
            world.failed_lookups += 1
        elif hops:
            owner = world.nodes.get(nodes[0])
            if owner is not None:
                owner.visits += 1
        if token & 1:
            self.discovery.found(~(token >> 1), nodes, hops)
            return
        token >>= 1
        if hops:
            row = (token >> PARTS) - 1
            world.requests.hops[row] += hops
            world.requests.messages[row] += hops * world.hop_cost + world.answer_cost
            if nodes:
                world.requests.visits[row] += 1
        self.discovery.found(token, nodes, hops)

    def neighbours(self) -> tuple[int | None, int | None]:
        """Predecessor and successor on the ring."""
        chord = self.chord or self.world.settle(self)
        successors = chord.successors
        return chord.predecessor, successors[0] if successors else None

    def announce(self, free: Demand, used: Demand, containers: int) -> None:
        """Membership tells the node's site."""
        self.world.hints.announce(self, Hint(free, used, containers))

    def candidates(self, token: int, found: Sequence[Candidate]) -> None:
        """Discovery answers the launcher."""
        self.launcher.candidates(token, found)

    def placed(self, token: int, node: int | None) -> None:
        """The launcher answers the user."""
        self.world.feeder.placed(self, token, node)


class FarNode(Node):
    """A node in a network where latency depends on the sites, or messages get lost."""

    __slots__ = ()

    def send(self, to: int, message: object) -> None:
        """Each message takes its own time, if it arrives."""
        self.world.transmit(self, to, message)
