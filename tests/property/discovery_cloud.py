"""A cloud of discovery cores in virtual time with a perfect ring: for tests of whole strategies."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from heapq import heappop, heappush
from typing import Any

from shoal.core.discovery.contract import Candidate, Demand, StrategyName
from shoal.core.discovery.launch import Launch, Launched, Launcher, Stop
from shoal.core.discovery.ledger import Ledger
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.strategies import strategy
from shoal.core.discovery.view import View
from shoal.core.ring.circle import SIZE
from shoal.core.ring.port import Draw, Timer

MB = 1_000_000
MS = 1_000_000
SECOND = 1_000 * MS


def demand(cpu_class: int, cores: float, megabytes: int) -> Demand:
    """Resources in the original's units."""
    return Demand(cpu_class, round(cores * 1000), megabytes * MB)


class Node:
    """One node: a port, a strategy and a launcher."""

    def __init__(self, cloud: "Cloud", own: int, name: StrategyName, total: Demand) -> None:
        self.cloud = cloud
        self.own = own
        self.total = total
        self.discovery = strategy(
            name, port=self, own=own, total=total, draw=cloud.draw, settings=cloud.settings
        )
        self.launcher = Launcher(
            port=self,
            ledger=Ledger(total),
            discovery=self.discovery,
            policy=cloud.settings.policy,
            timeout=cloud.settings.answer_timeout,
        )

    @property
    def now(self) -> int:
        return self.cloud.now

    def send(self, to: int, message: object) -> None:
        self.cloud.sent.append((self.own, to, message))
        if to in self.cloud.nodes and not self.cloud.lost(message):
            self.cloud.later(10 * MS, lambda: self.cloud.deliver(self.own, to, message))

    def after(self, delay: int, timer: Timer) -> None:
        self.cloud.later(delay, lambda: self.cloud.fire(self.own, timer))

    def find(self, key: int, token: int, count: int) -> None:
        found = self.cloud.owners(key, count)
        self.cloud.later(10 * MS, lambda: self.discovery.found(token, found, 1))

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        self.discovery.found(token, nodes, hops)

    def neighbours(self) -> tuple[int | None, int | None]:
        ring = self.cloud.ring
        place = bisect_left(ring, self.own)
        return ring[place - 1], ring[(place + 1) % len(ring)]

    def announce(self, free: Demand, used: Demand, containers: int) -> None:
        for own in self.cloud.nodes:
            if own != self.own:
                what = partial(self.cloud.hint, own, self.own, free, used, containers)
                self.cloud.later(SECOND, what)

    def candidates(self, token: int, found: Sequence[Candidate]) -> None:
        self.cloud.found[token] = list(found)
        self.launcher.candidates(token, found)

    def placed(self, token: int, node: int | None) -> None:
        self.cloud.placed[token] = node


class Cloud:
    """Nodes evenly on the circle, and what they said."""

    def __init__(
        self, name: StrategyName, totals: Sequence[Demand], settings: Settings, seed: int = 1
    ) -> None:
        self.now = 0
        self.settings = settings
        self.draw = Draw(seed)
        self.sent: list[tuple[int, int, Any]] = []
        self.found: dict[int, list[Candidate]] = {}
        self.placed: dict[int, int | None] = {}
        self.lost: Callable[[object], bool] = lambda message: False
        self._queue: list[tuple[int, int, Callable[[], None]]] = []
        self._serial = 0
        step = SIZE // len(totals)
        self.nodes = {i * step: Node(self, i * step, name, total) for i, total in enumerate(totals)}
        self.ring = sorted(self.nodes)
        for node in self.nodes.values():
            node.discovery.start()

    def later(self, delay: int, what: Callable[[], None]) -> None:
        self._serial += 1
        heappush(self._queue, (self.now + delay, self._serial, what))

    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        end = self.now + round(seconds * SECOND)
        while self._queue and self._queue[0][0] <= end:
            self.now, _, what = heappop(self._queue)
            what()
        self.now = end

    def owners(self, key: int, count: int) -> tuple[int, ...]:
        place = bisect_left(self.ring, key)
        many = len(self.ring)
        return tuple(self.ring[(place + i) % many] for i in range(min(count, many)))

    def deliver(self, sender: int, to: int, message: object) -> None:
        node = self.nodes.get(to)
        if node is None:
            return
        if isinstance(message, Launch | Launched | Stop):
            node.launcher.receive(sender, message)
        else:
            node.discovery.receive(sender, message)

    def fire(self, own: int, timer: Timer) -> None:
        node = self.nodes.get(own)
        if node is None:
            return
        if timer.kind.startswith("launch."):
            node.launcher.fire(timer)
        else:
            node.discovery.fire(timer)

    def kill(self, own: int) -> None:
        """A node is gone, and the ring knows it."""
        del self.nodes[own]
        self.ring.remove(own)

    def tell_of(self, dead: int) -> None:
        """Membership holds a node for dead."""
        for node in self.nodes.values():
            node.discovery.gone(dead)

    def hint(self, to: int, about: int, free: Demand, used: Demand, containers: int) -> None:
        """Membership has told one node about another."""
        node = self.nodes.get(to)
        if node is not None and isinstance(node.discovery, View):
            node.discovery.hint(about, free, used, containers)

    def messages(self, kind: type) -> list[Any]:
        """All messages of a kind that were sent so far."""
        return [message for _, _, message in self.sent if type(message) is kind]
