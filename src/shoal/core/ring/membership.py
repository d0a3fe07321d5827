"""Membership of the ring: Chord as Pamela Zave proved it.

"Reasoning about identifier spaces: how to make Chord correct", IEEE TSE 43(12), 2017. The names
of the operations are hers; docs/ring.md says where this differs from the paper and why.
"""

from collections.abc import Sequence

from shoal.core.ring.circle import between, distance
from shoal.core.ring.encounters import Encounters
from shoal.core.ring.fingers import Routes
from shoal.core.ring.messages import Ask, Leaving, Nearer, Notify, State
from shoal.core.ring.port import Port, Timer
from shoal.core.ring.settings import Settings

STABILISE = Timer("ring.stabilise", 0)
HASTE = Timer("ring.haste", 0)


class Query:
    """An Ask under way: whom, and who takes his place as predecessor if he is dead."""

    __slots__ = ("candidate", "node", "token", "tries")

    def __init__(self, node: int, token: int, tries: int, candidate: int) -> None:
        self.node = node
        self.token = token
        self.tries = tries
        self.candidate = candidate


class Membership:
    """One node's place in the ring: its predecessor, its successors and how they are kept right.

    At most two queries are under way: one by stabilising (`asking`: of the first successor or of
    a node that may be a better one) and one by rectifying (`checking`: of the predecessor).
    """

    __slots__ = (
        "asking",
        "checking",
        "encounters",
        "joined",
        "own",
        "port",
        "predecessor",
        "routes",
        "settings",
        "successors",
        "tokens",
        "wanted",
    )

    def __init__(self, port: Port, own: int, settings: Settings) -> None:
        self.port = port
        self.own = own
        self.settings = settings
        self.predecessor: int | None = None
        self.successors: list[int] = []
        self.joined = False
        self.routes = Routes(own, settings.base)
        self.encounters = Encounters(settings.remembered)
        self.asking: Query | None = None
        self.checking: Query | None = None
        self.wanted: int | None = None  # may be a better first successor; to be asked next
        self.tokens = 0

    # stabilise: the first successor is asked for its neighbours

    def stabilise(self) -> None:
        """StabilizeFromSuccessor: ask the first successor, unless a query is under way."""
        if self.asking is not None or not self.joined:
            return
        if self.successors:
            self._ask(self.successors[0])
        else:
            self._search_successor()

    def want(self, node: int) -> None:
        """This node may be our first successor: ask it, now or after the query under way."""
        if not self.joined or not self._fits(node):
            return
        if self.wanted is None or between(self.own, node, self.wanted):
            self.wanted = node
        if self.asking is None:
            self._proceed()

    def _successor_answered(self, node: int, state: State) -> None:
        """Adopt the list of a first successor, old or new; go on to a better one, or be done."""
        if not self.joined:
            return
        head = self.successors[0] if self.successors else None
        if node == head or self._fits(node):
            self._adopt([node, *state.successors])
            if head is not None and head != node and head not in self.successors:
                # Two rings meet: whoever is before the old successor in that ring wants it.
                self.port.send(node, Nearer(head, 1))
            if state.predecessor is not None:
                self.want(state.predecessor)
        if self.asking is None:
            known = self.successors and self.successors[0] == node
            self._proceed(known=bool(known and state.predecessor == self.own))

    def _successor_silent(self, node: int) -> None:
        """A dead first successor is dropped; a dead candidate was never taken."""
        self.routes.drop(node)
        if self.predecessor == node:  # a ring of one asks it too, and must not do so for ever
            self.predecessor = None
        if self.successors and self.successors[0] == node:
            self._remove(node)
            self.port.after(0, HASTE)
        self._proceed()

    def _proceed(self, *, known: bool = False) -> None:
        """StabilizeFromPredecessor if there is a better successor; else tell the one we have,
        unless it just said that we are its predecessor (`known`)."""
        wanted, self.wanted = self.wanted, None
        if wanted is not None and self._fits(wanted):
            self._ask(wanted)
        elif self.successors and not known:
            self.port.send(self.successors[0], Notify())

    def _search_successor(self) -> None:
        """All successors are gone (or never were): begin with the nearest node known."""
        known = self.routes.nodes()
        if self.predecessor is not None:
            known.append(self.predecessor)
        if known:
            self.want(min(known, key=lambda node: distance(self.own, node)))

    def _fits(self, node: int) -> bool:
        """Whether the node would come before the first successor."""
        if not self.successors:
            return node != self.own
        return between(self.own, node, self.successors[0])

    def _adopt(self, chain: Sequence[int]) -> None:
        """Take these as successors, as far as they lie in order and do not pass ourselves."""
        last = 0
        kept: list[int] = []
        for node in chain[: self.settings.successors]:
            far = distance(self.own, node)
            if far <= last:
                break
            kept.append(node)
            last = far
        if kept != self.successors:
            self.successors = kept
            self.routes.follow(kept)

    def _remove(self, node: int) -> None:
        self._adopt([other for other in self.successors if other != node])
        self.routes.drop(node)

    # rectify: somebody says that we are its first successor

    def rectify(self, candidate: int) -> None:
        """Take the candidate as predecessor if it is nearer or the present one is dead."""
        present = self.predecessor
        if not self.joined or candidate in (present, self.own):
            return
        if present is None or between(present, candidate, self.own):
            self.predecessor = candidate
            if present is not None:
                self.port.send(present, Nearer(candidate, 1))
        elif self.checking is None:
            self.checking = self._query(present, candidate)
        if not self.successors:
            self.want(candidate)

    def _predecessor_silent(self, query: Query) -> None:
        self.routes.drop(query.node)
        if self.predecessor == query.node:
            self.predecessor = query.candidate

    # queries

    def _ask(self, node: int) -> None:
        self.asking = self._query(node, node)

    def _query(self, node: int, candidate: int) -> Query:
        self.tokens += 1
        query = Query(node, self.tokens, self.settings.query_tries, candidate)
        self._send_query(query)
        return query

    def _send_query(self, query: Query) -> None:
        query.tries -= 1
        self.port.send(query.node, Ask(query.token))
        self.port.after(self.settings.query_timeout, Timer("ring.query", query.token))

    def answered(self, state: State) -> None:
        """An answer; one that nobody waits for any more is ignored."""
        if self.asking is not None and self.asking.token == state.token:
            node = self.asking.node
            self.asking = None
            self._successor_answered(node, state)
        elif self.checking is not None and self.checking.token == state.token:
            self.checking = None

    def absent(self, token: int) -> None:
        """The node asked is no member."""
        if self.asking is not None and self.asking.token == token:
            node, self.asking = self.asking.node, None
            self._successor_silent(node)
        elif self.checking is not None and self.checking.token == token:
            query, self.checking = self.checking, None
            self._predecessor_silent(query)

    def expired(self, token: int) -> None:
        """A query's timer; if it is still under way it is asked again, at last taken for dead."""
        for query in (self.asking, self.checking):
            if query is not None and query.token == token:
                if query.tries > 0:
                    self._send_query(query)
                else:
                    self.encounters.remember(query.node)
                    self.absent(token)
                return

    # leaving

    def leave(self) -> None:
        """Tell both neighbours, and be no member any more. The node should stay for a second: it
        answers `Absent`, and passes on the look-ups that are still on their way through it."""
        told = Leaving(self.predecessor)
        if self.joined and self.predecessor is not None:
            self.port.send(self.predecessor, told)
        if self.joined and self.successors and self.successors[0] != self.predecessor:
            self.port.send(self.successors[0], told)
        self.joined = False

    def left(self, node: int, told: Leaving) -> None:
        """A neighbour has left. Its place as successor is only taken after asking it: it may have
        come back before its farewell arrived, and a list must not skip it then."""
        if not self.joined:
            return
        if self.predecessor == node:
            self.predecessor = told.predecessor if told.predecessor != self.own else None
        if self.successors and self.successors[0] == node:
            self.stabilise()

    def gone(self, node: int) -> None:
        """Forget a node that is known to be dead, and go on without it at once."""
        was_next = bool(self.successors) and self.successors[0] == node
        if node in self.successors:
            self._remove(node)
        self.routes.drop(node)
        if self.predecessor == node:
            self.predecessor = None
        if self.wanted == node:
            self.wanted = None
        if self.checking is not None and self.checking.node == node:
            query, self.checking = self.checking, None
            if self.predecessor is None:
                self.predecessor = query.candidate
        if self.asking is not None and self.asking.node == node:
            self.asking = None
            self._proceed()
        if self.joined and was_next:
            self.port.after(0, HASTE)
