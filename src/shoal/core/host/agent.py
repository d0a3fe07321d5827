"""A host's dealings with keepers: takes assignments, gives up what it is told to, reports.

Whatever keepers say, the host decides what it admits, ignores generations below its own, and
refuses for good what it has once released.
"""

import msgspec

from shoal.core import messages as m
from shoal.core.context import SECOND, Context
from shoal.core.events import EngineChanged, EngineContainer, EngineResult, EngineSnapshot
from shoal.core.host.admission import Ledger
from shoal.core.host.entry import LEDGER, Entry
from shoal.core.host.runner import UNSTARTED_FOR, Runner
from shoal.core.keeper.objects import read
from shoal.core.keeper.records import Record
from shoal.core.members import Members
from shoal.model.container import Status
from shoal.model.ids import Generation
from shoal.model.node import Tenancy
from shoal.model.resources import Capacity, Load

RELEASED = "released"
REPORT_EVERY = 5 * SECOND
RESEND_EVERY = SECOND
#: How long keepers are asked, after a boot and once the engine answers, before containers are
#: started without them.
ASK_FIRST = 5 * SECOND
_RELEASED_KEPT = 10_000
#: How long the engine's word of a removal is waited for.
PART_WITHIN = 5 * SECOND

_NO_GENERATION = Generation(0, 0, "")

_encode = msgspec.msgpack.Encoder().encode


class Guard(msgspec.Struct, frozen=True):
    """What was released: no assignment up to this generation is taken any more."""

    generation: Generation
    tombstone: Record | None = None


_decode_guard = msgspec.msgpack.Decoder(Guard).decode


class HostAgent:
    """The ledger of one node and the conversation about it."""

    def __init__(
        self,
        context: Context,
        members: Members,
        rows: list[bytes],
        released: list[tuple[str, bytes]],
    ) -> None:
        self._context = context
        self._members = members
        self.ledger = Ledger(Capacity(0, 0))
        self.runner = Runner(context, self.ledger, self, members.own.name)
        self.entries: dict[str, Entry] = {}
        self._parting: dict[str, Entry] = {}  # given up, but for events on their way
        self._guards: dict[str, Guard] = {key: _decode_guard(blob) for key, blob in released}
        for blob in rows:
            self._restore(Entry.load(blob))
        self.runner.asleep = {entry.vcluster for entry in self.entries.values()}
        self._compared = False  # with the engine, since the start
        self._reporting: set[str] = set()
        context.after(REPORT_EVERY, "report")
        context.after(RESEND_EVERY, "restate")

    def _restore(self, entry: Entry) -> None:
        self.entries[entry.id] = entry
        for record in entry.records:
            self._context.clock.observe(record.stamp)
        if entry.running or not entry.created:
            self.ledger.adopt(entry.id, entry.generation, Runner.needs(entry))
        if entry.status.phase in ("creating", "created"):
            until = self._context.now.mono + UNSTARTED_FOR
            self.ledger.limit(entry.id, entry.generation, until)

    @property
    def load(self) -> Load:
        return self.ledger.load()

    def tenancy(self) -> Tenancy:
        """All that is held here."""
        tenants = tuple(entry.tenant() for entry in self.entries.values())
        return Tenancy(self._members.own.draining, tenants)

    # -- assignments ---------------------------------------------------------------------------

    def assigned(self, sender: str, message: m.Assign) -> None:
        """A keeper placed a container here, or something about it changed."""
        container = read(message.records[0].object, message.records)
        placement = container.placement
        if placement is None or placement.node != self._context.node_id:
            return
        guard = self._guards.get(container.id)
        if guard is not None and (guard.tombstone or placement.generation <= guard.generation):
            self._send_released(sender, message.vcluster, container.id, guard)
            return
        entry = self.entries.get(container.id)
        if entry is not None and placement.generation < entry.generation:
            return
        if entry is None:
            entry = self._admit(sender, message, placement.generation)
        else:
            self._learn(entry, message.records, placement.generation)
        if entry is not None:
            self.runner.drive(entry)

    def _admit(self, sender: str, message: m.Assign, generation: Generation) -> Entry | None:
        entry = Entry(message.vcluster, message.records[0].object, generation)
        entry.learn(message.records)
        # The entry is on disk, so the room is kept for as long as it stands there.
        refusal = self.runner.admit(entry)
        if refusal is not None:
            refused = m.Refused(
                entry.vcluster, entry.id, generation, refusal.filter, refusal.reason, self.load
            )
            self._context.send(sender, refused)
            return None
        self.entries[entry.id] = entry
        self._save(entry)
        return entry

    def _learn(self, entry: Entry, records: tuple[Record, ...], generation: Generation) -> None:
        adopted = generation > entry.generation
        status = entry.status
        news = entry.learn(records)
        entry.withheld = False
        if adopted:
            # The container stays what it is; only the generation that it runs under is newer.
            entry.generation = generation
            entry.leaving = None
            entry.create_failed = False
            if self.ledger.get(entry.id) is not None:
                self.ledger.adopt(entry.id, generation, Runner.needs(entry))
            self.runner.restate(entry, status if status.phase != "creating" else Status())
        elif news:
            self._save(entry)
        if entry.running:
            self.ledger.adopt(entry.id, entry.generation, Runner.needs(entry))
        if not news:
            entry.unkept = True  # whoever sends this again has not heard of our status

    # -- giving up -----------------------------------------------------------------------------

    def released(self, sender: str, message: m.Release) -> None:
        """A keeper says that the container, or our generation of it, is to be given up."""
        entry = self.entries.get(message.id)
        if entry is None:
            guard = self._guard(message)
            self._send_released(sender, message.vcluster, message.id, guard)
            return
        if message.tombstone is None and message.generation < entry.generation:
            return
        if (message.cancel or message.idle) and entry.call:
            return  # the outcome is not known yet; the keeper asks again
        if message.idle and entry.running:
            return
        if message.wished is not None and message.wished < entry.container.wished:
            return  # the next report tells the keeper of the wish
        if message.cancel and entry.created:
            entry.unkept = True
            self._tell(entry)
            return
        self._guard(message)
        entry.leaving, entry.told_by = message, sender
        self._save(entry)
        self.runner.drive(entry)

    def _guard(self, message: m.Release) -> Guard:
        old = self._guards.get(message.id, Guard(_NO_GENERATION))
        guard = Guard(max(old.generation, message.generation), message.tombstone or old.tombstone)
        if guard != old:
            self._guards.pop(message.id, None)
            self._guards[message.id] = guard
            self._context.put(RELEASED, message.id, _encode(guard))
            if len(self._guards) > _RELEASED_KEPT:
                oldest = next(iter(self._guards))
                del self._guards[oldest]
                self._context.delete(RELEASED, oldest)
        return guard

    def _send_released(self, to: str, vcluster: str, object_id: str, guard: Guard) -> None:
        message = m.Released(vcluster, object_id, guard.generation, guard.tombstone, self.load)
        self._context.send(to, message)

    def gone(self, entry: Entry) -> None:
        """Nothing of the entry is left on this host."""
        self.ledger.release(entry.id, entry.generation)
        if entry.leaving is not None and entry.leaving.tombstone is not None:
            self._part(entry)
        del self.entries[entry.id]
        self._context.delete(LEDGER, entry.id)
        guard = self._guards.get(entry.id, Guard(entry.generation))
        receivers = {entry.told_by, self._keeper(entry.vcluster)} - {""}
        for node in sorted(receivers):
            self._send_released(node, entry.vcluster, entry.id, guard)

    def _part(self, entry: Entry) -> None:
        """Tell of a removal, once, and after all that the engine has still to tell of it."""
        self._parting[entry.id] = entry
        if entry.destroyed or entry.status.phase == "creating":
            self.parted(entry.id)
        else:
            self._context.after(PART_WITHIN, "part", entry.id)

    def parted(self, object_id: str) -> None:
        """The engine's last word of it was heard, or (by the timer) is not waited for."""
        entry = self._parting.pop(object_id, None)
        if entry is not None and entry.status.phase != "creating":
            exit_code = {"exitCode": str(entry.status.exit_code)}
            self.runner.publish(entry, "destroy", self._context.now.wall, exit_code)

    # -- reports -------------------------------------------------------------------------------

    def changed(self, entry: Entry) -> None:
        """The entry's status changed: keep it and tell the keeper."""
        self._save(entry)
        self._tell(entry)

    def _save(self, entry: Entry) -> None:
        self._context.put(LEDGER, entry.id, entry.row())

    def _keeper(self, vcluster: str) -> str:
        return self._members.ring.owner(vcluster) or self._context.node_id

    def _tell(self, entry: Entry) -> None:
        record = entry.status_record
        if record is not None:
            message = m.HostStatus(
                entry.vcluster, record, entry.generation, self.load, entry.asks_removal
            )
            self._context.send(self._keeper(entry.vcluster), message)

    def kept(self, message: m.StatusKept) -> None:
        """The keeper has our status."""
        entry = self.entries.get(message.id)
        record = None if entry is None else entry.status_record
        if entry is not None and record is not None and record.stamp <= message.stamp:
            entry.unkept = False

    def resend(self) -> None:
        """Timer: tell again what no keeper confirmed."""
        self._context.after(RESEND_EVERY, "restate")
        for entry in self.entries.values():
            if entry.unkept or entry.asks_removal:
                self._tell(entry)
        if self.ledger.expire(self._context.now.mono):
            self._context.after(0, "announce")

    def report(self, vcluster: str, to: str = "") -> None:
        """Tell the keeper all that is held of a vcluster, and again until it has read it: that it
        is nothing matters too, for the keeper may think otherwise."""
        self._reporting.add(vcluster)
        if not self._compared:
            return  # what ran when the ledger was written may have ended with the power
        held = tuple(e.held() for e in self.entries.values() if e.vcluster == vcluster)
        message = m.Report(vcluster, held, self.load, vcluster in self.runner.asleep)
        self._context.send(to or self._keeper(vcluster), message)

    def report_every(self) -> None:
        """Timer."""
        self._context.after(REPORT_EVERY, "report")
        self._report_all()

    def _report_all(self) -> None:
        mine = {entry.vcluster for entry in self.entries.values()}
        for vcluster in sorted(mine | self._reporting):
            self.report(vcluster)

    def reported(self, message: m.Reported) -> None:
        """The keeper has read our report: what is superseded stays down."""
        if not any(entry.vcluster == message.vcluster for entry in self.entries.values()):
            self._reporting.discard(message.vcluster)
        for object_id in message.superseded:
            entry = self.entries.get(object_id)
            if entry is not None and not entry.running:
                entry.withheld = True
        self.awake(message.vcluster)

    def awake(self, vcluster: str = "") -> None:
        """Stop waiting for keepers (of one vcluster, or, by the timer, of all)."""
        waiting = {vcluster} & self.runner.asleep if vcluster else set(self.runner.asleep)
        self.runner.asleep -= waiting
        for entry in list(self.entries.values()):
            if entry.vcluster in waiting:
                self.runner.drive(entry)

    def wanted(self, sender: str, message: m.Want) -> None:
        """A keeper does not know these containers of ours."""
        for object_id in message.ids:
            entry = self.entries.get(object_id)
            if entry is not None:
                bundle = m.Bundle(message.vcluster, entry.records.of(object_id))
                self._context.send(sender, bundle)

    def bundle(self, vcluster: str) -> list[Record]:
        """All records of a vcluster in this ledger."""
        return [
            record
            for entry in self.entries.values()
            if entry.vcluster == vcluster
            for record in entry.records.of(entry.id)
        ]

    # -- the engine ----------------------------------------------------------------------------

    def snapshot(self, message: EngineSnapshot) -> None:
        """Compare the ledger with all that the engine has."""
        if not message.info.up:
            self.runner.ready = False
            return
        if message.capacity is not None:
            self.ledger.capacity = message.capacity
        self.ledger.set_foreign(_foreign(message.containers))
        first, self.runner.ready = not self.runner.ready, True
        if first:
            for entry in self.entries.values():
                entry.call = 0  # whatever was under way ended with the connection
        found = _by_id(message.containers)
        for entry in list(self.entries.values()):
            containers = found.pop(entry.id, [])
            if not entry.call and entry.touched < message.began:
                self._reconcile(entry, containers)
        for strangers in found.values():
            for container in strangers:
                self._consider(container)
        if not self._compared:
            self._compared = True
            self._report_all()
            self._context.after(ASK_FIRST, "awake")

    def _reconcile(self, entry: Entry, found: list[EngineContainer]) -> None:
        names = {container.name: container for container in found}
        container = names.pop(entry.engine_name, None)
        if container is None and names and not entry.created:
            container = names.pop(max(names, key=lambda name: _generation(names[name])))
        if container is not None:
            self.runner.found(entry, container)
        else:
            self.runner.missing(entry)
        for other in names.values():
            if other.phase != "running":
                self.runner.discard(other)

    def _consider(self, container: EngineContainer) -> None:
        """One of ours that the ledger does not know: removed if it was released, else entered
        as it is, so that it is reported and its keeper can say what it is."""
        guard = self._guards.get(container.id)
        if guard is not None and _generation(container) <= guard.generation:
            self.runner.discard(container)
            return
        self._context.info("orphan", container=container.id, name=container.name)
        entry = Entry(container.vcluster, container.id, _generation(container))
        self.entries[entry.id] = entry
        self.runner.found(entry, container)

    def engine_changed(self, message: EngineChanged) -> None:
        object_id = message.container.id
        entry = self.entries.get(object_id)
        if entry is not None:
            self.runner.changed(entry, message)
        elif message.action == "destroy":
            self.parted(object_id)
        elif object_id in self._parting:
            late = self._parting[object_id]
            self.runner.publish(late, message.action, message.time, message.attributes)

    def engine_answered(self, message: EngineResult) -> None:
        entry = self.entries.get(message.id)
        if entry is not None:
            self.runner.answered(entry, message)
            if entry.id in self.entries:
                self._save(entry)

    def drive(self, object_id: str) -> None:
        """Timer: look at an entry again."""
        entry = self.entries.get(object_id)
        if entry is not None:
            self.runner.drive(entry)

    def fetch(self, message: m.FetchImage) -> None:
        """A keeper wants this host to have an image in reserve."""
        if self.runner.ready and not self._members.own.has_image(message.image_id):
            holders = self.peers_with_image(message.image_id)
            self.runner.fetch(message.image_id, message.image, holders)

    def peers_with_image(self, image_id: str) -> tuple[str, ...]:
        """Nodes present that hold an image."""
        peers = self._members.peers
        return tuple(
            node for node in self._members.others() if peers[node].info.has_image(image_id)
        )


def _generation(container: EngineContainer) -> Generation:
    return container.generation or _NO_GENERATION


def _by_id(containers: tuple[EngineContainer, ...]) -> dict[str, list[EngineContainer]]:
    found: dict[str, list[EngineContainer]] = {}
    for container in containers:
        if container.id:
            found.setdefault(container.id, []).append(container)
    return found


def _foreign(containers: tuple[EngineContainer, ...]) -> Load:
    strangers = [c for c in containers if not c.id and c.phase == "running"]
    return Load(
        cpu_millis=sum(c.cpu_millis for c in strangers),
        memory=sum(c.memory for c in strangers),
        containers=len(strangers),
        ports=tuple(port for c in strangers for port in c.host_ports),
    )
