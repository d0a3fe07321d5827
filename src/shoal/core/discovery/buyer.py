"""The buyer: finds offers for the requests that came in at its node.

With `multiple` offers it asks traders at random places of the smallest partition that contains
the demand. With a `single` offer per node it goes on to higher partitions (from the largest to
lower ones under "spread") until a trader answers with offers. The nodes that a look-up returns
are asked one after the other.
"""

from typing import Final

from shoal.core.discovery.context import Context
from shoal.core.discovery.contract import Demand
from shoal.core.discovery.messages import GetOffers, Offers
from shoal.core.discovery.partitions import highest, lowest, next_higher, next_lower
from shoal.core.ring.port import Timer

ANSWER: Final = "offers.answer"


class _Search:
    """`left`: further places to try, None for no bound; `asked`: whose answer is awaited until
    `deadline`; `timed`: a timer is under way."""

    __slots__ = ("asked", "deadline", "demand", "left", "nodes", "place", "timed", "token")

    def __init__(self, token: int, demand: Demand, place: int, left: int | None) -> None:
        self.token = token
        self.demand = demand
        self.place = place
        self.left = left
        self.nodes: list[int] = []
        self.asked: int | None = None
        self.deadline = 0
        self.timed = False


class Buyer:
    """The searches of one node that are under way."""

    __slots__ = ("_climbs", "_context", "_down", "_searches")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._climbs = context.variant == "single"
        self._down = self._climbs and context.settings.policy == "spread"
        self._searches: dict[int, _Search] = {}

    def search(self, token: int, demand: Demand) -> None:
        """Begin; a demand that is larger than every partition is answered at once."""
        settings = self._context.settings
        suited = settings.table.searched(demand)
        place = highest(suited) if self._down else lowest(suited)
        if place < 0:
            self._context.port.candidates(token, ())
            return
        left = settings.climb if self._climbs else settings.tries - 1
        search = _Search(token, demand, place, left)
        self._searches[token] = search
        self._visit(search)

    def found(self, token: int, nodes: tuple[int, ...]) -> None:
        """A look-up's answer: ask the nodes inside the partition; where there are none, its offers
        are with those that follow."""
        search = self._searches.get(token)
        if search is None:
            return
        at, place = self._context.settings.table.at, search.place
        inside = [node for node in reversed(nodes) if at(node) == place]
        search.nodes = inside or list(reversed(nodes))
        self._ask(search)

    def answered(self, sender: int, message: Offers) -> None:
        """A trader's answer. A late one still counts if it has offers."""
        search = self._searches.get(message.token)
        offers = message.offers
        if search is None or (not offers and sender != search.asked):
            return
        context = self._context
        if context.hits is not None:
            context.hits.count(search.place, hit=bool(offers))
        if not offers:
            self._ask(search)
            return
        del self._searches[message.token]
        # Buyers that ask at the same time should not all begin with the same of equal offers.
        start = context.draw.below(len(offers))
        context.port.candidates(message.token, offers[start:] + offers[:start])

    def fire(self, token: int) -> None:
        """A question may have gone unanswered for too long."""
        search = self._searches.get(token)
        if search is None:
            return
        search.timed = False
        if search.asked is None:
            return
        if self._context.port.now < search.deadline:
            self._watch(search)
        else:
            self._ask(search)

    def _visit(self, search: _Search) -> None:
        """Look up a trader in the present partition, or in the next that is worth it."""
        hits, draw = self._context.hits, self._context.draw
        if hits is not None and self._climbs:
            while not hits.worth(search.place, draw):
                if not self._climb(search):
                    self._end(search)
                    return
        search.asked = None
        context = self._context
        context.port.find(context.target(search.place), search.token, context.settings.ask)

    def _ask(self, search: _Search) -> None:
        """Ask the next of the nodes found, or go on when there are none left."""
        if not search.nodes:
            self._go_on(search)
            return
        node = search.nodes.pop()
        search.asked = node
        context = self._context
        timeout = context.settings.answer_timeout
        if timeout is not None:
            search.deadline = context.port.now + timeout
            if not search.timed:
                self._watch(search)
        context.send(node, GetOffers(search.token, search.demand, True), search.token)

    def _go_on(self, search: _Search) -> None:
        if search.left == 0 or (self._climbs and not self._climb(search)):
            self._end(search)
            return
        if search.left is not None:
            search.left -= 1
        self._visit(search)

    def _climb(self, search: _Search) -> bool:
        """Step to the next partition that contains the demand; False if there is none."""
        suited = self._context.settings.table.searched(search.demand)
        step = next_lower if self._down else next_higher
        place = step(suited, search.place)
        if place < 0:
            return False
        search.place = place
        return True

    def _end(self, search: _Search) -> None:
        del self._searches[search.token]
        self._context.port.candidates(search.token, ())

    def _watch(self, search: _Search) -> None:
        port = self._context.port
        search.timed = True
        port.after(max(1, search.deadline - port.now), Timer(ANSWER, search.token))
