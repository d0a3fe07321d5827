"""Who waits for what: requests whose answer depends on hosts and on copies."""

from typing import Literal

import msgspec

from shoal.core.keeper.objects import Container
from shoal.core.keeper.records import LIFE, NAME, Record
from shoal.model.ops import Answer, Created, Done, Failed

Kind = Literal["create", "operate", "remove", "write"]

#: Answers kept for requests that are sent again.
_ANSWERS_KEPT = 2_000


class Waiter(msgspec.Struct):
    """A request in work. `stamp` is that of the record that it caused: answers wait until it is
    on a second disk."""

    request: str
    origin: str  # node that asked
    kind: Kind
    object: str
    stamp: int = 0


class Waiters:
    """Requests in work, and the answers of those that are done."""

    def __init__(self) -> None:
        self.open: dict[str, Waiter] = {}
        self._answers: dict[str, Answer] = {}

    def add(self, waiter: Waiter) -> None:
        self.open[waiter.request] = waiter

    def answered(self, request: str) -> Answer | None:
        """The answer given before, if the request is sent again."""
        return self._answers.get(request)

    def close(self, request: str, answer: Answer) -> None:
        """Keep the answer in case that the request comes again."""
        self.open.pop(request, None)
        self._answers[request] = answer
        if len(self._answers) > _ANSWERS_KEPT:
            del self._answers[next(iter(self._answers))]


def outcome(waiter: Waiter, container: Container | None, *, releasing: bool) -> Answer | None:
    """The answer that records allow now, None while there is none. `releasing`: a host that is
    there has still to give the removed container up."""
    if waiter.kind == "write":
        return Done(waiter.object)
    assert container is not None
    if waiter.kind == "create":
        return _created(container)
    if waiter.kind == "remove":
        return None if releasing else Done(container.id)
    return _operated(waiter, container)


def _created(container: Container) -> Answer | None:
    if container.life.state == "undone":
        return Failed(container.life.status, container.life.error)
    if container.tombstone is not None:
        return Failed(409, f"container {container.name} was removed while it was created")
    return Created(container.id) if container.life.state == "created" else None


def _operated(waiter: Waiter, container: Container) -> Answer | None:
    if container.tombstone is not None:
        return Failed(404, f"No such container: {container.id}")
    reported = container.reported
    if reported is None or reported.done < waiter.stamp:
        return None
    if reported.done == waiter.stamp and reported.error_status:
        return Failed(reported.error_status, reported.error)
    return Done(container.id)


def acknowledges(waiter: Waiter, records: tuple[Record, ...]) -> int:
    """The stamp that must be durable before the answer: of the request's own records, for a
    create of its completion."""
    if waiter.kind != "create":
        return waiter.stamp
    return max((r.stamp for r in records if r.concern in (LIFE, NAME)), default=waiter.stamp)
