"""The keeper's copies: what each still has to confirm, and what may be acknowledged.

A batch is acknowledged when it is on this disk and on that of one more copy, or at once when no
other member is present. Batches are named by stamps, so that no confirmation of an earlier life
of the keeper counts for a batch of this one.
"""

from shoal.core.context import MILLISECOND, SECOND, Context
from shoal.core.keeper.copy import Copy, batches
from shoal.core.keeper.records import Record
from shoal.core.messages import Replicate, Replicated, SyncEqual

RESEND_AFTER = 500 * MILLISECOND
SYNC_EVERY = 10 * SECOND
#: Batches that wait for slow copies after they were acknowledged; anti-entropy does the rest.
_TRAILING = 256


class Batch:
    """Records on their way: the copies that have not confirmed them yet. `first` is the lowest
    stamp among them."""

    __slots__ = ("first", "missing", "records", "sent")

    def __init__(self, records: tuple[Record, ...], missing: set[str], sent: int) -> None:
        self.first = min((record.stamp for record in records), default=0)
        self.records = records
        self.missing = missing
        self.sent = sent


class Replication:
    """Batches of one serving keeper, and the nodes that they go to."""

    def __init__(self, context: Context, copy: Copy) -> None:
        self._context = context
        self._copy = copy
        self._batches: dict[int, Batch] = {}
        self._open: set[int] = set()  # batches that nobody else has confirmed
        self._equal: set[str] = set()
        self.targets: list[str] = []

    def retarget(self, targets: list[str]) -> None:
        """The copies are these nodes now (without this one)."""
        if targets == self.targets:
            return
        fresh = [node for node in targets if node not in self.targets]
        self.targets = targets
        self._equal &= set(targets)
        for batch in self._batches.values():
            batch.missing &= set(targets)
        for node in fresh:
            self._context.send(node, self._copy.digest())
            for stamp in self._open:
                batch = self._batches[stamp]
                batch.missing.add(node)
                self._context.send(node, Replicate(self._copy.vcluster, stamp, batch.records))
        if not targets:
            self._open.clear()
        self._trim()

    def ship(self, records: list[Record]) -> None:
        """Send records to the copies."""
        if not self.targets:
            return
        for part in batches(records):
            stamp = self._context.stamp()
            self._batches[stamp] = Batch(part, set(self.targets), self._context.now.mono)
            self._open.add(stamp)
            for node in self.targets:
                self._context.send(node, Replicate(self._copy.vcluster, stamp, part))

    def durable(self, stamp: int) -> bool:
        """Whether every record up to this stamp is on a second disk, or there is none."""
        return all(self._batches[batch].first > stamp for batch in self._open)

    def confirmed(self, sender: str, message: Replicated) -> bool:
        """A copy has a batch. Answers whether more may be acknowledged now."""
        batch = self._batches.get(message.batch)
        if batch is None or sender not in batch.missing:
            return False
        batch.missing.discard(sender)
        was_open = message.batch in self._open
        self._open.discard(message.batch)
        if not batch.missing:
            del self._batches[message.batch]
        return was_open

    def equal(self, sender: str, message: SyncEqual) -> None:
        """A copy says that it has the same records."""
        if sender in self.targets and message.total == self._copy.records.total():
            self._equal.add(sender)

    @property
    def settled(self) -> bool:
        """Whether every current copy equals this one: it was seen to once, and has confirmed
        everything since."""
        return self._equal >= set(self.targets) and not any(
            batch.missing for batch in self._batches.values()
        )

    def dirty(self) -> None:
        """Records came from elsewhere: bring the copies level."""
        self._equal.clear()
        for node in self.targets:
            self._context.send(node, self._copy.digest())

    def synchronise(self) -> None:
        """Compare with every copy; runs every SYNC_EVERY."""
        for node in self.targets:
            self._context.send(node, self._copy.digest())

    def resend(self) -> None:
        """Send again what was not confirmed for RESEND_AFTER."""
        now = self._context.now.mono
        for stamp, batch in self._batches.items():
            if now - batch.sent >= RESEND_AFTER:
                batch.sent = now
                for node in sorted(batch.missing):
                    self._context.send(node, Replicate(self._copy.vcluster, stamp, batch.records))
        self._trim()

    def _trim(self) -> None:
        closed = [stamp for stamp in self._batches if stamp not in self._open]
        surplus = closed[: max(0, len(closed) - _TRAILING)]
        for stamp in surplus + [s for s in closed if not self._batches[s].missing]:
            batch = self._batches.pop(stamp, None)
            if batch is not None:
                self._equal -= batch.missing
