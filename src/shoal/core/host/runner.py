"""Brings each container of the ledger to what is wished of it, one engine call at a time.

Level-triggered: every event ends in `drive`, which looks at the entry and asks the engine for
the next thing, so that a lost answer or a restart of the daemon costs nothing but time.
"""

from typing import Protocol

import msgspec

from shoal.core.context import SECOND, Context
from shoal.core.effects import EngineAction, EngineCall, Happened
from shoal.core.events import EngineChanged, EngineContainer, EngineResult
from shoal.core.host import restart
from shoal.core.host.admission import Ledger, Refusal
from shoal.core.host.entry import Entry
from shoal.model.container import Status
from shoal.model.ids import Generation, short
from shoal.model.resources import Resources

#: How long a created container keeps its room until its start.
UNSTARTED_FOR = 600 * SECOND
RETRY_AFTER = SECOND
_SUPERSEDED_STOP = 10  # seconds that a superseded container gets to end


class Desk(Protocol):
    """What the runner needs of the agent that deals with keepers."""

    def changed(self, entry: Entry) -> None: ...
    def gone(self, entry: Entry) -> None: ...
    def peers_with_image(self, image_id: str) -> tuple[str, ...]: ...


class Runner:
    """Drives entries. `ready` is false until the engine answered and was compared with the
    ledger; `asleep` holds vclusters whose keeper was not asked yet after a boot."""

    def __init__(self, context: Context, ledger: Ledger, desk: Desk, node_name: str) -> None:
        self.ready = False
        self.asleep: set[str] = set()
        self._context = context
        self._ledger = ledger
        self._desk = desk
        self._node_name = node_name
        self._calls = 0

    def admit(self, entry: Entry) -> Refusal | None:
        """Promise the entry's resources until they are given back, or say why not."""
        return self._ledger.admit(
            entry.id,
            entry.generation,
            self.needs(entry),
            now=self._context.now.mono,
            expires=None,
        )

    @staticmethod
    def needs(entry: Entry) -> Resources:
        spec, placement = entry.container.spec, entry.container.placement
        if spec is None:
            return Resources()
        replacing = placement is not None and placement.replacing
        return spec.resources.with_defaults() if replacing else spec.resources

    def drive(self, entry: Entry) -> None:
        """Do the next thing for an entry, if there is one and nothing is under way."""
        if entry.call or not self.ready or entry.vcluster in self.asleep:
            return
        if entry.leaving is not None:
            self._give_up(entry)
        elif entry.withheld or entry.container.spec is None:
            return
        elif not entry.created:
            if not entry.create_failed:
                self._create(entry)
        elif entry.wish_pending:
            self._carry_out(entry)
        elif entry.restart_at and entry.restart_at <= self._context.now.mono:
            self._restart(entry)

    def _call(self, entry: Entry, action: EngineAction, **details: object) -> None:
        self._calls += 1
        entry.call = self._calls
        entry.call_wish = entry.container.wished
        fields = {"name": entry.engine_name, **details}
        call = EngineCall(self._calls, action, entry.id, entry.generation, **fields)  # type: ignore[arg-type]
        self._context.emit(call)

    def _create(self, entry: Entry) -> None:
        spec = entry.container.spec
        assert spec is not None
        entry.engine_name = engine_name(entry.vcluster, entry.id, entry.generation)
        self._call(
            entry,
            "create",
            vcluster=entry.vcluster,
            container_name=entry.container.name,
            body=spec.body,
            image_id=spec.image_id,
            image=spec.image,
            image_holders=self._desk.peers_with_image(spec.image_id),
        )

    def _give_up(self, entry: Entry) -> None:
        if not entry.created and not entry.engine_name:
            self._desk.gone(entry)
            return
        order = entry.leaving
        assert order is not None
        removed = order.tombstone
        volumes = removed is not None and bool(removed.value.get("volumes"))
        grace = 0 if removed is not None else _SUPERSEDED_STOP
        self._call(entry, "remove", timeout=grace, volumes=volumes)

    def _carry_out(self, entry: Entry) -> None:
        wish = entry.container.wish
        entry.restart_at = 0  # what was planned is no longer what is wished
        if wish.action in ("start", "restart") or (not wish.action and wish.state == "running"):
            if entry.running and wish.action != "restart":
                self._done(entry)
                return
            refusal = self.admit(entry)
            if refusal is not None:
                self._done(entry, 409, f"host {self._node_name} has no room: {refusal.reason}")
                return
            action: EngineAction = "restart" if entry.running else "start"
            self._call(entry, action, timeout=wish.timeout)
        elif wish.action in ("stop", "kill") and entry.running:
            self._call(entry, wish.action, timeout=wish.timeout, signal=wish.signal)
        elif wish.action == "kill":
            self._done(entry, 409, f"Container {short(entry.id)} is not running")
        else:
            self._done(entry)

    def _done(self, entry: Entry, status: int = 0, error: str = "") -> None:
        """The wish needs nothing, or cannot be met: say so."""
        self.restate(
            entry,
            msgspec.structs.replace(
                entry.status, done=entry.container.wished, error_status=status, error=error
            ),
        )
        self._settle_room(entry)
        self.drive(entry)

    def _restart(self, entry: Entry) -> None:
        entry.restart_at = 0
        refusal = self.admit(entry)
        if refusal is None:
            self._call(entry, "start")
            return
        status = msgspec.structs.replace(entry.status, error=f"not restarted: {refusal.reason}")
        self.restate(entry, status)
        self._wait(entry, restart.LONGEST_DELAY)

    def _wait(self, entry: Entry, delay: int) -> None:
        entry.restart_at = self._context.now.mono + delay
        self._context.after(delay, "drive", entry.id)

    def discard(self, container: EngineContainer) -> None:
        """Remove a container of ours that no entry stands for."""
        self._calls += 1
        generation = container.generation or Generation(0, 0, "")
        self._context.emit(
            EngineCall(self._calls, "remove", container.id, generation, container.name, timeout=0)
        )

    def fetch(self, image_id: str, image: str, holders: tuple[str, ...]) -> None:
        """Get an image that no container here needs yet."""
        self._calls += 1
        nobody = Generation(0, 0, "")
        call = EngineCall(
            self._calls,
            "fetch",
            "",
            nobody,
            "",
            image_id=image_id,
            image=image,
            image_holders=holders,
        )
        self._context.emit(call)

    def restate(self, entry: Entry, status: Status) -> None:
        """Note a new status, on disk and to the keeper."""
        entry.restate(status, self._context.stamp(), self._context.node_id)
        self._desk.changed(entry)

    # -- what the engine says ------------------------------------------------------------------

    def answered(self, entry: Entry, result: EngineResult) -> None:
        """An engine call of this entry ended."""
        if result.call != entry.call:
            return
        entry.call = 0
        entry.touched = self._context.now.mono
        if not result.ok and result.status == 0:
            self._context.after(RETRY_AFTER, "drive", entry.id)
            return
        if result.action == "create":
            self._created(entry, result)
        elif result.action == "remove":
            if result.ok:
                entry.created, entry.engine_name = False, ""
            else:
                self._context.after(RETRY_AFTER, "drive", entry.id)
                return
        else:
            self._acted(entry, result)
        self.drive(entry)

    def _created(self, entry: Entry, result: EngineResult) -> None:
        if result.ok and result.container is not None:
            entry.created = True
            entry.engine_name = result.container.name
            self.restate(entry, self._merged(entry, result.container))
            self._settle_room(entry)
            if self._owed_start(entry):
                self._wait(entry, 0)
            return
        if entry.created:
            return  # an earlier try whose answer was lost has made it
        # The keeper decides what now: undo, elsewhere, or a new generation here.
        entry.engine_name, entry.create_failed = "", True
        status = msgspec.structs.replace(
            entry.status, error_status=result.status, error=result.error
        )
        self.restate(entry, status)

    @staticmethod
    def _owed_start(entry: Entry) -> bool:
        """The engine lost a container that should be running: it was made anew just now."""
        return entry.container.wish.state == "running" and not entry.wish_pending

    def _acted(self, entry: Entry, result: EngineResult) -> None:
        status = entry.status
        if result.container is not None:
            status = self._merged(entry, result.container)
        error_status = 0 if result.ok else result.status
        self.restate(
            entry,
            msgspec.structs.replace(
                status,
                done=max(entry.call_wish, status.done),
                error_status=error_status,
                error="" if result.ok else result.error,
            ),
        )
        if result.ok or entry.wish_pending or restart.wanted(entry.container, entry.status):
            self._after_end(entry)
        elif result.action == "start":
            self._settle_room(entry)
            self._ask_removal(entry)  # who runs with --rm waits for it also if nothing ran

    def _merged(self, entry: Entry, found: EngineContainer) -> Status:
        """The entry's status brought up to what the engine has."""
        status = entry.status
        ended = _ended(found)
        # A run is known by when it started; clocks jump, so times are not compared for order.
        if found.phase == "running" and found.started == status.started and _ended(status):
            return status  # read before the end that is noted already
        new_end = ended and (status.phase == "running" or found.finished != status.finished)
        return msgspec.structs.replace(
            status,
            phase=found.phase,
            exit_code=found.exit_code,
            error=found.error or status.error,
            oom_killed=found.oom_killed,
            paused=found.paused,
            started=found.started or status.started,
            finished=found.finished or status.finished,
            pid=found.pid,
            ports=found.ports or status.ports,
            addresses=found.addresses,
            exits=status.exits + new_end,
            engine_name=found.name,
        )

    def changed(self, entry: Entry, event: EngineChanged) -> None:
        """The engine reported an event of this entry's container."""
        if event.action == "destroy":
            entry.destroyed = True
        else:
            self.publish(entry, event.action, event.time, event.attributes)
        if event.container.name != entry.engine_name or entry.leaving is not None:
            return
        if event.action == "destroy":
            self._vanished(entry)
            return
        if event.action == "die" and entry.running and event.time <= entry.status.started:
            return  # the end of the run before this one: that is known from the answer of restart
        if entry.running and _ended(event.container) and not self._same_run(entry, event):
            return  # seen in the middle of a restart whose answer is known already, or on its way
        self.found(entry, event.container)

    @staticmethod
    def _same_run(entry: Entry, event: EngineChanged) -> bool:
        """Whether the run that the event tells of, 0 for unknown, is the one that is noted."""
        return event.container.started in (0, entry.status.started)

    def found(self, entry: Entry, container: EngineContainer) -> None:
        """The engine has this entry's container in this state."""
        entry.created, entry.engine_name = True, container.name
        status = self._merged(entry, container)
        changed = status != entry.status
        if changed:
            self.restate(entry, status)
        # Also when it is no news: what was planned then may have been lost with the daemon.
        if changed or not entry.call:
            self._after_end(entry)
        self.drive(entry)

    def missing(self, entry: Entry) -> None:
        """The engine does not have this entry's container."""
        entry.create_failed = False
        if entry.created and not entry.call:
            self._vanished(entry)
        self.drive(entry)

    def _vanished(self, entry: Entry) -> None:
        entry.created, entry.engine_name = False, ""
        status = msgspec.structs.replace(
            entry.status,
            phase="exited" if entry.running else entry.status.phase,
            error="its engine lost the container; it is made anew",
            exits=entry.status.exits + entry.running,
            finished=self._context.now.wall,
        )
        self.restate(entry, status)

    def _after_end(self, entry: Entry) -> None:
        """Plan a restart, give back the room, or ask for removal, if it has ended."""
        status, spec = entry.status, entry.container.spec
        if not _ended(status) or spec is None:
            if status.phase == "running":
                self._ledger.adopt(entry.id, entry.generation, self.needs(entry))
            return
        if entry.wish_pending or entry.restart_at:
            return
        if restart.wanted(entry.container, status):
            entry.backoff = restart.delay(entry.backoff, status.finished - status.started)
            restarts = status.restarts + 1
            self.restate(entry, msgspec.structs.replace(status, restarts=restarts))
            self._wait(entry, entry.backoff)
            return
        self._settle_room(entry)
        self._ask_removal(entry)

    def _ask_removal(self, entry: Entry) -> None:
        """Carry out --rm: the keeper removes."""
        spec = entry.container.spec
        if spec is not None and spec.auto_remove and not entry.asks_removal:
            entry.asks_removal = True
            self._desk.changed(entry)

    def _settle_room(self, entry: Entry) -> None:
        """Give the room back once no restart can follow."""
        if _ended(entry.status) and not entry.restart_at:
            if self._ledger.release(entry.id, entry.generation):
                self._desk.changed(entry)  # what was told with its end still counted it
        elif entry.status.phase == "created":
            until = self._context.now.mono + UNSTARTED_FOR
            self._ledger.limit(entry.id, entry.generation, until)

    def publish(self, entry: Entry, action: str, time: int, attributes: dict[str, str]) -> None:
        """An event for those who follow."""
        spec = entry.container.spec
        image = spec.image if spec is not None else ""
        name = entry.container.name
        # The engine's names and ids of it never leave the node.
        attributes = {**attributes, "name": name, "image": image}
        self._context.emit(
            Happened(
                vcluster=entry.vcluster,
                id=entry.id,
                name=name,
                image=image,
                generation=entry.generation,
                seq=self._context.stamp(),
                action=action,
                time=time,
                node=self._context.node_id,
                attributes=attributes,
            )
        )


def _ended(seen: Status | EngineContainer) -> bool:
    return seen.phase in ("exited", "dead")


def engine_name(vcluster: str, container: str, generation: Generation) -> str:
    """Name of a container in its engine: unique for each placement."""
    return f"shoal-{vcluster[:8]}-{short(container)}-g{generation.counter}"
