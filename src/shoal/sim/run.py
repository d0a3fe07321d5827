"""One run: hosts, network, users and faults put together; then the checks."""

import hashlib
import uuid

import msgspec

from shoal.core import effects as f
from shoal.core.keeper.copy import HOLDS
from shoal.model import ops
from shoal.model.ids import DEFAULT, SYSTEM, vcluster_id
from shoal.model.resources import Capacity
from shoal.sim.checks import check
from shoal.sim.clients import Clients
from shoal.sim.faults import Faults, Plan
from shoal.sim.host import Host
from shoal.sim.membership import Membership
from shoal.sim.network import Network
from shoal.sim.probes import Probes
from shoal.sim.truth import Truth
from shoal.sim.validate import validate
from shoal.sim.world import SECOND, World

CAPACITY = Capacity(4000, 4 << 30)
#: One step in so many is followed by a look at the core's own invariants.
VALIDATE_EVERY = 16


class Outcome(msgspec.Struct):
    """What a run showed: `wrong` is empty if every promise was kept."""

    plan: Plan
    wrong: list[str]
    probes: dict[str, int]
    trace: list[str]
    steps: int
    operations: int


class Run:
    """A cloud in virtual time. It is the `Surroundings` of its hosts."""

    def __init__(self, plan: Plan, *, trace: bool = False) -> None:
        self.plan = plan
        self.world = World(plan.seed, trace=trace)
        self.network = Network(self.world)
        self.probes = Probes()
        self.steps = 0
        self.cloud = str(uuid.UUID(bytes=hashlib.sha256(f"{plan.seed}".encode()).digest()[:16]))
        self.vclusters = [vcluster_id(self.cloud, name) for name in (DEFAULT, SYSTEM)]
        self.truth = Truth(self.world, self.probes)
        self.hosts = [self._host(number) for number in range(plan.nodes)]
        self.by_id = {host.id: host for host in self.hosts}
        self.membership = Membership(self.world, self.network, self.by_id)
        self.clients = Clients(self.world, self.hosts, rate=plan.rate, until=plan.troubled)
        self.truth.watch(self.hosts, self.clients)
        random = self.world.random("start")
        for number, host in enumerate(self.hosts):
            host.skew = int(random.gauss(0, 0.02) * SECOND)
            start = 0 if number == 0 else int(random.uniform(0.05, 1) * SECOND)
            self.world.at(start, self._start, host, number == 0)
        self.faults = Faults(self.world, self.network, self.membership, self.hosts, plan)

    def _host(self, number: int) -> Host:
        return Host(
            self.world,
            self.network,
            self,
            self.truth,
            name="abcdefghijklmnopqrstuvwxyz"[number],
            node_id=hashlib.sha256(f"{self.plan.seed}/{number}".encode()).hexdigest(),
            number=number,
            cloud=self.cloud,
            capacity=CAPACITY,
            discovery=self.plan.discovery,
        )

    @property
    def present(self) -> list[Host]:
        """The hosts that were not lost for good."""
        return [host for host in self.hosts if not host.lost]

    @staticmethod
    def _start(host: Host, founder: bool) -> None:
        host.start(founder=founder)

    def go(self) -> Outcome:
        """Run to the end, ask every node what it sees, and check everything."""
        end = self.plan.troubled + self.plan.quiet
        self.world.run_until(end)
        listings = [
            (host, self.clients.ask(host, "list", "", ops.ListContainers()))
            for host in self.present
        ]
        self.world.run_until(end + 3 * SECOND)
        wrong = self.truth.wrong + check(self, listings)
        self.probes.hit("torn write", sum(host.disk.torn for host in self.hosts))
        return Outcome(
            self.plan,
            wrong,
            dict(self.probes.counts),
            self.world.lines or [],
            self.steps,
            len(self.clients.history),
        )

    # -- what hosts tell -----------------------------------------------------------------------

    def answered(self, node: Host, token: int, answer: ops.Answer, teller: str) -> None:
        op = self.clients.answered(node, token, answer)
        if op is None:
            return
        if teller not in (op.first_asked, node.id) and op.first_asked:
            self.probes.hit("answered by another keeper")
        if isinstance(answer, ops.Listing) and answer.stale:
            self.probes.hit("stale read")
        self.truth.answered(op, self.by_id[teller])

    def rejoins(self, node: Host, other: str) -> None:
        self.probes.hit("member rejoined")
        if other in self.by_id:
            self.membership.rejoins(node.id, other)

    def logged(self, node: Host, log: f.Log) -> None:
        self.world.note(node.name, "log", f"{log.event} {_fields(log)}")
        if log.event == "keeper":
            self.truth.keeper_began(node, str(log.fields["vcluster"]), bool(log.fields["partial"]))
        elif log.event == "handed over" and self.clients.pending:
            self.probes.hit("hand-over under writes")
        elif log.event == "conflict":
            self.probes.hit("conflict")
        elif log.event == "orphan":
            self.probes.hit("orphan in the engine")
        elif log.event == "renamed":
            self.probes.hit("renamed")
        elif log.event == "message not understood":
            self.truth.wrong.append(f"{node.name}: {log.event}: {log.fields}")

    def wrote(self, node: Host, write: f.Write) -> None:
        if isinstance(write, f.Delete) and write.space == HOLDS:
            self.probes.hit("returned copy forgets")

    def started(self, node: Host) -> None:
        self.membership.started(node.id)

    def stopped(self, node: Host) -> None:
        self.membership.stopped(node.id)
        self.clients.host_stopped(node)

    def stepped(self, node: Host) -> None:
        self.steps += 1
        if self.steps % VALIDATE_EVERY == 0 and node.core is not None:
            validate(node.core)


def _fields(log: f.Log) -> str:
    return " ".join(f"{key}={str(value)[:12]}" for key, value in log.fields.items())


def run(plan: Plan, *, trace: bool = False) -> Outcome:
    """Run a plan. Exceptions of the cores count as broken promises."""
    cloud = Run(plan, trace=trace)
    try:
        return cloud.go()
    except Exception as error:  # a core must never raise, whatever it is
        where = _where(error)
        text = f"a core raised {type(error).__name__}: {error} at {where}"
        return Outcome(
            plan, [text], {}, cloud.world.lines or [], cloud.steps, len(cloud.clients.history)
        )


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    last = ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename.rpartition("/shoal/")[2]
        last = f"{name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return last
