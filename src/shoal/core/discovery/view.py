"""The strategy inside a site: every node knows all others from hints, and asks nobody."""

from shoal.core.discovery.contract import Demand, DiscoveryPort
from shoal.core.discovery.fleet import Fleet
from shoal.core.discovery.settings import Settings
from shoal.core.ring.port import Timer


class View:
    """Strategy "view". It sends nothing; whoever has news of a node (SWIM) calls `hint`."""

    __slots__ = ("_fleet", "_own", "_port", "_settings", "_total")

    def __init__(self, *, port: DiscoveryPort, own: int, total: Demand, settings: Settings) -> None:
        self._port = port
        self._own = own
        self._total = total
        self._settings = settings
        self._fleet = Fleet(settings.policy)

    @property
    def held(self) -> int:
        """How many nodes are known."""
        return len(self._fleet)

    def hint(self, node: int, *, free: Demand, used: Demand, containers: int, alive: bool) -> None:
        """What a node has, as it said last; not alive: it is not chosen until a later hint."""
        if alive:
            self._fleet.put(node, free, used, containers)
        else:
            self._fleet.drop(node)

    def start(self) -> None:
        self._fleet.put(self._own, self._total, Demand(self._total.cpu_class, 0, 0), 0)

    def search(self, token: int, demand: Demand) -> None:
        chosen = self._fleet.best(demand, self._settings.choices)
        if chosen:
            self._fleet.reserve(chosen[0], demand)
        self._port.candidates(token, chosen)

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        self._fleet.put(self._own, free, used, containers)

    def admits(self, offer: int, demand: Demand) -> bool:
        return True

    def taken(self, offer: int) -> None:
        """There are no offers."""

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """Nothing is looked up."""

    def receive(self, sender: int, message: object) -> None:
        """Nothing is sent."""

    def fire(self, timer: Timer) -> None:
        """There are no timers."""
