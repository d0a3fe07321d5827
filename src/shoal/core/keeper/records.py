"""Mergeable records: the state of a vcluster.

Merge is commutative, associative and idempotent. Of two versions of a record the higher one
wins: the later (stamp, writer), but `life` only goes up (creating, undone, created). A tombstone
beats every record of its object. Placements and statuses of all but the newest generations are
dropped by every copy alike.
"""

import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import msgspec

from shoal.model.ids import short

SPEC = "spec"
NAME = "name"
LIFE = "life"
DESIRED = "desired"
PLACEMENT = "placement"
STATUS = "status"
TOMBSTONE = "tombstone"

#: Generations of one object whose placement and status stay readable.
GENERATIONS_KEPT = 4
BUCKETS = 64
_WRITERS_SEEN = 8
_LIFE_RANK = {"creating": 0, "undone": 1, "created": 2}

RecordKey = tuple[str, str, str]  # object, concern, generation key ("" for most)
Version = tuple[int, int, str]  # rank, stamp, writer: the order in which versions win


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One concern of one object. `seen` maps writers (12 digits) to the stamps of the versions
    that this one was made in knowledge of: a version outside it is a conflict, not an ancestor.
    """

    object: str
    concern: str
    generation: str
    stamp: int
    writer: str
    value: dict[str, Any]
    seen: dict[str, int] = {}

    @property
    def key(self) -> RecordKey:
        return (self.object, self.concern, self.generation)

    @property
    def version(self) -> Version:
        rank = _LIFE_RANK[self.value["state"]] if self.concern == LIFE else 0
        return (rank, self.stamp, self.writer)

    def follows(self, other: "Record") -> bool:
        """Whether this version was made in knowledge of the other one."""
        return self.seen.get(short(other.writer), -1) >= other.stamp


def successor(
    base: Record | None, key: RecordKey, stamp: int, writer: str, value: dict[str, Any]
) -> Record:
    """The next version of a record. `value` is laid over the former one, so that fields which
    this member does not know survive."""
    if base is None:
        return Record(*key, stamp, writer, value)
    seen = dict(base.seen)
    seen[short(base.writer)] = base.stamp
    if len(seen) > _WRITERS_SEEN:
        seen = dict(sorted(seen.items(), key=lambda item: -item[1])[:_WRITERS_SEEN])
    return Record(*key, stamp, writer, {**base.value, **value}, seen)


def _hash(record: Record) -> int:
    text = (
        f"{record.object}\0{record.concern}\0{record.generation}\0{record.stamp}\0{record.writer}"
    )
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest())


def bucket_of(object_id: str) -> int:
    return zlib.crc32(object_id.encode()) % BUCKETS


def generation_order(record: Record) -> tuple[int, int, str]:
    """Sort key of placement and status records: their generation."""
    counter, stamp, writer = record.generation.split("-")
    return (int(counter), int(stamp, 16), writer)


class Change(msgspec.Struct, frozen=True):
    """What a merge did: nothing (`stored` None), or a version stored and others dropped.
    `conflict` is the loser of two versions that did not know each other."""

    stored: Record | None = None
    dropped: tuple[RecordKey, ...] = ()
    conflict: Record | None = None


_NOTHING = Change()


class Records:
    """All records of a vcluster that this node has."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[tuple[str, str], Record]] = {}
        self.buckets = [0] * BUCKETS
        self.latest = 0  # highest stamp

    def __len__(self) -> int:
        return sum(len(records) for records in self.objects.values())

    def __iter__(self) -> Iterator[Record]:
        for records in self.objects.values():
            yield from records.values()

    def get(self, object_id: str, concern: str, generation: str = "") -> Record | None:
        records = self.objects.get(object_id)
        return None if records is None else records.get((concern, generation))

    def tombstone(self, object_id: str) -> Record | None:
        return self.get(object_id, TOMBSTONE)

    def of(self, object_id: str) -> tuple[Record, ...]:
        return tuple(self.objects.get(object_id, {}).values())

    def merge(self, record: Record) -> Change:
        """Take in a version from anywhere."""
        self.latest = max(self.latest, record.stamp)
        records = self.objects.setdefault(record.object, {})
        grave = records.get((TOMBSTONE, ""))
        if record.concern == TOMBSTONE:
            return self._bury(records, record, grave)
        if grave is not None:
            return _NOTHING
        old = records.get((record.concern, record.generation))
        if old is None:
            self._store(records, record)
            return self._prune(records, record)
        if record.version == old.version:
            return _NOTHING
        won = record.version > old.version
        winner, loser = (record, old) if won else (old, record)
        known = record.concern == STATUS or winner.follows(loser) or winner.value == loser.value
        conflict = None if known else loser
        if not won:
            return Change(conflict=conflict)
        self._remove(records, old)
        self._store(records, record)
        return Change(stored=record, conflict=conflict)

    def _bury(
        self, records: dict[tuple[str, str], Record], record: Record, grave: Record | None
    ) -> Change:
        if grave is not None and grave.version >= record.version:
            return _NOTHING
        dropped = tuple(old.key for old in records.values() if old.concern != TOMBSTONE)
        for old in list(records.values()):
            self._remove(records, old)
        self._store(records, record)
        return Change(stored=record, dropped=dropped)

    def _prune(self, records: dict[tuple[str, str], Record], record: Record) -> Change:
        if not record.generation:
            return Change(stored=record)
        same = [old for old in records.values() if old.concern == record.concern]
        if len(same) <= GENERATIONS_KEPT:
            return Change(stored=record)
        oldest = min(same, key=generation_order)
        self._remove(records, oldest)
        if oldest is record:
            return _NOTHING
        return Change(stored=record, dropped=(oldest.key,))

    def _store(self, records: dict[tuple[str, str], Record], record: Record) -> None:
        records[record.concern, record.generation] = record
        self.buckets[bucket_of(record.object)] ^= _hash(record)

    def _remove(self, records: dict[tuple[str, str], Record], record: Record) -> None:
        del records[record.concern, record.generation]
        self.buckets[bucket_of(record.object)] ^= _hash(record)

    def total(self) -> int:
        """Hash over everything: equal totals mean equal records."""
        text = ",".join(map(str, self.buckets))
        return int.from_bytes(blake2b(text.encode(), digest_size=6).digest())

    def in_buckets(self, buckets: Iterable[int]) -> Iterator[Record]:
        wanted = set(buckets)
        for object_id, records in self.objects.items():
            if bucket_of(object_id) in wanted:
                yield from records.values()
