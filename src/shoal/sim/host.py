"""One simulated host: the daemon's shell around `NodeCore`, in virtual time."""

from collections.abc import Callable, Sequence
from typing import Protocol

from shoal.core import effects as f
from shoal.core import events as e
from shoal.core.discovery.contract import StrategyName
from shoal.core.node import NodeCore
from shoal.model.ids import DEFAULT, vcluster_id
from shoal.model.node import NodeInfo
from shoal.model.ops import Answer
from shoal.model.resources import Capacity
from shoal.sim.disk import Disk
from shoal.sim.engine import SimEngine, Witness
from shoal.sim.network import Network, tag_of
from shoal.sim.world import MILLISECOND, SECOND, WALL_AT_START, World

SNAPSHOT_EVERY = 60 * SECOND


class Surroundings(Protocol):
    """Who is told what a node does apart from messages and engine calls."""

    def answered(self, node: "Host", token: int, answer: Answer, teller: str) -> None: ...
    def rejoins(self, node: "Host", other: str) -> None: ...
    def logged(self, node: "Host", log: f.Log) -> None: ...
    def wrote(self, node: "Host", write: f.Write) -> None: ...
    def started(self, node: "Host") -> None: ...
    def stopped(self, node: "Host") -> None: ...
    def stepped(self, node: "Host") -> None: ...


class Host:
    """A host: its disk, its engine, and its daemon while that runs. `skew` is how far (ns) its
    wall clock is off; `paused_until` freezes the daemon, which then finds all at once."""

    def __init__(
        self,
        world: World,
        network: Network,
        around: Surroundings,
        witness: Witness,
        *,
        name: str,
        node_id: str,
        number: int,
        cloud: str,
        capacity: Capacity,
        discovery: StrategyName,
    ) -> None:
        self.name = name
        self.id = node_id
        self.core: NodeCore | None = None
        self.address = f"10.9.0.{number + 1}"
        self.epoch = 0
        self.skew = 0
        self.paused_until = 0
        self.disk = Disk(world, world.random(f"disk/{name}"))
        self.engine = SimEngine(world, node_id, capacity, self.wall, witness)
        self.powered = True
        self.lost = False
        self.forgot = False
        self.default = vcluster_id(cloud, DEFAULT)
        self._world = world
        self._network = network
        self._around = around
        self._cloud = cloud
        self._discovery = discovery
        self._booted = world.now - (number + 1) * SECOND
        self._tick_at = -1
        self._sender = ""
        self._held: list[tuple[e.Event, int]] = []
        network.ports[node_id] = self

    def wall(self) -> int:
        return WALL_AT_START + self._world.now + self.skew

    def mono(self) -> int:
        return self._world.now - self._booted

    # -- the daemon's life ---------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self.core is not None

    def start(self, *, founder: bool = False) -> None:
        """Start the daemon with what the disk has."""
        if self.core is not None or not self.powered:
            return
        self.epoch += 1
        self.paused_until = 0
        info = NodeInfo(
            id=self.id,
            name=self.name,
            address=self.address,
            architecture="amd64",
            capacity=self.engine.capacity,
            started=self.wall(),
        )
        now = e.Now(self.mono(), self.wall())
        self.core = NodeCore(
            now,
            self._cloud,
            info,
            self.disk.load(),
            founder=founder,
            discovery=self._discovery,
        )
        self._world.note(self.name, "start", f"epoch {self.epoch}")
        self._take(self.core.start())
        self.engine.listener = self._listener()
        self._world.after(20 * MILLISECOND, self._look, self.epoch)
        self._around.started(self)

    def _listener(self) -> Callable[[e.EngineChanged], None]:
        epoch = self.epoch
        return lambda event: self.deliver(event, epoch)

    def crash(self) -> None:
        """kill -9 of the daemon: engine and containers go on."""
        if self.core is None:
            return
        self._world.note(self.name, "crash")
        self.core = None
        self._tick_at = -1
        self.engine.listener = None
        self.disk.crash()
        self._around.stopped(self)

    def power_off(self) -> None:
        """The host is gone with all that runs on it; the disk stays."""
        self._world.note(self.name, "power-off")
        self.crash()
        self.powered = False
        self.engine.power_off()

    def lose(self) -> None:
        """The host burns: nothing of it comes back."""
        self.power_off()
        self.lost = True
        self.engine.containers.clear()

    def forget(self) -> None:
        """The daemon dies and its disk is wiped; the engine and its containers go on."""
        self.crash()
        self.disk.stored.clear()
        self.forgot = True

    def power_on(self) -> None:
        if self.powered or self.lost:
            return
        self.powered = True
        self._booted = self._world.now - SECOND

    def _look(self, epoch: int) -> None:
        """Read the engine, at the start and every minute."""
        if epoch == self.epoch and self.core is not None:
            snapshot = self.engine.snapshot(self.mono())
            self._world.after(10 * MILLISECOND, self.deliver, snapshot, epoch)
            self._world.after(SNAPSHOT_EVERY, self._look, epoch)

    def look_now(self) -> None:
        """The connection to the engine broke or came back."""
        if self.core is not None:
            snapshot = self.engine.snapshot(self.mono())
            self._world.after(10 * MILLISECOND, self.deliver, snapshot, self.epoch)

    # -- events --------------------------------------------------------------------------------

    def received(self, sender: str, payload: bytes) -> None:
        if self.core is not None:
            self.deliver(e.Received(sender, payload), self.epoch)

    def deliver(self, event: e.Event, epoch: int) -> None:
        """Have the core take an event meant for this run of the daemon."""
        core = self.core
        if core is None or epoch != self.epoch:
            return
        if self._world.now < self.paused_until:
            self._held.append((event, epoch))
            return
        if self._world.lines is not None and not isinstance(event, e.Tick):
            self._world.note(self.name, *_words(event))
        self._sender = event.sender if isinstance(event, e.Received) else self.id
        self._take(core.handle(e.Now(self.mono(), self.wall()), event))
        self._around.stepped(self)

    def pause(self, length: int) -> None:
        """Freeze the daemon: events wait, in their order."""
        self.paused_until = max(self.paused_until, self._world.now + length)
        self._world.at(self.paused_until, self._resume)

    def _resume(self) -> None:
        if self._world.now >= self.paused_until:
            held, self._held = self._held, []
            for event, epoch in held:
                self.deliver(event, epoch)

    def _tick(self, at: int, epoch: int) -> None:
        if epoch == self.epoch and at == self._tick_at:
            self._tick_at = -1
            self.deliver(e.Tick(), epoch)

    def _wake(self) -> None:
        """Ask for the core's next deadline; an earlier one that was asked for stays."""
        assert self.core is not None
        due = self.core.next_timer()
        if due is None:
            return
        at = self._booted + due
        if self._tick_at < 0 or at < self._tick_at:
            self._tick_at = at
            self._world.at(at, self._tick, at, self.epoch)

    # -- effects -------------------------------------------------------------------------------

    def _take(self, effects: Sequence[f.Effect]) -> None:
        writes = [one for one in effects if isinstance(one, f.Put | f.Delete)]
        others = [one for one in effects if not isinstance(one, f.Put | f.Delete)]
        for write in writes:
            self._around.wrote(self, write)
        epoch, sender = self.epoch, self._sender
        if writes or (others and self.disk.busy):
            self.disk.commit(writes, lambda: self._emit(others, epoch, sender))
        else:
            self._emit(others, epoch, sender)
        self._wake()

    def _emit(self, effects: Sequence[f.Effect], epoch: int, sender: str) -> None:
        if epoch != self.epoch or self.core is None:
            return
        for effect in effects:
            match effect:
                case f.Send():
                    self._network.send(self.id, effect.to, effect.payload)
                case f.EngineCall():
                    self._note_call(effect)
                    self.engine.perform(effect, lambda result: self.deliver(result, epoch))
                case f.Reply():
                    self._around.answered(self, effect.token, effect.answer, sender)
                case f.Rejoin():
                    self._around.rejoins(self, effect.node)
                case f.Log():
                    self._around.logged(self, effect)

    def _note_call(self, call: f.EngineCall) -> None:
        self._world.note(self.name, "engine", f"{call.action} {call.name} #{call.call}")


def _words(event: e.Event) -> tuple[str, str]:
    """What a line of the trace says of an event."""
    match event:
        case e.Received():
            tag = tag_of(event.payload)
            return "recv", f"{tag:<12} from {event.sender[:6]} {len(event.payload)} bytes"
        case e.Request():
            operation = event.operation
            return "request", f"{type(operation).__name__} {event.request[:6]}"
        case e.EngineResult():
            outcome = "ok" if event.ok else f"{event.status} {event.error}"
            return "result", f"{event.action} {event.id[:6]} #{event.call} {outcome}"
        case e.EngineChanged():
            return "changed", f"{event.action} {event.container.name} {event.container.phase}"
        case e.EngineSnapshot():
            return "snapshot", f"{len(event.containers)} containers, up {event.info.up}"
        case e.PeerUp() | e.PeerSuspect() | e.PeerDown():
            return type(event).__name__, event.node[:6]
        case _:
            return "tick", ""
