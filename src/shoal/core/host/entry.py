"""One container in a host's ledger: the records it was assigned with, and what became of it."""

from typing import Any

import msgspec

from shoal.core.keeper.objects import Container, read
from shoal.core.keeper.records import STATUS, Record, Records, successor
from shoal.core.messages import Held, Release
from shoal.model.container import Status
from shoal.model.ids import Generation
from shoal.model.node import Tenant

LEDGER = "ledger"

_encode = msgspec.msgpack.Encoder().encode


class Row(msgspec.Struct, frozen=True):
    """An entry as it stands on disk."""

    id: str
    vcluster: str
    records: tuple[Record, ...]
    generation: Generation
    engine_name: str
    created: bool
    leaving: Release | None
    told_by: str


_decode = msgspec.msgpack.Decoder(Row).decode


class Entry:
    """`created`: the engine has it under `engine_name`. `leaving`: it is to be given up, as
    `told_by` said. `call`: the engine call under way, 0 for none. `unkept`: the keeper has not
    confirmed the last status. `withheld`: superseded, so not started any more. `create_failed`: its
    engine refused to create this generation."""

    def __init__(self, vcluster: str, object_id: str, generation: Generation) -> None:
        self.id = object_id
        self.vcluster = vcluster
        self.generation = generation
        self.engine_name = ""
        self.created = False
        self.leaving: Release | None = None
        self.told_by = ""
        self.call = 0
        self.call_wish = 0
        self.unkept = False
        self.withheld = False
        self.asks_removal = False
        self.destroyed = False  # the engine has told of its removal
        self.restart_at = 0
        self.backoff = 0
        self.create_failed = False
        self.touched = -1  # monotonic ns of the engine's last answer
        self.records = Records()
        self.container = Container(object_id)

    def learn(self, records: tuple[Record, ...]) -> bool:
        """Merge records of this object. Answers whether anything was new."""
        changed = [record for record in records if self.records.merge(record).stored is not None]
        if changed:
            self.container = read(self.id, self.records.of(self.id))
        return bool(changed)

    @property
    def status(self) -> Status:
        """What this host says; under the generation that it holds."""
        return self.container.statuses.get(self.generation.key, Status())

    @property
    def status_record(self) -> Record | None:
        return self.records.get(self.id, STATUS, self.generation.key)

    def restate(self, status: Status, stamp: int, writer: str) -> None:
        """A new version of the status record."""
        key = (self.id, STATUS, self.generation.key)
        value: dict[str, Any] = msgspec.to_builtins(status)
        self.learn((successor(self.status_record, key, stamp, writer, value),))
        self.unkept = True

    @property
    def running(self) -> bool:
        return self.status.phase == "running"

    @property
    def wish_pending(self) -> bool:
        return self.container.wished > self.status.done

    def held(self) -> Held:
        return Held(
            self.id,
            self.generation,
            self.container.ordered,
            self.running,
            self.status.started,
            self.created,
            self.container.wished,
        )

    def tenant(self) -> Tenant:
        """It, for an operator who wants the host empty."""
        moves = self.leaving is not None or self.container.to_run_elsewhere
        why = "" if moves else self._stays_because()
        return Tenant(self.id, self.container.name, self.vcluster, self.running, moves, why)

    def _stays_because(self) -> str:
        spec = self.container.spec
        if spec is None:
            return "no keeper has said yet what it is"
        if not spec.movable:
            return spec.stays_because or "it may not move"
        return "it is stopped" if self.container.wish.state != "running" else "it has ended"

    def row(self) -> bytes:
        row = Row(
            self.id,
            self.vcluster,
            self.records.of(self.id),
            self.generation,
            self.engine_name,
            self.created,
            self.leaving,
            self.told_by,
        )
        return _encode(row)

    @classmethod
    def load(cls, blob: bytes) -> "Entry":
        row = _decode(blob)
        entry = cls(row.vcluster, row.id, row.generation)
        entry.learn(row.records)
        entry.engine_name, entry.created = row.engine_name, row.created
        entry.leaving, entry.told_by = row.leaving, row.told_by
        entry.unkept = True
        return entry
