"""Becoming keeper: first merge what every reachable copy and host has, then serve.

Whoever keeps until then goes on; two keepers at once are harmless because everything merges.
"""

from typing import Literal

from shoal.core.context import SECOND, Context
from shoal.core.messages import Keeping, Pull, Pulled

#: Longest wait for copies that do not answer and are not known to be dead.
LEARN_AT_MOST = 2 * SECOND
ASK_AGAIN = SECOND // 2

Role = Literal["none", "learning", "serving"]


class Takeover:
    """Whether this node serves a vcluster. `partial`: no complete copy could be reached, so it
    works from what hosts hold."""

    def __init__(self, context: Context, vcluster: str) -> None:
        self.role: Role = "none"
        self.partial = False
        self._context = context
        self._vcluster = vcluster
        self._round = 0
        self._waiting: set[str] = set()
        self._deadline = 0
        self._complete = False

    def begin(self, others: list[str], *, complete: bool) -> None:
        """The ring gives the vcluster to this node: ask everybody present. `complete`: its own
        copy is a complete one. Nothing happens while it learns or serves already."""
        if self.role != "none":
            return
        self.role = "learning"
        self._round = self._context.stamp()
        self._waiting = set(others)
        self._complete = complete
        self._deadline = self._context.now.mono + LEARN_AT_MOST
        self._ask()

    def _ask(self) -> None:
        for node in sorted(self._waiting):
            self._context.send(node, Pull(self._vcluster, self._round))
        self._context.after(ASK_AGAIN, "learn", self._vcluster)

    def again(self) -> None:
        """Timer: repeat the question to those that have not answered."""
        if self.role == "learning" and self._waiting:
            self._ask()

    def heard(self, sender: str, message: Pulled) -> None:
        """Somebody sent what it has; the records were merged by the caller."""
        if self.role == "learning" and message.round == self._round and message.last:
            self._waiting.discard(sender)
            self._complete |= message.complete

    def lost(self, node: str) -> None:
        """A node went away: do not wait for it."""
        self._waiting.discard(node)

    def ready(self) -> bool:
        """Whether learning is over; if so this node serves from now on."""
        if self.role != "learning":
            return False
        if self._waiting and self._context.now.mono < self._deadline:
            return False
        self.role = "serving"
        self.partial = not self._complete
        return True

    def announce(self, others: list[str]) -> None:
        for node in others:
            self._context.send(node, Keeping(self._vcluster))

    def stop(self) -> None:
        """The rightful owner serves, or this node must not serve alone."""
        self.role = "none"
        self._waiting.clear()
