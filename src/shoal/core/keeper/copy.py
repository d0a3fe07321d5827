"""This node's copy of one vcluster: its records, their storage, and their reconciliation.

Anti-entropy is symmetric: a digest of buckets, then the versions in those that differ, then the
records that either side lacks. It runs until both are equal.
"""

from collections.abc import Iterable

import msgspec

from shoal.core.context import Context
from shoal.core.effects import Log
from shoal.core.keeper.records import (
    Change,
    Record,
    RecordKey,
    Records,
    Version,
    successor,
)
from shoal.core.messages import SyncDigest, SyncEqual, SyncKeys, SyncRecords
from shoal.model.ids import short

#: Records in one message; a record is a few kB at most.
BATCH = 500
HOLDS = "holds"
_CONFLICTS_KEPT = 256
_SEPARATOR = "\x1f"
_NO_VERSION: Version = (-1, 0, "")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


def conflicts_of(vcluster: str) -> str:
    """Where the losers of a vcluster's conflicts are stored."""
    return f"conflicts/{vcluster}"


def space_of(vcluster: str) -> str:
    """Where a vcluster's records are stored."""
    return f"v/{vcluster}"


def batches(records: Iterable[Record]) -> list[tuple[Record, ...]]:
    """Records cut into messages; one empty batch when there are none."""
    everything = list(records)
    cut = range(0, max(1, len(everything)), BATCH)
    return [tuple(everything[at : at + BATCH]) for at in cut]


class Copy:
    """Records of one vcluster. `complete` is kept on disk: this copy holds all that was
    acknowledged, as far as anybody it could reach knows."""

    def __init__(self, context: Context, vcluster: str) -> None:
        self.vcluster = vcluster
        self.records = Records()
        self.complete = False
        self.held = False
        self.conflicts: dict[str, Record] = {}
        self._context = context

    def load(self, blob: bytes) -> None:
        """Take in a record from disk."""
        record = _decode(blob)
        self.records.merge(record)
        self._context.clock.observe(record.stamp)

    def load_conflict(self, key: str, blob: bytes) -> None:
        """Take in the loser of a conflict from disk."""
        self.conflicts[key] = _decode(blob)

    def mark(self, *, complete: bool) -> None:
        """Remember that this node holds a copy, and whether it is a complete one."""
        if not self.held or complete != self.complete:
            self.held, self.complete = True, complete
            self._context.put(HOLDS, self.vcluster, b"complete" if complete else b"partial")

    def forget(self) -> None:
        """Delete everything: the current copies have absorbed it."""
        for record in self.records:
            self._delete(record.key)
        self._context.delete(HOLDS, self.vcluster)
        self.records = Records()
        self.held = self.complete = False

    def write(
        self, object_id: str, concern: str, value: dict[str, object], generation: str = ""
    ) -> Record:
        """A new version of a record, stored."""
        base = self.records.get(object_id, concern, generation)
        key = (object_id, concern, generation)
        record = successor(base, key, self._context.stamp(), self._context.node_id, value)
        self._store(self.records.merge(record))
        return record

    def absorb(self, records: Iterable[Record]) -> set[str]:
        """Merge records from elsewhere. Answers the ids of the objects that changed."""
        changed: set[str] = set()
        for record in records:
            self._context.clock.observe(record.stamp)
            change = self.records.merge(record)
            self._store(change)
            if change.stored is not None or change.dropped:
                changed.add(record.object)
        return changed

    def _store(self, change: Change) -> None:
        for key in change.dropped:
            self._delete(key)
        if change.stored is not None:
            record = change.stored
            self._context.put(space_of(self.vcluster), _SEPARATOR.join(record.key), _encode(record))
        if change.conflict is not None:
            self._keep_loser(change.conflict)

    def _keep_loser(self, loser: Record) -> None:
        key = _SEPARATOR.join((*loser.key, f"{loser.stamp:x}", short(loser.writer)))
        if key in self.conflicts:
            return  # it came again, from another copy
        space = conflicts_of(self.vcluster)
        self._context.put(space, key, _encode(loser))
        self.conflicts[key] = loser
        if len(self.conflicts) > _CONFLICTS_KEPT:
            oldest = next(iter(self.conflicts))
            del self.conflicts[oldest]
            self._context.delete(space, oldest)
        fields = {"vcluster": self.vcluster, "object": loser.object, "concern": loser.concern}
        self._context.emit(Log("warning", "conflict", fields))

    def _delete(self, key: RecordKey) -> None:
        self._context.delete(space_of(self.vcluster), _SEPARATOR.join(key))

    # -- anti-entropy ------------------------------------------------------------------------

    def digest(self) -> SyncDigest:
        return SyncDigest(self.vcluster, tuple(self.records.buckets), self.complete)

    def compare(self, sender: str, message: SyncDigest, *, settled: bool) -> bool:
        """Answer a digest. True if both copies are equal."""
        mine = self.records.buckets
        different = tuple(i for i, value in enumerate(message.buckets) if value != mine[i])
        if not different:
            total = self.records.total()
            self._context.send(sender, SyncEqual(self.vcluster, total, self.complete, settled))
            return True
        versions = tuple(
            (record.key, record.version) for record in self.records.in_buckets(different)
        )
        self._context.send(sender, SyncKeys(self.vcluster, different, versions, settled))
        return False

    def covered(self, message: SyncKeys) -> bool:
        """Whether the sender of the versions has all that this copy has, or newer."""
        theirs = dict(message.versions)
        return all(
            record.version <= theirs.get(record.key, _NO_VERSION)
            for record in self.records.in_buckets(message.buckets)
        )

    def offer(self, sender: str, message: SyncKeys) -> None:
        """Send what the sender of the versions lacks and ask for what this copy lacks."""
        theirs = dict(message.versions)
        mine = {record.key: record for record in self.records.in_buckets(message.buckets)}
        surplus = [
            record
            for key, record in mine.items()
            if key not in theirs or record.version > theirs[key]
        ]
        wanted = tuple(
            key for key, version in theirs.items() if key not in mine or version > mine[key].version
        )
        *first, last = batches(surplus)
        for batch in first:
            self._context.send(sender, SyncRecords(self.vcluster, batch))
        # Of several parts one may be lost; then the next comparison finds the rest.
        whole = self.complete and not first
        self._context.send(sender, SyncRecords(self.vcluster, last, wanted, whole))

    def supply(self, sender: str, wanted: Iterable[RecordKey]) -> None:
        """Send the records asked for."""
        found = [record for key in wanted if (record := self.records.get(*key)) is not None]
        if found:
            for batch in batches(found):
                self._context.send(sender, SyncRecords(self.vcluster, batch))
