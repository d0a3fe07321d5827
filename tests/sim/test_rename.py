"""A container gets another name, in virtual time: once, durably, and only a name that is free."""

from hashlib import sha256

from shoal.model import ops
from shoal.model.container import ContainerSpec, ContainerView
from shoal.sim.clients import Kind, Op
from shoal.sim.engine import IMAGE
from shoal.sim.faults import Plan
from shoal.sim.host import Host
from shoal.sim.run import Run
from shoal.sim.world import SECOND


class Yard:
    """A simulated cloud of three hosts whose users do only what a test says."""

    def __init__(self) -> None:
        self.run = Run(Plan(7, 3, (), rate=1, troubled=1, quiet=100 * SECOND))
        self.pass_by(8)

    def pass_by(self, seconds: int) -> None:
        self.run.world.run_until(self.run.world.now + seconds * SECOND)

    def operate(self, kind: Kind, target: str, operation: ops.Operation, host: int = 0) -> Op:
        op = self.run.clients.ask(self.run.hosts[host], kind, target, operation)
        self.pass_by(3)
        return op

    def make(self, name: str) -> str:
        container = sha256(f"{name}/{len(self.run.clients.specs)}".encode()).hexdigest()
        spec = ContainerSpec(image="demo/web", image_id=IMAGE.id, body={})
        self.run.clients.specs[container] = spec
        made = self.operate("create", container, ops.CreateContainer(container, name, spec))
        assert made.acknowledged
        return container

    def rename(self, ref: str, name: str) -> ops.Answer | None:
        return self.operate("write", ref, ops.RenameContainer(ref, name), host=1).answer

    def view(self, ref: str) -> ContainerView | None:
        answer = self.operate("get", ref, ops.GetContainer(ref), host=2).answer
        return answer.container if isinstance(answer, ops.View) else None


def host_of(yard: Yard, container: str) -> Host:
    view = yard.view(container)
    assert view is not None
    return yard.run.by_id[view.node]


def test_the_new_name_is_the_container_s_and_the_old_one_is_free() -> None:
    yard = Yard()
    web = yard.make("web")
    assert yard.rename("web", "shop") == ops.Done(web)
    found = yard.view("shop")
    assert found is not None
    assert found.id == web
    assert yard.view("web") is None
    core = host_of(yard, web).core
    assert core is not None
    assert core.host.entries[web].container.name == "shop"  # its events carry the name
    assert yard.make("web") != web


def test_a_name_that_is_taken_or_the_same_is_refused() -> None:
    yard = Yard()
    web, other = yard.make("web"), yard.make("other")
    taken = yard.rename("web", "other")
    assert isinstance(taken, ops.Failed)
    assert (taken.status, other in taken.text) == (409, True)
    same = yard.rename("web", "web")
    assert isinstance(same, ops.Failed)
    assert same.status == 400
    missing = yard.rename("nothing", "x")
    assert isinstance(missing, ops.Failed)
    assert missing.status == 404
    found = yard.view("web")
    assert found is not None
    assert found.id == web


def test_a_name_outlives_its_keeper() -> None:
    yard = Yard()
    web = yard.make("web")
    assert yard.rename("web", "shop") == ops.Done(web)
    asked = yard.run.hosts[0].core
    assert asked is not None
    keeper = yard.run.by_id[asked.vclusters[yard.run.vclusters[0]].holders()[0]]
    keeper.power_off()
    yard.pass_by(30)
    left = next(number for number, host in enumerate(yard.run.hosts) if host is not keeper)
    answer = yard.operate("get", "shop", ops.GetContainer("shop"), host=left).answer
    assert isinstance(answer, ops.View)
    assert answer.container.id == web
