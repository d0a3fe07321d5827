"""An engine without an engine: containers that "run" until they are told otherwise.

For unit tests, for simulations of many daemons in one process, and to measure the rest of the
system without the cost of a real engine.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import aiohttp
import msgspec

from shoal.core.effects import EngineAction, EngineCall
from shoal.core.events import EngineChanged, EngineContainer, EngineResult, EngineSnapshot
from shoal.engine.base import ImagesChanged
from shoal.engine.times import boot_time
from shoal.model.container import PortBinding
from shoal.model.errors import Unavailable
from shoal.model.node import EngineInfo, ImageInfo
from shoal.model.resources import Capacity
from shoal.node.service import EnginePort, Hijacked

Change = EngineChanged | ImagesChanged

SIGKILLED = 137


class NoPort:
    """EnginePort of an engine that has no HTTP."""

    async def request(self, method: str, path: str, **_: object) -> aiohttp.ClientResponse:
        raise Unavailable(f"the in-memory engine has no HTTP API: {method} {path}")

    async def hijack(self, path: str, **_: object) -> Hijacked:
        raise Unavailable(f"the in-memory engine has no streams: {path}")


@dataclass
class Behaviour:
    """How the engine behaves; tests change it as they go.

    `delay` is seconds per call; `failures` maps an action to the (status, text) that its next
    calls end with; `exit_after` (seconds) and `exit_code` end every container started from then
    on; `away` makes it unreachable.
    """

    delay: float = 0.0
    failures: dict[EngineAction, tuple[int, str]] = field(default_factory=dict)
    exit_after: float | None = None
    exit_code: int = 0
    away: bool = False


class MemoryEngine:
    """See Engine. `images` are those it holds from the start; it fetches any other at once."""

    def __init__(
        self,
        *,
        capacity: Capacity = Capacity(4000, 8 << 30),  # noqa: B008 - frozen
        images: Iterable[ImageInfo] = (),
        architecture: str = "amd64",
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.behaviour = Behaviour()
        self.containers: dict[str, EngineContainer] = {}  # by engine-side name
        self.images = {image.id: image for image in images}
        self._capacity = capacity
        self._architecture = architecture
        self._clock = clock
        self._followers: set[asyncio.Queue[Change | None]] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wanted_ports: dict[str, tuple[PortBinding, ...]] = {}
        self._pid = 1000

    def port(self) -> EnginePort:
        return NoPort()

    async def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self.disconnect()

    def disconnect(self) -> None:
        """End every iteration of `events`, as an engine that goes away does."""
        for queue in self._followers:
            queue.put_nowait(None)

    async def snapshot(self) -> EngineSnapshot:
        if self.behaviour.away:
            return EngineSnapshot(info=EngineInfo(up=False), began=boot_time())
        return EngineSnapshot(
            info=EngineInfo(up=True, version="memory", api_version="1.41", min_api_version="1.12"),
            began=boot_time(),
            containers=tuple(self.containers.values()),
            images=tuple(self.images.values()),
            capacity=self._capacity,
            architecture=self._architecture,
        )

    async def events(self) -> AsyncIterator[Change]:
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._followers.add(queue)
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            self._followers.discard(queue)

    async def perform(self, call: EngineCall) -> EngineResult:
        if self.behaviour.delay:
            await asyncio.sleep(self.behaviour.delay)
        if self.behaviour.away:
            return self._answer(call, 503, "the container engine is away")
        if call.action in self.behaviour.failures:
            return self._answer(call, *self.behaviour.failures[call.action])
        if call.action == "create":
            return self._create(call)
        container = self.containers.get(call.name)
        if container is None:
            gone = call.action == "remove"
            return self._answer(call, *((200, "") if gone else (404, "No such container")))
        match call.action:
            case "start":
                self._start(container)
            case "stop":
                self.exit(call.name, 0, "kill", "die", "stop")
            case "kill":
                self.exit(call.name, SIGKILLED, "kill", "die")
            case "restart":
                self.exit(call.name, 0, "kill", "die", "stop")
                self._start(self.containers[call.name])
                self._tell("restart", self.containers[call.name])
            case "remove":
                self.exit(call.name, SIGKILLED, "kill", "die")
                self._tell("destroy", msgspec.structs.replace(container, phase="dead"))
                del self.containers[call.name]
        return self._answer(call)

    def exit(self, name: str, code: int, *actions: str) -> None:
        """End a running container; `actions` are the events told, by default only `die`."""
        container = self.containers[name]
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if container.phase != "running":
            return
        ended = msgspec.structs.replace(
            container, phase="exited", exit_code=code, finished=self._clock(), pid=0, ports=()
        )
        self.containers[name] = ended
        for action in actions or ("die",):
            self._tell(action, container if action == "kill" else ended)

    def _create(self, call: EngineCall) -> EngineResult:
        there = self.containers.get(call.name)
        if there is not None:
            same = there.id == call.id and there.generation == call.generation
            return self._answer(call, *((200, "") if same else (409, "Conflict: name in use")))
        if call.image_id not in self.images:
            if not call.image_holders:
                return self._answer(call, 404, f"No such image: {call.image}")
            image = ImageInfo(call.image_id, (call.image,), architecture=self._architecture)
            self.images[call.image_id] = image
            self._publish(ImagesChanged("load", self._clock()))
        container = EngineContainer(
            name=call.name, id=call.id, vcluster=call.vcluster, generation=call.generation
        )
        self.containers[call.name] = container
        self._wanted_ports[call.name] = _asked_ports(call)
        self._tell("create", container)
        return self._answer(call)

    def _start(self, container: EngineContainer) -> None:
        if container.phase == "running":
            return
        self._pid += 1
        running = msgspec.structs.replace(
            container,
            phase="running",
            exit_code=0,
            started=self._clock(),
            finished=0,
            pid=self._pid,
            ports=self._wanted_ports.get(container.name, ()),
            addresses={"bridge": f"172.17.{self._pid >> 8 & 255}.{self._pid & 255}"},
        )
        self.containers[container.name] = running
        self._tell("start", running)
        if self.behaviour.exit_after is not None:
            self._timers[container.name] = asyncio.get_running_loop().call_later(
                self.behaviour.exit_after, self.exit, container.name, self.behaviour.exit_code
            )

    def _answer(self, call: EngineCall, status: int = 200, text: str = "") -> EngineResult:
        return EngineResult(
            call.call,
            call.action,
            call.id,
            ok=status == 200,
            status=status,
            error=text,
            container=self.containers.get(call.name),
        )

    def _tell(self, action: str, container: EngineContainer) -> None:
        attributes = {"exitCode": str(container.exit_code)} if action == "die" else {}
        self._publish(EngineChanged(action, container, self._clock(), attributes))

    def _publish(self, change: Change) -> None:
        for queue in self._followers:
            queue.put_nowait(change)


def _asked_ports(call: EngineCall) -> tuple[PortBinding, ...]:
    host = (call.body or {}).get("HostConfig") or {}
    return tuple(
        PortBinding(
            container_port=int(key.partition("/")[0]),
            protocol=key.partition("/")[2] or "tcp",
            host_ip=item.get("HostIp") or "0.0.0.0",  # noqa: S104 - as an engine reports it
            host_port=int(item["HostPort"]),
        )
        for key, bindings in (host.get("PortBindings") or {}).items()
        for item in bindings or ()
        if (item.get("HostPort") or "").isdigit()
    )
