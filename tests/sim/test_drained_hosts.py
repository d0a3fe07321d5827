"""Hosts that an operator cordons and drains, in virtual time: what moves, what never stops."""

from collections.abc import Callable
from hashlib import sha256
from random import Random

import pytest

from shoal.core.effects import EngineCall
from shoal.core.events import EngineResult, Operator
from shoal.core.host.admission import Refusal
from shoal.model import ops
from shoal.model.container import ContainerSpec, ContainerView, RestartPolicy
from shoal.model.node import NodeChange
from shoal.model.resources import Resources
from shoal.sim.clients import Op
from shoal.sim.engine import IMAGE, SimEngine
from shoal.sim.faults import Plan, plan_of
from shoal.sim.host import Host
from shoal.sim.run import Run
from shoal.sim.world import MILLISECOND, SECOND, World

CORDON, UNCORDON = NodeChange(cordoned=True), NodeChange(cordoned=False)
DRAIN = NodeChange(draining=True)
#: Seeds of runs in which hosts fail as well.
SEEDS = 12
#: No user's operation waits for an answer to what an operator asks.
NOBODY = -1


class Yard:
    """A simulated cloud without faults, and what is asked of it. From its start on each container
    of `kept` is looked for in all engines every 50 ms: `gaps` are those that ran nowhere."""

    def __init__(self, hosts: int = 4) -> None:
        self.run = Run(Plan(5, hosts, (), rate=1, troubled=1, quiet=200 * SECOND))
        self.gaps: list[str] = []
        self.kept: set[str] = set()
        self.pass_by(8)

    def pass_by(self, seconds: float) -> None:
        self.run.world.run_until(self.run.world.now + int(seconds * SECOND))

    @property
    def hosts(self) -> list[Host]:
        return self.run.hosts

    def ask(self, host: Host, change: NodeChange) -> None:
        _deliver(host, change)

    def start(self, number: int, *, movable: bool = True, cpu: int = 100) -> str:
        """Run a container as a user does; answers its id."""
        container = sha256(str(number).encode()).hexdigest()
        policy = RestartPolicy("always" if movable else "no")
        spec = self.run.clients.specs[container] = ContainerSpec(
            image="demo/web",
            image_id=IMAGE.id,
            body={},
            resources=Resources(cpu_millis=cpu, memory=64 << 20),
            restart=policy,
            movable=movable,
            stays_because="" if movable else "no restart policy asks for it",
        )
        made = self.operate("create", container, ops.CreateContainer(container, f"c{number}", spec))
        assert made.acknowledged
        assert self.operate("start", container, ops.Operate(container, "start")).acknowledged
        self.kept.add(container)
        return container

    def operate(self, kind: str, target: str, operation: ops.Operation) -> Op:
        op = self.run.clients.ask(self.hosts[1], kind, target, operation)  # type: ignore[arg-type]
        self.pass_by(2)
        return op

    def watch(self) -> None:
        for container in sorted(self.kept):
            if not self.where(container):
                self.gaps.append(f"{self.run.world.now / SECOND:.2f} s: {container[-2:]}")
        self.run.world.after(50 * MILLISECOND, self.watch)

    def where(self, container: str) -> list[str]:
        """Names of the hosts whose engines run it."""
        return [
            host.name
            for host in self.hosts
            for one in host.engine.containers.values()
            if one.id == container and one.phase == "running"
        ]

    def on(self, host: Host) -> set[str]:
        return {one for one in self.kept if self.where(one) == [host.name]}

    def view(self, container: str) -> ContainerView:
        op = self.operate("get", container, ops.GetContainer(container))
        assert isinstance(op.answer, ops.View)
        return op.answer.container

    def others(self, host: Host) -> list[Host]:
        return [one for one in self.hosts if one is not host]

    def whole(self) -> None:
        """Let it end; every check of the simulation must hold."""
        assert self.run.go().wrong == []
        assert self.gaps == []


def _deliver(host: Host, change: NodeChange) -> None:
    host.deliver(Operator(NOBODY, change), host.epoch)


def busiest(yard: Yard) -> Host:
    return max(yard.hosts, key=lambda host: len(yard.on(host)))


def test_a_drained_host_is_empty_but_for_what_may_not_move() -> None:
    yard = Yard()
    movable = [yard.start(number) for number in range(12)]
    staying = [yard.start(number, movable=False) for number in range(12, 20)]
    host = busiest(yard)
    before = yard.on(host)
    assert before & set(movable)
    yard.watch()
    yard.ask(host, DRAIN)
    yard.pass_by(15)
    assert yard.on(host) == before & set(staying)
    for container in movable:
        (there,) = yard.where(container)
        assert there != host.name
    assert host.core is not None
    tenants = host.core.host.tenancy().tenants
    assert {one.id for one in tenants} == before & set(staying)
    assert {one.stays_because for one in tenants} == {"no restart policy asks for it"}
    yard.whole()


def test_what_has_no_room_elsewhere_stays_and_runs_until_there_is() -> None:
    yard = Yard(3)
    large = [yard.start(number, cpu=3000) for number in range(3)]
    host = busiest(yard)
    (mine,) = yard.on(host)
    yard.watch()
    yard.ask(host, DRAIN)
    yard.pass_by(20)
    assert yard.where(mine) == [host.name]
    assert yard.view(mine).note.startswith("waits for room elsewhere: no node can run it: ")
    (other, _) = (one for one in large if one != mine)
    yard.kept.discard(other)
    yard.operate("remove", other, ops.RemoveContainer(other, force=True))
    yard.pass_by(15)
    (there,) = yard.where(mine)
    assert there != host.name
    assert yard.view(mine).note == ""
    yard.whole()


def test_what_every_other_host_refuses_is_taken_back_by_the_drained_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    yard = Yard(3)
    container = yard.start(1)
    (host,) = (one for one in yard.hosts if yard.on(one))
    yard.watch()
    with monkeypatch.context() as patch:
        for other in yard.others(host):
            assert other.core is not None
            refusal = Refusal("memory", "it is full, whatever others think")
            patch.setattr(other.core.host.runner, "admit", lambda _, no=refusal: no)
        yard.ask(host, DRAIN)
        yard.pass_by(8)
        seen = {yard.view(container).node for _ in range(6)}
        assert host.id in seen
        assert yard.where(container) == [host.name]
    yard.pass_by(20)
    assert yard.where(container) != [host.name]
    yard.whole()


def test_a_new_host_may_take_its_time() -> None:
    """As when it has to fetch a large image: nothing goes back and forth meanwhile."""
    yard = Yard(3)
    container = yard.start(1)
    (host,) = (one for one in yard.hosts if yard.on(one))
    for other in yard.others(host):
        _slow_to_create(other.engine, yard.run.world)
    yard.watch()
    yard.ask(host, DRAIN)
    yard.pass_by(30)
    assert yard.where(container) == [host.name]
    yard.pass_by(30)
    (there,) = yard.where(container)
    assert there != host.name
    generation = yard.view(container).generation
    assert generation is not None
    assert generation.counter == 2
    yard.whole()


def _slow_to_create(engine: SimEngine, world: World) -> None:
    perform = engine.perform

    def slowly(call: EngineCall, answer: Callable[[EngineResult], None]) -> None:
        world.after(40 * SECOND if call.action == "create" else 0, perform, call, answer)

    engine.perform = slowly  # type: ignore[method-assign]


def test_an_uncordoned_host_keeps_what_it_still_has() -> None:
    yard = Yard()
    containers = {yard.start(number) for number in range(12)}
    host = busiest(yard)
    before = yard.on(host)
    yard.watch()
    yard.ask(host, DRAIN)
    yard.pass_by(0.2)
    yard.ask(host, UNCORDON)
    yard.pass_by(30)
    assert yard.on(host) == before
    assert all(len(yard.where(one)) == 1 for one in containers)
    yard.whole()


def test_a_cordoned_host_gets_nothing_new_also_after_a_restart() -> None:
    yard = Yard(3)
    host = yard.hosts[2]
    yard.ask(host, NodeChange(cordoned=True, labels={"disk": "ssd"}))
    yard.pass_by(1)
    host.crash()
    yard.pass_by(1)
    host.start()
    yard.pass_by(5)
    assert host.core is not None
    own = host.core.members.own
    assert (own.cordoned, own.draining, own.labels) == (True, False, {"disk": "ssd"})
    for number in range(6):
        yard.start(number)
    assert yard.on(host) == set()
    assert len(yard.kept) == 6
    yard.ask(host, UNCORDON)
    yard.pass_by(1)
    for number in range(6, 12):
        yard.start(number)
    assert yard.on(host)
    yard.whole()


@pytest.mark.parametrize("drained_dies", [True, False])
def test_a_drain_goes_on_when_a_daemon_dies_in_the_middle(drained_dies: bool) -> None:
    yard = Yard()
    movable = [yard.start(number) for number in range(16)]
    host = busiest(yard)
    dies = host if drained_dies else max(yard.others(host), key=lambda one: len(yard.on(one)))
    yard.watch()
    yard.ask(host, DRAIN)
    yard.pass_by(0.7)
    dies.crash()
    yard.pass_by(4)
    dies.start()
    yard.pass_by(40)
    for container in movable:
        (there,) = yard.where(container)
        assert there != host.name
    yard.whole()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_promises_hold_when_hosts_are_drained_amid_faults(seed: int) -> None:
    """The runs of the simulation's seeds, with an operator at work."""
    plan = plan_of(seed)
    run = Run(plan)
    random = Random(seed)

    def orders() -> None:
        change = random.choice((DRAIN, DRAIN, CORDON, UNCORDON, UNCORDON))
        _deliver(random.choice(run.hosts), change)
        if run.world.now < plan.troubled:
            run.world.after(random.randrange(1, 12) * SECOND, orders)

    run.world.after(3 * SECOND, orders)
    for host in run.hosts:
        run.world.at(plan.troubled + SECOND, _deliver, host, UNCORDON)
    assert run.go().wrong == []
