"""What really happened in a run, whatever the nodes believe; wrongs are noted as they occur."""

from collections.abc import Sequence
from typing import Any

import msgspec

from shoal.core.effects import EngineCall
from shoal.core.events import EngineContainer
from shoal.core.keeper.copy import space_of
from shoal.core.keeper.records import PLACEMENT, Record
from shoal.model.container import ContainerSpec
from shoal.model.ids import Generation
from shoal.model.resources import HostPort, Resources
from shoal.sim.clients import Clients, Op
from shoal.sim.engine import SimEngine, Witness
from shoal.sim.host import Host
from shoal.sim.probes import Probes
from shoal.sim.world import World

_decode = msgspec.msgpack.Decoder(Record).decode

_STOPPING = ("stop", "kill", "restart", "remove")


class Truth(Witness):
    """`ran` holds where each generation of each container has been running; it is judged when
    an engine is told to stop or remove something."""

    def __init__(self, world: World, probes: Probes) -> None:
        self.wrong: list[str] = []
        self.ran: dict[str, set[str]] = {}
        self.acknowledged: set[str] = set()
        self._world = world
        self._probes = probes
        self._hosts: Sequence[Host] = ()
        self._clients: Clients | None = None

    def watch(self, hosts: Sequence[Host], clients: Clients) -> None:
        self._hosts = hosts
        self._clients = clients

    def _say(self, text: str) -> None:
        self._world.note("-", "wrong", text)
        self.wrong.append(f"{self._world.now / 1e9:.3f} s: {text}")

    def _name(self, node: str) -> str:
        return next((host.name for host in self._hosts if host.id == node), node[:6])

    # -- users ---------------------------------------------------------------------------------

    def answered(self, op: Op, teller: Host) -> None:
        if op.kind == "create" and op.acknowledged:
            self.acknowledged.add(op.id)
        keeper = None if teller.core is None else teller.core.vclusters[teller.default].keeper
        op.at_risk = keeper is None or not keeper.replication.targets

    def _asked(self, container: str, kinds: Sequence[str]) -> bool:
        assert self._clients is not None
        return any(op.id == container and op.kind in kinds for op in self._clients.history)

    def _spec(self, container: str) -> ContainerSpec:
        assert self._clients is not None
        return self._clients.specs[container]

    # -- engines -------------------------------------------------------------------------------

    def created(self, engine: SimEngine, container: EngineContainer) -> None:
        pass

    def started(self, engine: SimEngine, container: EngineContainer) -> None:
        """Nothing may be started beyond what the host has."""
        self.ran.setdefault(container.id, set()).add(engine.node)
        running = [one for one in engine.containers.values() if one.phase == "running"]
        needs = [self._spec(one.id).resources for one in running]
        trouble = _over(needs, engine)
        host = next(host for host in self._hosts if host.id == engine.node)
        if trouble and not host.forgot:  # without its books it cannot know
            names = ", ".join(sorted(one.id[:6] for one in running))
            self._say(f"{self._name(engine.node)} is over-committed: {trouble} ({names})")

    def stopped(self, engine: SimEngine, container: EngineContainer, call: EngineCall) -> None:
        if not self._asked(container.id, _STOPPING):
            self._say(f"{container.id[:6]} stopped on {self._name(engine.node)} without a wish")

    def removed(self, engine: SimEngine, container: EngineContainer, call: EngineCall) -> None:
        """Only a removal, a newer generation or an unfinished create may end a container."""
        if self._asked(container.id, ("remove",)) or self._spec(container.id).auto_remove:
            return
        generation = container.generation
        assert generation is not None
        if self._newer(container.id, generation, engine.node):
            if container.phase == "running":
                self._probes.hit("superseded while running")
                elsewhere = self.ran.get(container.id, set()) - {engine.node}
                if not elsewhere and not self._asked(container.id, _STOPPING):
                    self._say(f"{container.id[:6]} was ended before it ran elsewhere")
            return
        if container.id not in self.acknowledged:
            return
        self._say(
            f"{container.id[:6]} ({container.phase}) destroyed on {self._name(engine.node)} "
            "though nothing replaces it"
        )

    def _newer(self, container: str, generation: Generation, node: str) -> bool:
        """Whether any node knows of a newer placement, or will when it is on again."""
        for host in self._hosts:
            if host.core is None:
                records = _on_disk(host, container)
            else:
                entry = host.core.host.entries.get(container)
                if entry is not None and entry.generation > generation:
                    return True
                records = host.core.vclusters[host.default].copy.records.of(container)
            if any(one.concern == PLACEMENT and _of(one.value) > generation for one in records):
                return True
        return False

    # -- keepers -------------------------------------------------------------------------------

    def keeper_began(self, node: Host, vcluster: str, partial: bool) -> None:
        if partial:
            self._probes.hit("partial keeper")
        assert node.core is not None
        mine = node.core.vclusters[vcluster].copy.records
        keepers = 0
        newest = 0
        for host in self._hosts:
            if host.core is None or vcluster not in host.core.vclusters:
                continue
            keepers += host.core.vclusters[vcluster].keeper is not None
            newest = max(newest, host.core.vclusters[vcluster].copy.records.latest)
        if keepers > 1:
            self._probes.hit("two keepers")
        if newest > mine.latest:
            self._probes.hit("take-over without the newest copy")


def _on_disk(host: Host, object_id: str) -> tuple[Record, ...]:
    """The records of an object that a host which is off has."""
    copy = space_of(host.default)
    return tuple(
        _decode(blob)
        for (space, key), blob in host.disk.stored.items()
        if space == copy and key.startswith(object_id)
    )


def _of(value: dict[str, Any]) -> Generation:
    return msgspec.convert(value["generation"], Generation)


def _over(needs: Sequence[Resources], engine: SimEngine) -> str:
    cpu = sum(one.cpu_millis for one in needs)
    if cpu > engine.capacity.cpu_millis:
        return f"{cpu} millicores"
    memory = sum(one.memory for one in needs)
    if memory > engine.capacity.memory:
        return f"{memory} bytes"
    ports: list[HostPort] = [port for one in needs for port in one.ports]
    clash = [port for port in ports if ports.count(port) > 1]
    return f"port {clash[0]} twice" if clash else ""
