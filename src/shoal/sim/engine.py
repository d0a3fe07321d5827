"""A container engine on one simulated host: it outlives the daemon, but not the host."""

from collections.abc import Callable
from random import Random

import msgspec

from shoal.core.effects import EngineCall
from shoal.core.events import EngineChanged, EngineContainer, EngineResult, EngineSnapshot
from shoal.model.node import EngineInfo, ImageInfo
from shoal.model.resources import Capacity
from shoal.sim.world import MILLISECOND, SECOND, World

IMAGE = ImageInfo("sha256:" + "1" * 64, ("demo/web:latest",), architecture="amd64")
LOST_WITH_HOST = 255
SIGKILLED = 137
_TAKES = {"create": 150, "start": 120, "stop": 150, "kill": 40, "restart": 250, "remove": 100}
_UP = EngineInfo(up=True, version="sim", api_version="1.41", min_api_version="1.12")


class Mood(msgspec.Struct):
    """Probabilities that a call fails, and that nobody learns whether it happened."""

    failure: float = 0.0
    unknown: float = 0.0


class Witness:
    """Sees what really happens to containers; see checks."""

    def created(self, engine: "SimEngine", container: EngineContainer) -> None: ...
    def started(self, engine: "SimEngine", container: EngineContainer) -> None: ...
    def stopped(
        self, engine: "SimEngine", container: EngineContainer, call: EngineCall
    ) -> None: ...
    def removed(
        self, engine: "SimEngine", container: EngineContainer, call: EngineCall
    ) -> None: ...


class SimEngine:
    """Containers by engine-side name. `body` of a create may carry `sim`: [seconds, exit code]
    after which the container ends by itself."""

    def __init__(
        self, world: World, node: str, capacity: Capacity, wall: Callable[[], int], witness: Witness
    ) -> None:
        self.node = node
        self.capacity = capacity
        self.containers: dict[str, EngineContainer] = {}
        self.bodies: dict[str, EngineCall] = {}
        self.mood = Mood()
        self.away = False
        self.listener: Callable[[EngineChanged], None] | None = None
        self._world = world
        self._wall = wall
        self._witness = witness
        self._random: Random = world.random(f"engine/{node}")
        self._boot = 0
        self._heard = 0

    # -- what the daemon asks ------------------------------------------------------------------

    def snapshot(self, began: int) -> EngineSnapshot:
        if self.away:
            return EngineSnapshot(EngineInfo(), began)
        everything = tuple(self.containers.values())
        return EngineSnapshot(_UP, began, everything, (IMAGE,), self.capacity, "amd64")

    def perform(self, call: EngineCall, answer: Callable[[EngineResult], None]) -> None:
        """Do it, in some time; `answer` may come to a daemon that is not there any more."""
        takes = _TAKES.get(call.action, 10) * (0.4 + 1.2 * self._random.random())
        if call.action in ("stop", "restart") and self._random.random() < 0.1:
            takes += 1000 * (10 if call.timeout is None else call.timeout)
        self._world.after(int(takes * MILLISECOND), self._carry_out, call, answer, self._boot)

    def _carry_out(
        self, call: EngineCall, answer: Callable[[EngineResult], None], boot: int
    ) -> None:
        if boot != self._boot:
            return
        luck = self._random.random()
        if self.away:
            result = self._result(call, 503 if luck < 0.7 else 0, "the engine is away")
        elif luck < self.mood.failure:
            result = self._result(call, 500, "the engine failed")
        elif luck < self.mood.failure + self.mood.unknown:
            if self._random.random() < 0.5:
                self._do(call)
            result = self._result(call, 0, "no answer")
        else:
            result = self._do(call)
        self._world.after(MILLISECOND, answer, result)

    def _result(self, call: EngineCall, status: int = 200, error: str = "") -> EngineResult:
        container = self.containers.get(call.name) if status == 200 else None
        return EngineResult(
            call.call, call.action, call.id, status == 200, status, error, container
        )

    # -- what it does --------------------------------------------------------------------------

    def _do(self, call: EngineCall) -> EngineResult:
        found = self.containers.get(call.name)
        if call.action == "create":
            return self._create(call, found)
        if found is None:
            gone = call.action == "remove"
            return self._result(call) if gone else self._result(call, 404, "No such container")
        match call.action:
            case "start":
                self._start(found)
            case "stop" | "kill":
                self._stop(found, call)
            case "restart":
                self._stop(found, call)
                self._start(self.containers[call.name])
            case "remove":
                self._witness.removed(self, found, call)
                self._end(found, SIGKILLED, "kill", "die")
                del self.containers[call.name]
                del self.bodies[call.name]
                self._tell("destroy", msgspec.structs.replace(found, phase="dead"))
        return self._result(call)

    def _create(self, call: EngineCall, there: EngineContainer | None) -> EngineResult:
        if there is not None:
            same = there.id == call.id and there.generation == call.generation
            return self._result(call) if same else self._result(call, 409, "name in use")
        made = EngineContainer(call.name, call.id, call.vcluster, call.generation)
        self.containers[call.name] = made
        self.bodies[call.name] = call
        self._witness.created(self, made)
        self._tell("create", made)
        return self._result(call)

    def _start(self, container: EngineContainer) -> None:
        if container.phase == "running":
            return
        running = msgspec.structs.replace(
            container, phase="running", exit_code=0, started=self._wall(), finished=0, pid=1
        )
        self.containers[container.name] = running
        self._witness.started(self, running)
        self._tell("start", running)
        ends = (self.bodies[container.name].body or {}).get("sim")
        if ends is not None:
            self._world.after(
                int(ends[0] * SECOND), self._ends, running.name, running.started, ends[1]
            )

    def _ends(self, name: str, started: int, code: int) -> None:
        found = self.containers.get(name)
        if found is not None and found.phase == "running" and found.started == started:
            self._end(found, code, "die")

    def _stop(self, container: EngineContainer, call: EngineCall) -> None:
        if container.phase == "running":
            self._witness.stopped(self, container, call)
            code = SIGKILLED if call.action == "kill" else 0
            self._end(container, code, "kill", "die", *(["stop"] if call.action == "stop" else []))

    def _end(self, container: EngineContainer, code: int, *actions: str) -> None:
        if container.phase != "running":
            return
        ended = msgspec.structs.replace(
            container, phase="exited", exit_code=code, finished=self._wall(), pid=0
        )
        self.containers[container.name] = ended
        for action in actions:
            self._tell(action, container if action == "kill" else ended)

    def _tell(self, action: str, container: EngineContainer) -> None:
        """Events arrive in order, a little later."""
        if self.listener is None or self.away:
            return
        delay = int(MILLISECOND * (1 + 20 * self._random.random()))
        self._heard = max(self._heard + 1, self._world.now + delay)
        event = EngineChanged(action, container, self._wall())
        self._world.at(self._heard, self._hear, event, self.listener)

    def _hear(self, event: EngineChanged, listener: Callable[[EngineChanged], None]) -> None:
        """As with a real engine the container is looked at when the event is read; of a run that
        ended, the event itself says so."""
        if listener != self.listener or self.away:
            return
        now = self.containers.get(event.container.name)
        if now is not None and event.action == "die":
            then = event.container
            finished = now.finished or event.time
            now = msgspec.structs.replace(
                now, phase=then.phase, exit_code=then.exit_code, finished=finished, pid=0
            )
        listener(msgspec.structs.replace(event, container=now or event.container))

    # -- what happens to it --------------------------------------------------------------------

    def power_off(self) -> None:
        """The host lost power, or the engine was restarted: everything in it ended unseen."""
        self._boot += 1
        for name, container in self.containers.items():
            if container.phase == "running":
                self.containers[name] = msgspec.structs.replace(
                    container, phase="exited", exit_code=LOST_WITH_HOST, finished=self._wall()
                )
