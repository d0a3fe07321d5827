"""One vcluster on one node: its copy, whether the node keeps it, and the hand-over between."""

from collections.abc import Callable, Sequence

from shoal.core import messages as m
from shoal.core.candidates import Candidates
from shoal.core.context import MILLISECOND, Context
from shoal.core.keeper.board import Board
from shoal.core.keeper.copy import Copy, batches
from shoal.core.keeper.keeper import Keeper
from shoal.core.keeper.reads import answer_read
from shoal.core.keeper.records import Record
from shoal.core.keeper.replication import SYNC_EVERY
from shoal.core.keeper.takeover import Takeover
from shoal.core.members import Members
from shoal.core.placement import ClusterView
from shoal.model import ops
from shoal.model.errors import ShoalError

NUDGE_EVERY = 500 * MILLISECOND
_QUEUED_AT_MOST = 1_000


class Vcluster:
    """`ledger` gives the records that this node's own host agent has of the vcluster."""

    def __init__(
        self,
        context: Context,
        members: Members,
        view: ClusterView,
        candidates: Candidates,
        ledger: Callable[[str], list[Record]],
        vcluster: str,
        copies: int,
    ) -> None:
        self.id = vcluster
        self.copy = Copy(context, vcluster)
        self.keeper: Keeper | None = None
        self.takeover = Takeover(context, vcluster)
        self._context = context
        self._members = members
        self._view = view
        self._candidates = candidates
        self._ledger = ledger
        self._copies = copies
        self._queue: list[tuple[str, m.Ask]] = []
        self._reader: Board | None = None
        context.after(SYNC_EVERY, "sync", vcluster)
        context.after(NUDGE_EVERY, "nudge", vcluster)

    # -- who keeps it --------------------------------------------------------------------------

    @property
    def _targets(self) -> list[str]:
        """The nodes that hold copies, without this one."""
        return [node for node in self.holders() if node != self._context.node_id]

    @property
    def _owner(self) -> str:
        return self._members.ring.owner(self.id) or self._context.node_id

    def ring_changed(self) -> None:
        """Members came or went: see who owns the vcluster and where its copies are."""
        if self._owner == self._context.node_id:
            self.takeover.begin(self._members.to_be_asked(), complete=self.copy.complete)
            self._try_serving()
        elif self.takeover.role == "learning":
            self.takeover.stop()
            self._redirect_queue()
        # A keeper that the ring has passed over goes on until the rightful one serves.
        if self.keeper is not None:
            self.keeper.retarget(self._targets)
            self._ask_for_relief()

    def _ask_for_relief(self) -> None:
        """A keeper by its digest asks the rightful one whether it serves already."""
        if self._owner != self._context.node_id:
            self._context.send(self._owner, self.copy.digest())

    def _try_serving(self) -> None:
        if not self.takeover.ready():
            return
        self.copy.absorb(self._ledger(self.id))
        self.copy.mark(complete=not self.takeover.partial)
        self._reader = None
        self.keeper = Keeper(
            self._context,
            self._members,
            self.copy,
            self._view,
            self._candidates,
            partial=self.takeover.partial,
        )
        self._context.info("keeper", vcluster=self.id, partial=self.takeover.partial)
        self.takeover.announce(self._members.present())
        self.keeper.retarget(self._targets)
        self.keeper.begin()
        queue, self._queue = self._queue, []
        for sender, ask in queue:
            self.keeper.ask(sender, ask)

    def _redirect_queue(self) -> None:
        queue, self._queue = self._queue, []
        for sender, ask in queue:
            self._context.send(sender, m.Redirect(ask.request, self._owner))

    def peer_gone(self, node: str) -> None:
        self.takeover.lost(node)
        self.ring_changed()
        if self.keeper is not None:
            self.keeper.host_gone(node)

    def heard_keeping(self, sender: str) -> None:
        """Another node serves. If the ring gives it the vcluster, this one does not any more."""
        if sender in (self._context.node_id, "") or sender != self._owner:
            return
        if self.keeper is not None:
            self.keeper.dismiss(sender)
            self.keeper = None
            self._context.info("handed over", vcluster=self.id, to=sender)
            self._context.send(sender, self.copy.digest())
        self.takeover.stop()

    # -- operations ----------------------------------------------------------------------------

    def ask(self, sender: str, message: m.Ask) -> None:
        if self.keeper is not None:
            self.keeper.ask(sender, message)
        elif message.stale:
            self._answer_stale(sender, message)
        elif self.takeover.role == "learning" and len(self._queue) < _QUEUED_AT_MOST:
            self._queue.append((sender, message))
        else:
            self._context.send(sender, m.Redirect(message.request, self._owner))

    def _answer_stale(self, sender: str, message: m.Ask) -> None:
        if not self.copy.held:
            return
        if self._reader is None:
            self._reader = Board(self.copy)
        answer: ops.Answer
        try:
            answer = answer_read(
                self._reader, self._members, message.operation, partial=not self.copy.complete
            )
        except ShoalError as error:
            answer = ops.Failed(error.status, error.text)
        told = m.Told(message.request, answer, stale=True, as_of=self.copy.records.latest)
        self._context.send(sender, told)

    # -- learning ------------------------------------------------------------------------------

    def pull(self, sender: str, message: m.Pull) -> None:
        """Somebody is about to keep it: send all that this node has, as copy and as host."""
        everything = [*self.copy.records, *self._ledger(self.id)]
        *first, last = batches(everything)
        for part in first:
            self._send_pulled(sender, message, part, last=False)
        self._send_pulled(sender, message, last, last=True)

    def _send_pulled(
        self, to: str, message: m.Pull, records: tuple[Record, ...], *, last: bool
    ) -> None:
        pulled = m.Pulled(self.id, message.round, records, self.copy.complete, last)
        self._context.send(to, pulled)

    def pulled(self, sender: str, message: m.Pulled) -> None:
        self.merge(message.records)
        self.takeover.heard(sender, message)
        self._try_serving()

    def learn_again(self) -> None:
        """Timer."""
        self.takeover.again()
        self._try_serving()

    # -- copies --------------------------------------------------------------------------------

    def merge(self, records: Sequence[Record]) -> None:
        """Take in records from elsewhere, as keeper or as copy."""
        if not records:
            return
        if self.keeper is not None:
            self.keeper.merged(tuple(records))
            return
        changed = self.copy.absorb(records)
        if self._reader is not None:
            self._reader.refresh(sorted(changed))

    def replicate(self, sender: str, message: m.Replicate) -> None:
        self.merge(message.records)
        self._hold()
        self._context.send(sender, m.Replicated(self.id, message.batch))

    def _hold(self) -> None:
        if not self.copy.held:
            self.copy.mark(complete=False)

    def digest(self, sender: str, message: m.SyncDigest) -> None:
        settled = self.keeper is not None and self.keeper.replication.settled
        if self.keeper is not None:
            self._context.send(sender, m.Keeping(self.id))
        if self.copy.compare(sender, message, settled=settled) and message.complete:
            self._completed()
        elif sender == self._owner:
            self._hold()

    def _completed(self) -> None:
        """This copy equals a complete one."""
        self.copy.mark(complete=True)
        if self.keeper is not None:
            self.keeper.partial = False

    def equal(self, sender: str, message: m.SyncEqual) -> None:
        if message.total != self.copy.records.total():
            return
        if message.complete:
            self._completed()
        if self.keeper is not None:
            self.keeper.replication.equal(sender, message)
        else:
            self._relieved(sender, settled=message.settled)

    def keys(self, sender: str, message: m.SyncKeys) -> None:
        """The sender has other versions. Records change all the time, so a former copy need not
        be equal to the keeper's to be dispensable: it is enough that it has nothing to offer."""
        covered = self.keeper is None and self.copy.covered(message)
        if not (covered and self._relieved(sender, settled=message.settled)):
            self.copy.offer(sender, message)

    def _relieved(self, sender: str, *, settled: bool) -> bool:
        """Delete a former copy if the keeper and all current copies have what it has."""
        if not settled or sender != self._owner or self._among_holders():
            return False
        self.copy.forget()
        self._reader = None
        return True

    def holders(self) -> list[str]:
        """The nodes that should hold copies, the keeper first."""
        return self._members.ring.successors(self.id, self._copies)

    def _among_holders(self) -> bool:
        return self._context.node_id in self.holders()

    def records(self, sender: str, message: m.SyncRecords) -> None:
        self.merge(message.records)
        if message.complete:
            self._completed()
        self.copy.supply(sender, message.wanted)

    def nudge(self) -> None:
        """Timer."""
        self._context.after(NUDGE_EVERY, "nudge", self.id)
        if self.keeper is not None:
            self.keeper.nudge()

    def synchronise(self) -> None:
        """Timer: the keeper compares with its copies, a former copy with the keeper."""
        self._context.after(SYNC_EVERY, "sync", self.id)
        if self.keeper is not None:
            self.keeper.replication.synchronise()
            self.takeover.announce(self._targets)
            self._ask_for_relief()
        elif self.copy.held and not self._among_holders():
            self._context.send(self._owner, self.copy.digest())
