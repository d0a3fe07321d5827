"""A container object, read from its records into typed values."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from shoal.core.keeper import records as r
from shoal.core.keeper.records import Record
from shoal.model.container import ContainerSpec, Desired, Status
from shoal.model.ids import Generation
from shoal.model.ops import Action

LifeState = Literal["creating", "undone", "created"]


class Claim(msgspec.Struct, frozen=True):
    """A claim to a name: it belongs to the earliest living one. `request` is that of the rename
    that made it, "" for a create."""

    name: str
    claimed: int  # stamp
    request: str = ""


class Life(msgspec.Struct, frozen=True):
    """Whether the create was completed. `since` is the stamp of its last sign of interest;
    `undone` keeps what the client was told."""

    state: LifeState
    since: int = 0
    status: int = 0
    error: str = ""


class Wish(msgspec.Struct, frozen=True):
    """What the user wants of a container, last of all by `action`, asked for by `request`."""

    state: Desired = "created"
    action: Action | Literal[""] = ""
    timeout: int | None = None
    signal: str = ""
    request: str = ""


class Placement(msgspec.Struct, frozen=True):
    """Where a generation runs and why there."""

    node: str
    generation: Generation
    reason: str = ""
    at: int = 0  # wall clock, ns
    replacing: bool = False


class Container(msgspec.Struct):
    """A container object as its records say. Stamps: `wished` of its wish, `ordered` the highest
    of all that its host has to know, `stamp` the highest of all."""

    id: str
    spec: ContainerSpec | None = None
    claim: Claim | None = None
    life: Life = Life("creating")
    wish: Wish = Wish()
    wished: int = 0
    placements: list[Placement] = []
    statuses: dict[str, Status] = {}
    tombstone: Record | None = None
    ordered: int = 0
    stamp: int = 0

    @property
    def living(self) -> bool:
        return self.tombstone is None and self.life.state != "undone" and self.spec is not None

    @property
    def visible(self) -> bool:
        """Whether users see it: its create was acknowledged or is about to be."""
        return self.living and self.life.state == "created"

    @property
    def to_run_elsewhere(self) -> bool:
        """Whether it is started on another host when its own is gone or drained."""
        spec = self.spec
        if spec is None or not spec.movable or self.wish.state != "running":
            return False
        ended = self.status.phase in ("exited", "dead")
        return not ended or spec.restart.name in ("always", "unless-stopped")

    @property
    def name(self) -> str:
        return self.claim.name if self.claim is not None else self.id[:12]

    @property
    def placement(self) -> Placement | None:
        return self.placements[-1] if self.placements else None

    @property
    def generation(self) -> Generation | None:
        return self.placements[-1].generation if self.placements else None

    @property
    def reported(self) -> Status | None:
        """What the host said of the newest generation, None before it said anything."""
        placement = self.placement
        return None if placement is None else self.statuses.get(placement.generation.key)

    @property
    def status(self) -> Status:
        """The newest status there is, also of a former generation."""
        for placement in reversed(self.placements):
            found = self.statuses.get(placement.generation.key)
            if found is not None:
                return found
        return Status()


def read(object_id: str, records: Iterable[Record]) -> Container:
    """Read all records of an object. Unknown fields and concerns are passed over."""
    container = Container(object_id)
    for record in records:
        container.stamp = max(container.stamp, record.stamp)
        if record.concern != r.STATUS:
            container.ordered = max(container.ordered, record.stamp)
        _READERS.get(record.concern, _skip)(container, record)
    container.placements.sort(key=lambda placement: placement.generation)
    return container


def _skip(container: Container, record: Record) -> None:
    pass


def _spec(container: Container, record: Record) -> None:
    container.spec = msgspec.convert(record.value, ContainerSpec, strict=False)


def _name(container: Container, record: Record) -> None:
    container.claim = msgspec.convert(record.value, Claim)


def _life(container: Container, record: Record) -> None:
    container.life = msgspec.convert(record.value, Life)


def _wish(container: Container, record: Record) -> None:
    container.wish = msgspec.convert(record.value, Wish)
    container.wished = record.stamp


def _placement(container: Container, record: Record) -> None:
    container.placements.append(msgspec.convert(record.value, Placement))


def _status(container: Container, record: Record) -> None:
    container.statuses[record.generation] = msgspec.convert(record.value, Status)


def _tombstone(container: Container, record: Record) -> None:
    container.tombstone = record


_READERS = {
    r.SPEC: _spec,
    r.NAME: _name,
    r.LIFE: _life,
    r.DESIRED: _wish,
    r.PLACEMENT: _placement,
    r.STATUS: _status,
    r.TOMBSTONE: _tombstone,
}
