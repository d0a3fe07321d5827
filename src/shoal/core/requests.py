"""Operations on their way from this node to keepers: asked, redirected, repeated, answered.

A read that its keeper leaves unanswered is put to all copies; the freshest answer counts and
says that it is stale.
"""

import msgspec

from shoal.core import messages as m
from shoal.core.context import MILLISECOND, SECOND, Context
from shoal.core.effects import Reply
from shoal.core.events import Request
from shoal.core.keeper.reads import READS
from shoal.core.members import Members
from shoal.model import ops

RETRY_AFTER = SECOND
#: A read waits so long for the keeper, and then so long for copies.
COPIES_AFTER = 300 * MILLISECOND
COPIES_FOR = 300 * MILLISECOND
_HOPS = 4


class Pending(msgspec.Struct):
    """A request that has no answer yet."""

    request: Request
    asked: str = ""
    hops: int = 0
    stale: m.Told | None = None


class Requests:
    """This node's requests in work."""

    def __init__(self, context: Context, members: Members) -> None:
        self._context = context
        self._members = members
        self._open: dict[str, Pending] = {}

    def begin(self, request: Request) -> None:
        pending = self._open[request.request] = Pending(request)
        wait = max(0, request.deadline - self._context.now.mono)
        self._context.after(wait, "deadline", request.request)
        if isinstance(request.operation, READS):
            self._context.after(COPIES_AFTER, "ask-copies", request.request)
        self._ask(pending)

    def _ask(self, pending: Pending) -> None:
        pending.hops = 0
        request = pending.request
        self._context.after(RETRY_AFTER, "ask-again", request.request)
        self._put_to(pending, self._members.ring.owner(request.vcluster) or "")

    def _put_to(self, pending: Pending, node: str) -> None:
        pending.asked = node
        request = pending.request
        ask = m.Ask(request.request, request.vcluster, request.operation)
        self._context.send(node, ask)

    def ask_again(self, key: str) -> None:
        """Timer."""
        pending = self._open.get(key)
        if pending is not None:
            self._ask(pending)

    def redirected(self, message: m.Redirect) -> None:
        pending = self._open.get(message.request)
        if pending is None or pending.hops >= _HOPS or message.to == pending.asked:
            return  # the timer asks again, by then views may agree
        pending.hops += 1
        self._put_to(pending, message.to)

    def peer_gone(self, node: str) -> None:
        """Do not wait for an answer of a node that is gone."""
        for pending in self._open.values():
            if pending.asked == node:
                owner = self._members.ring.owner(pending.request.vcluster) or ""
                self._put_to(pending, owner)

    def ask_copies(self, key: str) -> None:
        """Timer: the keeper did not answer a read."""
        pending = self._open.get(key)
        if pending is None:
            return
        request = pending.request
        self._context.after(COPIES_FOR, "take-stale", key)
        ask = m.Ask(request.request, request.vcluster, request.operation, stale=True)
        for node in self._members.present():
            self._context.send(node, ask)

    def take_stale(self, key: str) -> None:
        """Timer: the freshest answer of the copies has to do, if there was one."""
        pending = self._open.get(key)
        if pending is not None and pending.stale is not None:
            self._reply(pending, _marked(pending.stale.answer))

    def told(self, message: m.Told) -> None:
        pending = self._open.get(message.request)
        if pending is None:
            return
        if not message.stale:
            self._reply(pending, message.answer)
        elif isinstance(message.answer, ops.Failed):
            pass  # what a copy does not know may exist all the same: only the keeper says no
        elif pending.stale is None or message.as_of > pending.stale.as_of:
            pending.stale = message

    def deadline(self, key: str) -> None:
        """Timer: nobody could serve it in time."""
        pending = self._open.get(key)
        if pending is None:
            return
        name = self._members.name(pending.asked) if pending.asked else "nobody"
        text = f"no answer in time from the keeper of this vcluster (asked {name}): try again"
        self._reply(pending, ops.Failed(503, text))

    def _reply(self, pending: Pending, answer: ops.Answer) -> None:
        self._open.pop(pending.request.request, None)
        self._context.emit(Reply(pending.request.token, answer))


def _marked(answer: ops.Answer) -> ops.Answer:
    """The answer, saying that it is stale."""
    if isinstance(answer, ops.View):
        return ops.View(msgspec.structs.replace(answer.container, stale=True))
    if isinstance(answer, ops.Listing):
        views = tuple(msgspec.structs.replace(view, stale=True) for view in answer.containers)
        return ops.Listing(views, stale=True, partial=answer.partial)
    return answer
