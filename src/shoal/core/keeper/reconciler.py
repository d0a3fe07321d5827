"""Brings hosts and records together: places, replaces, releases, renames.

Level-triggered: `advance` looks at one container's records and sends what its hosts do not
know yet. Everything sent is repeated until the host's own word shows that it arrived.
"""

import msgspec

from shoal.core import messages as m
from shoal.core.candidates import Candidates
from shoal.core.clock import stamp_of
from shoal.core.context import SECOND, Context
from shoal.core.keeper.board import Board
from shoal.core.keeper.images import Images
from shoal.core.keeper.objects import Claim, Container, Life, Placement
from shoal.core.keeper.records import NAME, Record
from shoal.core.members import ENGINE_GRACE, Members
from shoal.core.placement import ClusterView, Explanation, explain, rank, request_of
from shoal.model.ids import Generation, short
from shoal.model.resources import Load

#: Replacements in one nudge: a storm is worked off, not answered at once.
REPLACEMENTS_AT_ONCE = 20
#: A create that nobody asks for any more is undone after this.
INTEREST_FOR = 30 * SECOND
#: How long a create waits for an engine that is away: nothing runs yet that could be doubled.
CREATE_GRACE = 5 * SECOND
#: A refused or failed node is tried again for a container after this.
EXCLUDED_FOR = 10 * SECOND
FIRST_PLACEMENT = "first placement"

_NO_GENERATION = Generation(0, 0, "")


class Attempt(msgspec.Struct):
    """What this keeper remembers of a container while it cares for it. `excluded` maps nodes to
    why they are left out, until `excluded_until`; `interest` is when a client last asked for
    the create; `releasing` are hosts that have not confirmed; `contested` is the placement that
    an older instance contests; times are monotonic ns."""

    excluded: dict[str, str] = {}
    excluded_until: int = 0
    interest: int = 0
    releasing: set[str] = set()
    contested: Generation | None = None
    contested_since: int = 0
    note: str = ""


class Reconciler:
    """Works on the board of one serving keeper."""

    def __init__(
        self,
        context: Context,
        members: Members,
        board: Board,
        view: ClusterView,
        candidates: Candidates,
    ) -> None:
        self._context = context
        self._members = members
        self._board = board
        self._view = view
        self._candidates = candidates
        self._attempts: dict[str, Attempt] = {}
        self._restless = set(board.containers)
        self._replaced = 0
        self._vcluster = board.copy.vcluster
        self._images = Images(context, members)

    def attempt(self, object_id: str) -> Attempt:
        found = self._attempts.get(object_id)
        if found is None:
            found = self._attempts[object_id] = Attempt(interest=self._context.now.mono)
        return found

    def note(self, object_id: str) -> str:
        found = self._attempts.get(object_id)
        return found.note if found is not None else ""

    # -- advancing -----------------------------------------------------------------------------

    def nudge(self) -> None:
        """Look again at everything that is not settled; runs every half second."""
        self._replaced = 0
        for object_id in sorted(self._restless):
            self.advance(object_id)
        self._images.spread(self._board.movable())

    def host_gone(self, node: str) -> None:
        """A host vanished: look at all it had."""
        self._replaced = 0
        for object_id in self._board.hosted(node):
            self._restless.add(object_id)
            self.advance(object_id)

    def advance(self, object_id: str) -> None:
        """Send what the container's hosts do not know; place it if it has no host."""
        container = self._board.containers.get(object_id)
        if container is None:
            return
        self._restless.add(object_id)
        if container.tombstone is not None or container.life.state == "undone":
            self._release_everywhere(container)
        elif container.spec is not None:
            self._advance_living(container)

    def _advance_living(self, container: Container) -> None:
        if container.life.state == "creating" and self._expired(container):
            return
        placement = container.placement
        if placement is None:
            self.place(container, FIRST_PLACEMENT)
            return
        new = container.life.state == "creating"
        grace = CREATE_GRACE if new else ENGINE_GRACE
        gone, why_not = self._members.gone(placement.node, engine_grace=grace)
        if gone or why_not:
            self._without_host(container, gone=gone, why_not=why_not)
            return
        if not self._members.is_present(placement.node):
            return
        self.attempt(container.id).note = ""
        if self._failed_to_create(container):
            return
        if self._settled(container):
            self._restless.discard(container.id)
        else:
            self.assign(container, placement)

    def _settled(self, container: Container) -> bool:
        reported = container.reported
        return (
            container.life.state == "created"
            and reported is not None
            and reported.phase != "creating"
            and reported.done >= container.wished
        )

    def assign(self, container: Container, placement: Placement) -> None:
        """Send its host all records of it."""
        records = self._board.copy.records.of(container.id)
        message = m.Assign(self._vcluster, records, placement.replacing)
        self._context.send(placement.node, message)

    def tell_host(self, container: Container) -> None:
        """The host must know newer records of it."""
        placement = container.placement
        if placement is not None and container.living and self._members.is_present(placement.node):
            self._restless.add(container.id)
            self.assign(container, placement)

    # -- placing -------------------------------------------------------------------------------

    def ready(self, container: Container, *, replacing: bool = False) -> bool:
        """Whether `choose` can choose now. If not, candidates are being looked for, and `advance`
        goes on when they are found."""
        assert container.spec is not None
        request = request_of(container.spec, replacing=replacing)
        return self._candidates.ready(container.id, request)

    def choose(self, container: Container, *, replacing: bool = False) -> str | None:
        """The node that placement wants for it; of those that may be had by now."""
        assert container.spec is not None
        attempt = self.attempt(container.id)
        if attempt.excluded and self._context.now.mono >= attempt.excluded_until:
            attempt.excluded.clear()
        request = request_of(container.spec, replacing=replacing)
        first = self._candidates.nodes(container.id)
        nodes = rank(
            request, self._view, container.id, excluded=attempt.excluded, first=first, limit=1
        )
        return nodes[0] if nodes else None

    def explain(self, container: Container, *, replacing: bool = False) -> Explanation:
        assert container.spec is not None
        request = request_of(container.spec, replacing=replacing)
        excluded = self.attempt(container.id).excluded
        placement = container.placement
        host = placement.node if placement is not None and container.reported is not None else ""
        return explain(request, self._view, key=container.id, excluded=excluded, hosted_by=host)

    def place(self, container: Container, reason: str, *, replacing: bool = False) -> bool:
        """Give the container a new generation on the best node. False if there is none, or none
        yet."""
        assert container.spec is not None
        if not self._images.holders(container.spec.image_id):
            self._without_image(container, container.spec.image)
            return False
        if not self.ready(container, replacing=replacing):
            return False
        node = self.choose(container, replacing=replacing)
        if node is None:
            self._nowhere(container, replacing=replacing)
            return False
        if node in self._candidates.nodes(container.id):
            reason = f"{reason}, found by {self._candidates.name}"
        self.assign_to(container, node, reason, replacing=replacing)
        return True

    def assign_to(
        self, container: Container, node: str, reason: str, *, replacing: bool = False
    ) -> None:
        """A new generation on this node."""
        assert container.spec is not None
        last = container.generation or _NO_GENERATION
        generation = Generation(last.counter + 1, self._context.stamp(), self._context.node_id)
        now = self._context.now.wall
        placement = Placement(node, generation, reason, now, replacing)
        self._board.place(container, placement)
        needs = container.spec.resources
        if node in self._view:  # a host that comes back may be unknown to a new keeper
            self._view.assume(container.id, node, needs.with_defaults() if replacing else needs)
        self.attempt(container.id).note = ""
        self.advance(container.id)

    def _nowhere(self, container: Container, *, replacing: bool) -> None:
        summary = self.explain(container, replacing=replacing).summary
        if container.life.state == "creating":
            self.undo(container, 409, summary)
        else:
            self.attempt(container.id).note = f"waits for room: {summary}"

    def _without_image(self, container: Container, image: str) -> None:
        if container.life.state == "creating":
            self.undo(container, 404, f"No such image: {image}")
        else:
            self.attempt(container.id).note = f"waits: no host that is there has image {image}"

    def exclude(self, container: Container, node: str, reason: str) -> None:
        """Leave a node out for a while."""
        attempt = self.attempt(container.id)
        attempt.excluded[node] = reason
        attempt.excluded_until = self._context.now.mono + EXCLUDED_FOR

    def refused(self, sender: str, message: m.Refused) -> None:
        """A host did not admit a generation: try the next one."""
        self._view.update_load(sender, message.load)
        container = self._board.containers.get(message.id)
        if container is None or not container.living:
            return
        if container.generation == message.generation:
            self._view.release(container.id)
            self.exclude(container, sender, f"refused: {message.reason}")
            self._elsewhere(container, f"{self._members.name(sender)} refused: {message.reason}")

    def load_told(self, sender: str, container: Container, load: Load) -> None:
        """A host's books as they are with this container in them."""
        self._view.update_load(sender, load)
        self._view.release(container.id)

    def _elsewhere(self, container: Container, reason: str) -> None:
        placement = container.placement
        replacing = placement is not None and placement.replacing
        ready = self.ready(container, replacing=replacing)
        if replacing and ready and self.choose(container, replacing=True) is None:
            self._nowhere(container, replacing=True)
            return
        self.place(container, reason, replacing=replacing)

    def _failed_to_create(self, container: Container) -> bool:
        """The host's engine could not create it: undo, or try elsewhere. True if handled."""
        reported, placement = container.reported, container.placement
        if reported is None or reported.phase != "creating" or not reported.error_status:
            return False
        if placement is None:
            return False
        if container.life.state == "creating":
            self.undo(container, reported.error_status, reported.error)
            return True
        attempt = self.attempt(container.id)
        if placement.node not in attempt.excluded:
            self.exclude(container, placement.node, f"its engine failed: {reported.error}")
        if not self.ready(container, replacing=placement.replacing):
            return True
        if self.choose(container, replacing=placement.replacing) is None:
            attempt.note = f"not created: {reported.error}"
            return True
        self.place(container, f"engine failed: {reported.error}", replacing=placement.replacing)
        return True

    # -- undoing and releasing -----------------------------------------------------------------

    def undo(self, container: Container, status: int, error: str) -> None:
        """End a create that did not come about."""
        self._view.release(container.id)
        self._board.live(container, Life("undone", status=status, error=error))
        self.advance(container.id)

    def _expired(self, container: Container) -> bool:
        """Nobody asks for the create any more: the host arbitrates. True if handled."""
        idle = self._context.now.mono - self.attempt(container.id).interest
        placement = container.placement
        if idle < INTEREST_FOR:
            return False
        if placement is None or not self._members.is_present(placement.node):
            self.undo(container, 503, "nobody waited for the create any more")
            return True
        message = m.Release(self._vcluster, container.id, placement.generation, cancel=True)
        self._context.send(placement.node, message)
        return True

    def _release_everywhere(self, container: Container) -> None:
        """Have every host that may hold it give it up; settled when all present ones have."""
        attempt = self.attempt(container.id)
        waiting = {node for node in attempt.releasing if self._members.is_present(node)}
        for placement in container.placements:
            if self._members.is_present(placement.node):
                waiting.add(placement.node)
        attempt.releasing = waiting
        order = self.farewell(container, _NO_GENERATION)
        for node in sorted(waiting):
            self._context.send(node, order)
        if not waiting:
            self._restless.discard(container.id)

    def farewell(self, container: Container, held: Generation) -> m.Release:
        """The order that ends a container which does not live. Without a tombstone the create
        was given up, and the host arbitrates: one that its engine has is a create that succeeded.
        """
        generation = max(held, container.generation or _NO_GENERATION)
        grave = container.tombstone
        return m.Release(self._vcluster, container.id, generation, grave, cancel=grave is None)

    def bury(self, container: Container, *, volumes: bool, request: str = "") -> Record:
        """Remove a container for good."""
        attempt = self.attempt(container.id)
        attempt.releasing = {placement.node for placement in container.placements}
        self._view.release(container.id)
        grave = self._board.bury(container, volumes=volumes, request=request)
        self.advance(container.id)
        return grave

    def releasing(self, object_id: str) -> bool:
        """Whether a host that is there has still to confirm."""
        attempt = self._attempts.get(object_id)
        if attempt is None:
            return False
        return any(self._members.is_present(node) for node in attempt.releasing)

    def released(self, sender: str, message: m.Released) -> None:
        """A host holds nothing of it any more."""
        if message.load is not None:
            self._view.update_load(sender, message.load)
        container = self._board.containers.get(message.id)
        if container is None:
            return
        attempt = self.attempt(message.id)
        attempt.releasing.discard(sender)
        if not container.living:
            if not attempt.releasing:
                self._forget(container)
            return
        placement = container.placement
        if placement is None or placement.node != sender:
            return
        if placement.generation > message.generation:
            return
        if container.life.state == "creating" and self._cancelled(container):
            self.undo(container, 503, "nobody waited for the create any more")
        elif container.spec is not None and container.spec.movable:
            self.place(container, "given up by its host")
        else:
            self.assign_to(container, sender, "given up by its host")

    def _cancelled(self, container: Container) -> bool:
        idle = self._context.now.mono - self.attempt(container.id).interest
        return idle >= INTEREST_FOR

    def _forget(self, container: Container) -> None:
        self._restless.discard(container.id)
        self._attempts.pop(container.id, None)

    # -- hosts that are gone -------------------------------------------------------------------

    def _without_host(self, container: Container, *, gone: bool, why_not: str) -> None:
        attempt = self.attempt(container.id)
        if not gone:
            attempt.note = why_not
            return
        assert container.spec is not None
        if container.life.state == "creating":
            self.place(container, "its host or engine went away", replacing=False)
        elif not container.to_run_elsewhere:
            self._restless.discard(container.id)
        elif self._replaced < REPLACEMENTS_AT_ONCE:
            placement = container.placement
            assert placement is not None
            if self.place(
                container,
                f"host {self._members.name(placement.node)} unreachable",
                replacing=True,
            ):
                self._replaced += 1

    # -- names ---------------------------------------------------------------------------------

    def settle_names(self) -> None:
        """Rename all but the earliest living claimant of each name."""
        for name in self._board.duplicates():
            for loser in self._board.claimants(name)[1:]:
                claimed = loser.claim.claimed if loser.claim else stamp_of(0)
                renamed = Claim(f"{name}-{loser.id[:6]}", claimed)
                self._board.write(loser.id, NAME, renamed)
                self._context.info("renamed", container=short(loser.id), to=renamed.name)
                self.tell_host(self._board.containers[loser.id])
