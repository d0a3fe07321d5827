"""Moves containers off hosts that an operator drains.

A container gets a new generation on another host, as after the loss of its own; the older instance
goes on until the new one runs, as `rivals` has it. One for which there is no room elsewhere stays.
"""

from shoal.core.context import SECOND, Context
from shoal.core.keeper.board import Board
from shoal.core.keeper.objects import Container
from shoal.core.keeper.reconciler import REPLACEMENTS_AT_ONCE, Reconciler
from shoal.core.members import Members

#: When room is looked for again for a container that had none.
_AGAIN = 5 * SECOND


class Drain:
    """For one serving keeper."""

    def __init__(
        self, context: Context, members: Members, board: Board, reconciler: Reconciler
    ) -> None:
        self._context = context
        self._members = members
        self._board = board
        self._reconciler = reconciler
        self._waiting: dict[str, tuple[int, str]] = {}  # until when (monotonic ns), and why

    def note(self, object_id: str) -> str:
        """What keeps a container on the host that is drained."""
        return self._waiting.get(object_id, (0, ""))[1]

    def nudge(self) -> None:
        """Move a few of those that may move; runs every half second."""
        hosts = self._members.draining()
        if not hosts:
            self._waiting.clear()
            return
        containers = self._board.containers
        due = [containers[one] for host in hosts for one in self._board.hosted(host)]
        due = [container for container in due if _may_leave(container)]
        known = {container.id for container in due}
        self._waiting = {one: wait for one, wait in self._waiting.items() if one in known}
        now = self._context.now.mono
        due = [one for one in due if self._waiting.get(one.id, (now, ""))[0] <= now]
        for container in due[:REPLACEMENTS_AT_ONCE]:
            self._move(container)

    def _move(self, container: Container) -> None:
        placement = container.placement
        assert placement is not None
        if not self._reconciler.ready(container, replacing=True):
            return  # candidates are on their way
        if self._reconciler.choose(container, replacing=True) is None:
            summary = self._reconciler.explain(container, replacing=True).summary
            self._wait(container, f"waits for room elsewhere: {summary}")
            return
        reason = f"drained from {self._members.name(placement.node)}"
        if not self._reconciler.place(container, reason, replacing=True):
            self._wait(container, self._reconciler.note(container.id))

    def _wait(self, container: Container, note: str) -> None:
        self._waiting[container.id] = (self._context.now.mono + _AGAIN, note)


def _may_leave(container: Container) -> bool:
    """Whether it is to run elsewhere, and its host is through with all that was asked of it."""
    reported = container.reported
    settled = reported is not None and reported.done >= container.wished
    return container.visible and container.to_run_elsewhere and settled
