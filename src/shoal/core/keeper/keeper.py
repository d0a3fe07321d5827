"""The keeper of a vcluster: takes operations, and answers when what they promise is kept."""

import msgspec

from shoal.core import messages as m
from shoal.core.candidates import Candidates
from shoal.core.context import Context
from shoal.core.keeper import records as r
from shoal.core.keeper.board import Board
from shoal.core.keeper.copy import Copy
from shoal.core.keeper.drain import Drain
from shoal.core.keeper.objects import Claim, Container, Life, Wish
from shoal.core.keeper.reads import IMAGE, IMAGE_PREFIX, READS, answer_read
from shoal.core.keeper.reconciler import FIRST_PLACEMENT, Reconciler
from shoal.core.keeper.replication import Replication
from shoal.core.keeper.rivals import Rivals
from shoal.core.keeper.views import view_of
from shoal.core.keeper.volumes import note_volumes, with_volume_pins
from shoal.core.keeper.waiters import Waiter, Waiters, acknowledges, outcome
from shoal.core.members import Members
from shoal.core.placement import ClusterView, request_of
from shoal.model import ops
from shoal.model.container import ContainerView
from shoal.model.errors import BadRequest, Conflict, NotFound, ShoalError, Unavailable

_KILLS = ("", "KILL", "SIGKILL", "9", "TERM", "SIGTERM", "15")


class Keeper:
    """Serves one vcluster on this node."""

    def __init__(
        self,
        context: Context,
        members: Members,
        copy: Copy,
        view: ClusterView,
        candidates: Candidates,
        *,
        partial: bool,
    ) -> None:
        self.partial = partial
        self.board = Board(copy)
        self.replication = Replication(context, copy)
        self.reconciler = Reconciler(context, members, self.board, view, candidates)
        self.drain = Drain(context, members, self.board, self.reconciler)
        self.rivals = Rivals(context, members, self.board, view, self.reconciler)
        self._context = context
        self._members = members
        self._waiters = Waiters()

    # -- operations ----------------------------------------------------------------------------

    def ask(self, sender: str, message: m.Ask) -> None:
        """Take an operation; its answer goes to the sender, now or later."""
        known = self._waiters.answered(message.request)
        if known is not None:
            self._tell(sender, message.request, known)
            return
        waiting = self._waiters.open.get(message.request)
        if waiting is not None:
            waiting.origin = sender
            self.reconciler.attempt(waiting.object).interest = self._context.now.mono
            return
        try:
            answer = self._begin(sender, message)
        except ShoalError as error:
            answer = ops.Failed(error.status, error.text)
        if answer is not None:
            if not isinstance(message.operation, READS):
                self._waiters.close(message.request, answer)
            self._tell(sender, message.request, answer)
        self.settle()

    def _tell(self, to: str, request: str, answer: ops.Answer) -> None:
        as_of = self.board.copy.records.latest
        self._context.send(to, m.Told(request, answer, as_of=as_of))

    def _begin(self, sender: str, message: m.Ask) -> ops.Answer | None:
        operation = message.operation
        match operation:
            case ops.CreateContainer():
                return self._create(sender, message.request, operation)
            case ops.Operate():
                return self._operate(sender, message, operation)
            case ops.RemoveContainer():
                return self._remove(sender, message, operation)
            case ops.RenameContainer():
                return self._rename(sender, message.request, operation)
            case ops.WriteObject():
                return self._write(sender, message.request, operation)
            case ops.TagImage():
                value = {"image_id": operation.image_id}
                write = ops.WriteObject(IMAGE_PREFIX + operation.reference, IMAGE, value)
                return self._write(sender, message.request, write)
            case ops.WhyContainer():
                return self._why(operation)
            case _:
                return answer_read(
                    self.board,
                    self._members,
                    operation,
                    partial=self.partial,
                    note_of=self.note,
                )

    def _wait(self, waiter: Waiter) -> None:
        self._waiters.add(waiter)

    def _create(
        self, sender: str, request: str, operation: ops.CreateContainer
    ) -> ops.Answer | None:
        known = self.board.containers.get(operation.id)
        if known is not None and (known.spec is not None or known.tombstone is not None):
            self.reconciler.attempt(operation.id).interest = self._context.now.mono
        else:
            self._begin_create(operation)
        self._wait(Waiter(request, sender, "create", operation.id))
        return None

    def _begin_create(self, operation: ops.CreateContainer) -> None:
        """Check everything first, so that a refused create leaves nothing behind.

        Raises BadRequest, Conflict (name taken) or Conflict (no node can run it).
        """
        self._check_name_is_free(operation.name)
        request_of(operation.spec)
        spec = with_volume_pins(self.board, operation.spec)
        candidate = Container(operation.id, spec=spec)
        node = None
        if self.reconciler.ready(candidate):
            node = self.reconciler.choose(candidate)
            if node is None:
                raise Conflict(self.reconciler.explain(candidate).summary)
        stamp = self._context.stamp()
        self.board.write(operation.id, r.SPEC, spec)
        self.board.write(operation.id, r.NAME, Claim(operation.name, stamp))
        # No first wish: one of a second keeper that takes the same create later would win over
        # what the user has asked for since.
        self.board.write(operation.id, r.LIFE, Life("creating", since=stamp))
        if node is None:
            self.reconciler.advance(operation.id)
        else:
            container = self.board.containers[operation.id]
            self.reconciler.assign_to(container, node, FIRST_PLACEMENT)

    def _operate(self, sender: str, message: m.Ask, operation: ops.Operate) -> ops.Answer | None:
        container = self.board.find(operation.ref)
        if container.wish.request == message.request:  # a former keeper has taken it
            waiter = Waiter(message.request, sender, "operate", container.id, container.wished)
            self._wait(waiter)
            return None
        if operation.action == "start":
            self._check_startable(container)
        else:
            self._check_host(container)
        if operation.action in ("stop", "kill") and self._starting(container):
            return None  # it must not overtake the start: the entry node asks again in a second
        if self._nothing_to_do(container, operation):
            return ops.Done(container.id, changed=False)
        record = self.board.wish(container, _wish_of(container, message.request, operation))
        self._wait(Waiter(message.request, sender, "operate", container.id, record.stamp))
        self.reconciler.tell_host(self.board.containers[container.id])
        self.reconciler.advance(container.id)
        return None

    def _starting(self, container: Container) -> bool:
        """Whether its host is about to start it."""
        reported = container.reported
        asked = container.wish.action in ("start", "restart")
        return asked and (reported is None or reported.done < container.wished)

    def _check_host(self, container: Container) -> None:
        placement = container.placement
        if placement is None or not self._members.is_present(placement.node):
            name = self._members.name(placement.node) if placement is not None else "?"
            raise Unavailable(
                f"host {name} of container {container.name} is unreachable: try again when it is "
                "back, or remove the container with rm -f"
            )

    def _check_startable(self, container: Container) -> None:
        assert container.spec is not None
        if not container.spec.movable:
            self._check_host(container)

    def _nothing_to_do(self, container: Container, operation: ops.Operate) -> bool:
        settled = container.reported is not None and container.reported.done >= container.wished
        running = container.status.phase == "running"
        if operation.action == "kill" and settled and not running:
            raise Conflict(
                f"Cannot kill container: {operation.ref}: Container {container.id} is not running"
            )
        if not settled:
            return False
        if operation.action == "start":
            return running
        stopped = container.wish.state != "running"
        return operation.action == "stop" and not running and stopped

    def _remove(
        self, sender: str, message: m.Ask, operation: ops.RemoveContainer
    ) -> ops.Answer | None:
        try:
            container = self.board.find(operation.ref)
        except NotFound:
            grave = self.board.grave(message.request)
            if grave is None:
                raise
            self._wait(Waiter(message.request, sender, "remove", grave.object, grave.stamp))
            return None
        if container.status.phase == "running" and not operation.force:
            raise Conflict(
                f"You cannot remove a running container {container.id}. "
                "Stop the container before attempting removal or force remove"
            )
        grave = self.reconciler.bury(container, volumes=operation.volumes, request=message.request)
        self._wait(Waiter(message.request, sender, "remove", container.id, grave.stamp))
        return None

    def _rename(
        self, sender: str, request: str, operation: ops.RenameContainer
    ) -> ops.Answer | None:
        container = self.board.find(operation.ref)
        claim = container.claim
        if claim is None or claim.request != request:  # else a former keeper has taken it
            if container.name == operation.name:
                raise BadRequest(
                    "Renaming a container with the same name as its current name: choose another"
                )
            self._check_name_is_free(operation.name)
            claim = Claim(operation.name, self._context.stamp(), request)
            self.board.write(container.id, r.NAME, claim)
            container = self.board.containers[container.id]
            self.reconciler.tell_host(container)
        stamp = max(record.stamp for record in self.board.copy.records.of(container.id))
        self._wait(Waiter(request, sender, "write", container.id, stamp))
        return None

    def _check_name_is_free(self, name: str) -> None:
        taken = self.board.claimants(name)
        if taken:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container '
                f'"{taken[0].id}". You have to remove (or rename) that container to be able to '
                "reuse that name."
            )

    def _write(self, sender: str, request: str, operation: ops.WriteObject) -> ops.Answer | None:
        if operation.value is None:
            record = self.board.write_fields(operation.object, r.TOMBSTONE, {})
        elif self.board.copy.records.tombstone(operation.object) is not None:
            raise BadRequest(f"{operation.object} was removed: its id is not used again")
        else:
            record = self.board.write_fields(operation.object, operation.concern, operation.value)
        self._wait(Waiter(request, sender, "write", operation.object, record.stamp))
        return None

    def _why(self, operation: ops.WhyContainer) -> ops.Why:
        container = self.board.find(operation.ref)
        explanation = self.reconciler.explain(container)
        verdicts = tuple(
            ops.NodeVerdict(one.name, one.eligible, one.score, one.filter, one.reason)
            for one in explanation.nodes
        )
        history = [
            f"generation {p.generation.counter} on {self._members.name(p.node)}: {p.reason}"
            for p in container.placements
        ]
        history += [
            f"conflict: {self._members.name(loser.writer)}'s {loser.concern} "
            f"{msgspec.json.encode(loser.value).decode()} lost to a later one"
            for loser in self.board.copy.conflicts.values()
            if loser.object == container.id
        ]
        view = view_of(container, self._members, note=self.note(container.id))
        return ops.Why(
            view, _summary(view, container, explanation.summary), verdicts, tuple(history)
        )

    # -- what copies and hosts say -------------------------------------------------------------

    def merged(self, records: tuple[r.Record, ...]) -> None:
        """Records came from elsewhere: act on them and bring the copies level."""
        changed = self.board.absorb(records)
        if changed:
            self._revise(changed)
            self.replication.dirty()

    def _revise(self, changed: list[str]) -> None:
        self.reconciler.settle_names()
        for object_id in changed:
            self.reconciler.advance(object_id)
        self.settle()

    def _status(self, sender: str, message: m.HostStatus) -> None:
        """A host reports on a container that it holds."""
        record = message.record
        container = self.board.containers.get(record.object)
        if container is None or not container.placements:
            self._context.send(sender, m.Want(message.vcluster, (record.object,)))
            return
        self.reconciler.load_told(sender, container, message.load)
        changed = self.board.absorb((record,))
        if changed:
            self.board.fresh.append(record)
        self._finish_create(self.board.containers[record.object], message)
        self._context.send(sender, m.StatusKept(message.vcluster, record.object, record.stamp))
        container = self.board.containers[record.object]
        if message.remove and container.visible and container.generation == message.generation:
            self.reconciler.bury(container, volumes=True)
        else:
            self.reconciler.advance(container.id)

    def _finish_create(self, container: Container, message: m.HostStatus) -> None:
        """The engine has it: the create is done, whatever became of it meanwhile."""
        status = container.statuses.get(message.generation.key)
        made = status is not None and status.phase != "creating"
        if made and container.tombstone is None and container.life.state != "created":
            self.board.live(container, Life("created"))
            note_volumes(self.board, container)
            self.reconciler.settle_names()  # one that was given up had no name until now
            self.reconciler.tell_host(self.board.containers[container.id])

    def hear(self, sender: str, message: m.Message) -> None:
        """What a host or a copy says to the keeper."""
        match message:
            case m.HostStatus():
                self._status(sender, message)
            case m.Report():
                self.rivals.reported(sender, message)
            case m.Bundle():
                self.merged(message.records)
            case m.Refused():
                self.reconciler.refused(sender, message)
            case m.Released():
                if message.tombstone is not None:
                    self.merged((message.tombstone,))
                self.reconciler.released(sender, message)
            case m.Replicated():
                if not self.replication.confirmed(sender, message):
                    return
            case _:
                return
        self.settle()

    def host_gone(self, node: str) -> None:
        self.reconciler.host_gone(node)
        self.settle()

    def candidates_found(self, container: str) -> None:
        """A search for candidates has ended."""
        if container in self.board.containers:
            self.reconciler.advance(container)
            self.settle()

    def retarget(self, targets: list[str]) -> None:
        """The copies are on these nodes now."""
        self.replication.retarget(targets)
        self.settle()

    def begin(self) -> None:
        """Go on where the former keeper stopped."""
        self._revise(sorted(self.board.containers))

    def nudge(self) -> None:
        """Repeat what hosts and copies have not confirmed."""
        self.replication.resend()
        self.reconciler.nudge()
        self.drain.nudge()
        self.settle()

    def note(self, object_id: str) -> str:
        """What keeps a container from what was asked, "" for nothing."""
        return self.reconciler.note(object_id) or self.drain.note(object_id)

    def notes(self) -> list[tuple[str, str]]:
        """Names of containers and what keeps each from what was asked."""
        found = [(c.name, self.note(c.id)) for c in self.board.containers.values()]
        return sorted((name, note) for name, note in found if note)

    # -- answering -----------------------------------------------------------------------------

    def settle(self) -> None:
        """Ship what was written, then answer every request whose promise is kept."""
        fresh = self.board.take_fresh()
        if fresh:
            self.replication.ship(fresh)
        for waiter in list(self._waiters.open.values()):
            answer = self._answer(waiter)
            if answer is not None:
                self._waiters.close(waiter.request, answer)
                self._tell(waiter.origin, waiter.request, answer)

    def _answer(self, waiter: Waiter) -> ops.Answer | None:
        container = self.board.containers.get(waiter.object)
        releasing = self.reconciler.releasing(waiter.object)
        answer = outcome(waiter, container, releasing=releasing)
        if answer is None and waiter.kind == "operate" and container is not None:
            return self._host_lost(container)
        if answer is None or isinstance(answer, ops.Failed):
            return answer
        stamp = acknowledges(waiter, self.board.copy.records.of(waiter.object))
        return answer if self.replication.durable(stamp) else None

    def _host_lost(self, container: Container) -> ops.Failed | None:
        placement = container.placement
        if placement is None or self._members.is_present(placement.node):
            return None
        if container.spec is not None and container.spec.movable:
            return None
        name = self._members.name(placement.node)
        return ops.Failed(503, f"host {name} of container {container.name} became unreachable")

    def dismiss(self, to: str) -> None:
        """Another node serves from now on: send whoever waits there."""
        for waiter in self._waiters.open.values():
            self._context.send(waiter.origin, m.Redirect(waiter.request, to))
        self._waiters.open.clear()


def _wish_of(container: Container, request: str, operation: ops.Operate) -> Wish:
    fatal = operation.signal.upper() in _KILLS
    if operation.action in ("start", "restart"):
        state = "running"
    elif operation.action == "stop" or fatal:
        state = "stopped"
    else:
        state = container.wish.state
    return Wish(state, operation.action, operation.timeout, operation.signal, request)  # type: ignore[arg-type]


def _summary(view: ContainerView, container: Container, explained: str) -> str:
    placement = container.placement
    if placement is None:
        return explained
    since = f"on {view.node_name}: {placement.reason}"
    pins = [reason for _, reason in view.spec.placement.pins]
    if pins:
        since += f"; pinned by {', '.join(pins)}"
    return f"{since}; {view.note}" if view.note else since
