"""Instances that hosts report, weighed against the placements that the records name.

A host that was away may hold an older instance of a container that was replaced meanwhile. Which of
the two stays is decided here; the host that has to give its own up is told only when nothing that
runs is lost by it.
"""

from shoal.core import messages as m
from shoal.core.context import SECOND, Context
from shoal.core.keeper.board import Board
from shoal.core.keeper.objects import Container, Placement
from shoal.core.keeper.reconciler import Reconciler
from shoal.core.members import Members
from shoal.core.placement import ClusterView
from shoal.model.container import Status

#: How long a placement has, before an older instance that runs is preferred to waiting for it.
SETTLE_WITHIN = 15 * SECOND
#: The same when the older instance's host is drained: it goes on meanwhile, and the new host may
#: have a large image to fetch.
DRAIN_WITHIN = 300 * SECOND

#: How far an instance has got: of two the further one is worth more.
_NOTHING, _MADE, _HAS_RUN, _RUNS = range(4)


class Rivals:
    """Reads the reports of hosts for one serving keeper; orders go through its reconciler."""

    def __init__(
        self,
        context: Context,
        members: Members,
        board: Board,
        view: ClusterView,
        reconciler: Reconciler,
    ) -> None:
        self._context = context
        self._members = members
        self._board = board
        self._view = view
        self._reconciler = reconciler
        self._vcluster = board.copy.vcluster

    def reported(self, sender: str, message: m.Report) -> None:
        """A host told all that it holds: adopt, bring up to date, or supersede."""
        self._view.update_load(sender, message.load)
        held = {one.id: one for one in message.held}
        superseded: list[str] = []
        wanted: list[str] = []
        for one in message.held:
            self._weigh(sender, one, superseded, wanted)
        for object_id in self._board.hosted(sender):
            if object_id not in held:
                self._reconciler.tell_host(self._board.containers[object_id])
        if wanted:
            self._context.send(sender, m.Want(self._vcluster, tuple(wanted)))
        self._context.send(sender, m.Reported(self._vcluster, tuple(superseded)))

    def _weigh(self, sender: str, held: m.Held, superseded: list[str], wanted: list[str]) -> None:
        container = self._board.containers.get(held.id)
        if container is None or (container.living and not container.placements):
            wanted.append(held.id)
            return
        if not container.living:
            superseded.append(held.id)
            self._context.send(sender, self._reconciler.farewell(container, held.generation))
            return
        placement = container.placement
        assert placement is not None
        if _knows_more(held, container, placement):
            wanted.append(held.id)
        elif placement.node == sender:
            if held.generation < placement.generation or held.stamp < container.ordered:
                self._reconciler.assign(container, placement)
            else:  # its wish may be older than its placement, if two keepers wrote them
                self._reconciler.advance(held.id)
        elif not self._adopt_back(container, placement, sender, held):
            superseded.append(held.id)
            self._supersede(container, placement, sender, held)

    def _adopt_back(
        self, container: Container, placement: Placement, sender: str, held: m.Held
    ) -> bool:
        """Name an older instance again if it is the one to keep. True if done."""
        current = container.reported
        if not held.created or container.wish.state != "running":
            return False
        rank = self._rank(current, placement)
        drained = self._members.is_draining(sender)
        if rank == _RUNS:
            assert current is not None
            keep = held.running and held.started < current.started and not drained
        else:
            # After its own boot a keeper has not heard of every host yet: not present is not gone.
            gone, _ = self._members.gone(placement.node)
            failed = current is not None and current.error_status != 0
            # One that refused has room for none: what runs must not wait for it.
            refused = drained and placement.node in self._reconciler.attempt(held.id).excluded
            patience = DRAIN_WITHIN if drained else SETTLE_WITHIN
            late = gone or failed or refused or self._waited(placement, held.id) > patience
            keep = late and _rank_of(held) > rank
        if keep:
            reason = f"kept on {self._members.name(sender)}, where it runs"
            self._reconciler.assign_to(container, sender, reason)
        return keep

    def _waited(self, placement: Placement, object_id: str) -> int:
        """How long (ns) this keeper has known of a placement that an older instance contests."""
        attempt = self._reconciler.attempt(object_id)
        if attempt.contested != placement.generation:
            attempt.contested = placement.generation
            attempt.contested_since = self._context.now.mono
        return self._context.now.mono - attempt.contested_since

    def _supersede(
        self, container: Container, placement: Placement, sender: str, held: m.Held
    ) -> None:
        """Have an older instance given up, if the named host has got as far with its own, or
        nobody wants it to run."""
        rank = self._rank(container.reported, placement)
        wished = container.wish.state == "running"
        if rank >= _rank_of(held) or not wished:
            # It may have been started since it was reported, by its host or by a user.
            order = m.Release(
                self._vcluster,
                held.id,
                held.generation,
                idle=wished and rank < _RUNS,
                wished=container.wished,
            )
            self._context.send(sender, order)

    def _rank(self, status: Status | None, placement: Placement) -> int:
        """How far the named instance has got; one on an absent host counts as nothing."""
        if status is None or not self._members.is_present(placement.node):
            return _NOTHING
        made = status.phase != "creating"
        return _rank(made=made, started=status.started, running=status.phase == "running")


def _rank(*, made: bool, started: int, running: bool) -> int:
    if running:
        return _RUNS
    return _NOTHING if not made else _HAS_RUN if started else _MADE


def _rank_of(held: m.Held) -> int:
    return _rank(made=held.created, started=held.started, running=held.running)


def _knows_more(held: m.Held, container: Container, placement: Placement) -> bool:
    """Whether the host's records have to be read before anything is decided. A wish counts even
    under an older generation: an instance that a user has just started must not be given up."""
    if held.generation != placement.generation:
        return held.generation > placement.generation or held.wished > container.wished
    return held.stamp > container.ordered
