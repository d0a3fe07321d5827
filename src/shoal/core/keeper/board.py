"""The containers of a vcluster as its keeper sees them: typed, indexed, and written through."""

from collections.abc import Iterable

import msgspec

from shoal.core.keeper import records as r
from shoal.core.keeper.copy import Copy
from shoal.core.keeper.objects import Container, Life, Placement, Wish, read
from shoal.core.keeper.records import Record
from shoal.model.errors import BadRequest, NotFound
from shoal.model.ids import is_id


class Board:
    """Index over a copy. `fresh` collects what was written here and has to go to the copies."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.containers: dict[str, Container] = {}
        self.fresh: list[Record] = []
        self._names: dict[str, set[str]] = {}
        self._hosted: dict[str, set[str]] = {}
        self.refresh(copy.records.objects)

    def refresh(self, ids: Iterable[str]) -> None:
        """Read changed objects again. Objects that are no containers are passed over."""
        for object_id in ids:
            if is_id(object_id):
                self._unindex(self.containers.get(object_id))
                container = read(object_id, self.copy.records.of(object_id))
                self.containers[object_id] = container
                self._index(container)

    def _index(self, container: Container) -> None:
        if container.living and container.claim is not None:
            self._names.setdefault(container.claim.name, set()).add(container.id)
        placement = container.placement
        if placement is not None and container.living:
            self._hosted.setdefault(placement.node, set()).add(container.id)

    def _unindex(self, container: Container | None) -> None:
        if container is None:
            return
        if container.claim is not None:
            self._names.get(container.claim.name, set()).discard(container.id)
        placement = container.placement
        if placement is not None:
            self._hosted.get(placement.node, set()).discard(container.id)

    # -- reading -------------------------------------------------------------------------------

    def hosted(self, node: str) -> list[str]:
        """Ids of the living containers placed on a node."""
        return sorted(self._hosted.get(node, ()))

    def movable(self) -> list[Container]:
        """The containers that are to start elsewhere when their host dies."""
        return [c for c in self.containers.values() if c.visible and c.spec and c.spec.movable]

    def claimants(self, name: str) -> list[Container]:
        """The living containers that claim a name, the rightful owner first."""
        found = [self.containers[object_id] for object_id in self._names.get(name, ())]
        return sorted(found, key=lambda c: (c.claim.claimed if c.claim else 0, c.id))

    def duplicates(self) -> list[str]:
        """Names that more than one living container claims."""
        return sorted(name for name, ids in self._names.items() if len(ids) > 1)

    def find(self, ref: str) -> Container:
        """A visible container by id, name or unambiguous prefix of its id, in Docker's order.

        Raises NotFound or BadRequest (ambiguous) in Docker's words.
        """
        exact = self.containers.get(ref)
        if exact is not None and exact.visible:
            return exact
        for container in self.claimants(ref.removeprefix("/")):
            if container.visible:
                return container
        found = [c for c in self.containers.values() if c.id.startswith(ref) and c.visible]
        if len(found) == 1 and ref:
            return found[0]
        if found and ref:
            raise BadRequest(f"Multiple IDs found with provided prefix: {ref}")
        raise NotFound(f"No such container: {ref}")

    def grave(self, request: str) -> Record | None:
        """The tombstone that a request has made, at whichever keeper."""
        for container in self.containers.values():
            grave = container.tombstone
            if grave is not None and grave.value.get("request") == request:
                return grave
        return None

    # -- writing -------------------------------------------------------------------------------

    def write(
        self, object_id: str, concern: str, value: msgspec.Struct, generation: str = ""
    ) -> Record:
        """A new version of a record, from a struct."""
        return self.write_fields(object_id, concern, msgspec.to_builtins(value), generation)

    def write_fields(
        self, object_id: str, concern: str, value: dict[str, object], generation: str = ""
    ) -> Record:
        """A new version of a record, from plain fields."""
        record = self.copy.write(object_id, concern, value, generation)
        self.fresh.append(record)
        self.refresh((object_id,))
        return record

    def live(self, container: Container, life: Life) -> Record:
        return self.write(container.id, r.LIFE, life)

    def wish(self, container: Container, wish: Wish) -> Record:
        return self.write(container.id, r.DESIRED, wish)

    def place(self, container: Container, placement: Placement) -> Record:
        key = placement.generation.key
        return self.write(container.id, r.PLACEMENT, placement, key)

    def bury(self, container: Container, *, volumes: bool, request: str) -> Record:
        value = {
            "name": container.name,
            "exit_code": container.status.exit_code,
            "volumes": volumes,
            "request": request,
        }
        return self.write_fields(container.id, r.TOMBSTONE, value)

    def absorb(self, records: Iterable[Record]) -> list[str]:
        """Merge records from elsewhere; answers the ids that changed, in order."""
        changed = sorted(self.copy.absorb(records))
        self.refresh(changed)
        return changed

    def take_fresh(self) -> list[Record]:
        fresh, self.fresh = self.fresh, []
        return fresh
