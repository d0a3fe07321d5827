"""The strategy inside a site: every node knows all others from hints, and asks nobody.

It chooses by the same index of nodes and the same scores as the keepers of the daemon
(`core.placement`). A choice counts on top of what its node has said until the node's next hint.
"""

from typing import Final

from shoal.core.discovery.contract import Candidate, Demand, DiscoveryPort
from shoal.core.discovery.rank import Ranking
from shoal.core.discovery.settings import Settings
from shoal.core.placement import ClusterView, PlacementRequest, rank
from shoal.core.ring.port import Timer
from shoal.model.container import PlacementRules
from shoal.model.node import EngineInfo, NodeInfo
from shoal.model.resources import Capacity, Load, Resources

_ENGINE: Final = EngineInfo(up=True)


class View:
    """Strategy "view". Whoever has news of other nodes (membership) calls `hint` and `gone`."""

    __slots__ = ("_cluster", "_own", "_port", "_settings", "_total")

    def __init__(self, *, port: DiscoveryPort, own: int, total: Demand, settings: Settings) -> None:
        self._port = port
        self._own = own
        self._total = total
        self._settings = settings
        self._cluster = ClusterView()

    @property
    def held(self) -> int:
        """How many nodes are known."""
        return len(self._cluster)

    def hint(self, node: int, free: Demand, used: Demand, containers: int) -> None:
        """What a node has, as it said last."""
        name = _name(node)
        load = Load(used.cpus, used.memory, containers)
        state = self._cluster.state(name)
        if state is None:
            capacity = Capacity(free.cpus + used.cpus, free.memory + used.memory)
            info = NodeInfo(name, name, "", cpu_class=1 if free.cpu_class else 0, load=load,
                            capacity=capacity, engine=_ENGINE)  # fmt: skip
            self._cluster.update(info, up=True)
            return
        for key in list(state.pending):
            self._cluster.release(key)
        self._cluster.update_load(name, load)

    def came(self, node: int) -> None:
        """Its hint follows."""

    def gone(self, node: int) -> None:
        self._cluster.forget(_name(node))

    def start(self) -> None:
        self.changed(self._total, Demand(self._total.cpu_class, 0, 0), 0)

    def search(self, token: int, demand: Demand) -> None:
        settings = self._settings
        request = PlacementRequest(
            resources=Resources(demand.cpus, demand.memory),
            rules=PlacementRules(settings.policy, cpu_class=1 if demand.cpu_class else 0),
        )
        key = str(token)
        found = [
            self._candidate(node)
            for node in rank(request, self._cluster, key, limit=settings.choices)
        ]
        first = Ranking(found, demand, settings.policy).next()
        if first is not None:
            self._cluster.assume(key, _name(first.node), request.resources)
        self._port.candidates(token, found)

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        self.hint(self._own, free, used, containers)
        self._port.announce(free, used, containers)

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

    def _candidate(self, name: str) -> Candidate:
        state = self._cluster.state(name)
        assert state is not None
        cpu_class = state.info.cpu_class
        free = Demand(cpu_class, state.free_cpu, state.free_memory)
        used = Demand(cpu_class, state.used_cpu, state.used_memory)
        return Candidate(int(name, 16), 0, free, used, state.containers)


def _name(node: int) -> str:
    return f"{node:016x}"
