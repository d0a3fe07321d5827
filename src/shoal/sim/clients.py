"""Users: what they ask of any node, what they were told, and when."""

from collections.abc import Sequence
from random import Random
from typing import Literal

import msgspec

from shoal.core.events import Request
from shoal.core.requests import RETRY_AFTER
from shoal.model import ops
from shoal.model.container import ContainerSpec, PlacementRules, RestartPolicy
from shoal.model.resources import HostPort, Resources
from shoal.sim.engine import IMAGE
from shoal.sim.host import Host
from shoal.sim.world import MILLISECOND, SECOND, World

DEADLINE = 15 * SECOND
NAMES = ("web", "db", "cache", "queue")
_POLICIES: tuple[Literal["no", "always", "unless-stopped", "on-failure"], ...] = (
    "no",
    "always",
    "unless-stopped",
    "on-failure",
)

Kind = Literal["create", "start", "stop", "kill", "restart", "remove", "get", "list", "write"]


class Op(msgspec.Struct):
    """One operation of a user. `ended` is -1 while there is no answer; `answer` stays None if
    the node died first. `at_risk`: acknowledged by a keeper that saw no other node."""

    number: int
    kind: Kind
    host: str
    id: str
    began: int
    operation: ops.Operation
    ended: int = -1
    answer: ops.Answer | None = None
    first_asked: str = ""
    at_risk: bool = False

    @property
    def acknowledged(self) -> bool:
        return self.answer is not None and not isinstance(self.answer, ops.Failed)

    @property
    def unsure(self) -> bool:
        """Whether it may have had an effect without anybody being told so: nobody knows, or
        several keepers were asked and only the last one is known to have refused."""
        if not isinstance(self.answer, ops.Failed):
            return self.answer is None
        return self.answer.status >= 500 or self.ended - self.began >= RETRY_AFTER


class Clients:
    """Issues operations until `until`, keeps all of them in `history`."""

    def __init__(self, world: World, hosts: Sequence[Host], *, rate: float, until: int) -> None:
        self.history: list[Op] = []
        self.specs: dict[str, ContainerSpec] = {}
        self.pending: dict[int, Op] = {}
        self._world = world
        self._hosts = hosts
        self._random: Random = world.random("clients")
        self._until = until
        self._pause = SECOND / rate
        world.after(2 * SECOND, self._next)

    def _next(self) -> None:
        if self._world.now > self._until:
            return
        self._world.after(int(self._random.expovariate(1 / self._pause)) + 1, self._next)
        alive = [host for host in self._hosts if host.running]
        if alive:
            self._something(self._random.choice(alive))

    def _something(self, host: Host) -> None:
        random = self._random
        known = sorted(self.specs)
        if not known or random.random() < 0.3:
            self._run(host)
            return
        target = random.choice(known)
        dice = random.random()
        if dice < 0.2:
            self.ask(host, "start", target, ops.Operate(target, "start"))
        elif dice < 0.4:
            self.ask(host, "stop", target, ops.Operate(target, "stop", timeout=2))
        elif dice < 0.48:
            self.ask(host, "kill", target, ops.Operate(target, "kill"))
        elif dice < 0.56:
            self.ask(host, "restart", target, ops.Operate(target, "restart", timeout=1))
        elif dice < 0.75:
            force = random.random() < 0.7
            self.ask(host, "remove", target, ops.RemoveContainer(target, force=force))
        elif dice < 0.85:
            self.ask(host, "get", target, ops.GetContainer(random.choice([target, *NAMES])))
        elif dice < 0.95:
            self.ask(host, "list", "", ops.ListContainers())
        else:
            token = f"token:{random.randrange(4)}"
            value = None if random.random() < 0.05 else {"n": random.randrange(99)}
            self.ask(host, "write", token, ops.WriteObject(token, "token", value))

    def _run(self, host: Host) -> None:
        """As `docker run`: create, and start when that was acknowledged."""
        random = self._random
        container = f"{random.getrandbits(256):064x}"
        name = random.choice(NAMES) if random.random() < 0.4 else f"c{container[:8]}"
        spec = self.specs[container] = self._spec()
        op = self.ask(host, "create", container, ops.CreateContainer(container, name, spec))
        if random.random() < 0.9:
            self._world.after(50 * MILLISECOND, self._then_start, op)

    def _then_start(self, op: Op) -> None:
        if op.ended < 0:
            if self._world.now - op.began < DEADLINE + SECOND:
                self._world.after(50 * MILLISECOND, self._then_start, op)
        elif op.acknowledged:
            host = next(host for host in self._hosts if host.id == op.host)
            if host.running:
                self.ask(host, "start", op.id, ops.Operate(op.id, "start"))

    def _spec(self) -> ContainerSpec:
        random = self._random
        restart = RestartPolicy(random.choice(_POLICIES))
        ports = (HostPort(random.choice((80, 81, 443))),) if random.random() < 0.25 else ()
        resources = Resources(
            cpu_millis=random.choice((0, 0, 250, 500, 1000, 2000)),
            memory=random.choice((0, 64 << 20, 256 << 20, 1 << 30)),
            ports=ports,
        )
        pins: tuple[tuple[str, str], ...] = ()
        if random.random() < 0.1:
            pins = ((random.choice(self._hosts).id, "bind mount /data"),)
        movable = restart.name in ("always", "unless-stopped") and not pins
        body: dict[str, list[float]] = {}
        if random.random() < 0.2:
            body["sim"] = [random.choice((0.5, 3.0, 15.0)), random.choice((0, 0, 1))]
        return ContainerSpec(
            image="demo/web",
            image_id=IMAGE.id,
            body=body,
            resources=resources,
            placement=PlacementRules(strategy=random.choice(("spread", "binpack")), pins=pins),
            restart=restart,
            movable=movable,
            stays_because="" if movable else "no restart policy asks for it",
            auto_remove=restart.name == "no" and random.random() < 0.3,
            created=self._world.now,
        )

    # -- asking and hearing --------------------------------------------------------------------

    def ask(self, host: Host, kind: Kind, target: str, operation: ops.Operation) -> Op:
        number = len(self.history)
        op = Op(number, kind, host.id, target, self._world.now, operation)
        self.history.append(op)
        self.pending[number] = op
        self._world.note(host.name, "user", f"#{number} {kind} {target[:6]}")
        request = Request(
            token=number,
            request=f"{self._random.getrandbits(128):032x}",
            vcluster=host.default,
            operation=operation,
            deadline=host.mono() + DEADLINE,
        )
        if host.core is not None:
            op.first_asked = host.core.members.ring.owner(host.default) or ""
        host.deliver(request, host.epoch)
        return op

    def answered(self, host: Host, number: int, answer: ops.Answer) -> Op | None:
        op = self.pending.pop(number, None)
        if op is None:
            return None
        op.ended, op.answer = self._world.now, answer
        word = f"{answer.status} {answer.text}" if isinstance(answer, ops.Failed) else "ok"
        self._world.note(host.name, "answer", f"#{number} {op.kind} {op.id[:6]} {word}")
        return op

    def host_stopped(self, host: Host) -> None:
        """Who waited there gets no answer."""
        for number, op in list(self.pending.items()):
            if op.host == host.id:
                op.ended = self._world.now
                del self.pending[number]
