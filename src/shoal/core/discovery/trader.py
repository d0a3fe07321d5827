"""The trader: keeps the offers of its partition and answers buyers.

A node trades for the partition that its own position lies in, and, as the owner of a position, for
a partition that no node was found in. Traders ask their suppliers regularly whether the offers
stand. If advertising is on, a trader that has offers tells its neighbours on the ring; those
without offers pass that on to the border of the partition and ask it when a buyer comes.
"""

from typing import Final

from shoal.core.discovery.context import Context
from shoal.core.discovery.contract import Candidate, Demand
from shoal.core.discovery.messages import (
    CreateOffer,
    GetOffers,
    Offers,
    OffersNearby,
    RefreshOffer,
    RefuseOffer,
    UpdateOffer,
)
from shoal.core.discovery.rank import Ranking
from shoal.core.ring.port import Timer

REFRESH: Final = "offers.refresh"
ADVERTISE: Final = "offers.advertise"
RELAY: Final = "offers.relay"

_NOTHING = Demand(0, 0, 0)
_NODE = (1 << 64) - 1


class _Relay:
    """A buyer's question that nearby traders are asked."""

    __slots__ = ("buyer", "collected", "waiting")

    def __init__(self, buyer: int, waiting: list[int]) -> None:
        self.buyer = buyer
        self.waiting = waiting
        self.collected: tuple[Candidate, ...] = ()


class Trader:
    """The offers that one node keeps for others, by offer number << 64 | supplier."""

    __slots__ = (
        "_above",
        "_advertising",
        "_below",
        "_context",
        "_partition",
        "_refreshing",
        "_relays",
        "_unanswered",
        "offers",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._partition = context.settings.table.at(context.own)
        self.offers: dict[int, Candidate] = {}
        self._unanswered: dict[int, int] = {}
        self._relays: dict[int, _Relay] = {}
        self._below: int | None = None
        self._above: int | None = None
        self._refreshing = False
        self._advertising = False

    def create(self, supplier: int, message: CreateOffer) -> None:
        """Keep an offer if it contains what its partition stands for, else refuse it."""
        context = self._context
        settings = context.settings
        leaves = settings.table.leaves
        partition = message.offer & 255
        if partition >= len(leaves) or not leaves[partition].demand.fits(message.free):
            context.send(supplier, RefuseOffer(message.offer))
            return
        self._keep(supplier, message)
        # Not all at once: a cloud's offers are made at the same time.
        if not self._refreshing:
            self._refreshing = True
            jitter = context.draw.below(settings.refresh_interval // 2 + 1)
            context.port.after(settings.refresh_interval + jitter, Timer(REFRESH, 0))
        if settings.advertise is not None and not self._advertising:
            self._advertising = True
            context.port.after(1 + context.draw.below(settings.advertise), Timer(ADVERTISE, 0))

    def update(self, supplier: int, message: UpdateOffer) -> None:
        """Take over an offer's new amounts, if it is kept here."""
        if message.offer << 64 | supplier in self.offers:
            self._keep(supplier, message)

    def remove(self, supplier: int, number: int) -> None:
        """Forget an offer."""
        key = number << 64 | supplier
        self.offers.pop(key, None)
        self._unanswered.pop(key, None)

    def gone(self, supplier: int) -> None:
        """A node is dead: it has nothing to offer."""
        for key in [key for key in self.offers if key & _NODE == supplier]:
            self.remove(supplier, key >> 64)

    def refreshed(self, supplier: int, number: int, *, stands: bool) -> None:
        """A supplier's answer about an offer."""
        key = number << 64 | supplier
        self._unanswered.pop(key, None)
        if not stands:
            self.offers.pop(key, None)

    def asked(self, sender: int, message: GetOffers) -> None:
        """Answer with offers, or ask the traders nearby first if there are none."""
        if not self.offers and message.relay:
            nearby = [node for node in (self._above, self._below) if node is not None]
            if nearby:
                self._relay(sender, message, nearby)
                return
        context = self._context
        found: tuple[Candidate, ...]
        if context.settings.answer_all:
            found = tuple(self.offers.values())
        else:
            ranking = Ranking(self.offers.values(), message.demand, context.settings.policy)
            found = tuple(ranking.best(context.settings.limit))
        context.port.send(sender, Offers(message.token, found, message.relay))

    def answered(self, sender: int, message: Offers) -> None:
        """A nearby trader's answer to a question that we passed on."""
        relay = self._relays.get(message.token)
        if relay is None or sender not in relay.waiting:
            return
        relay.waiting.remove(sender)
        relay.collected += message.offers
        if not message.offers:
            self._forget(sender)
        if not relay.waiting:
            self._finish(message.token)

    def nearby(self, sender: int, trader: int) -> None:
        """Remember who has offers on this side; pass it on if we have none ourselves."""
        below = sender < self._context.own
        if below:
            self._below = trader
        else:
            self._above = trader
        if not self.offers:
            self._advertise(trader, down=not below, up=below)

    def fire(self, timer: Timer) -> None:
        """REFRESH, ADVERTISE: the regular rounds; RELAY: a nearby trader did not answer."""
        if timer.kind == REFRESH:
            self._refresh()
        elif timer.kind == RELAY:
            relay = self._relays.get(timer.token)
            if relay is not None:
                for node in relay.waiting:
                    self._forget(node)
                self._finish(timer.token)
        else:
            self._advertise_again()

    def _keep(self, supplier: int, message: CreateOffer | UpdateOffer) -> None:
        number = message.offer
        if self._context.settings.forget_used:
            candidate = Candidate(supplier, number, message.free, _NOTHING, 0)
        else:
            candidate = Candidate(supplier, number, message.free, message.used, message.containers)
        self.offers[number << 64 | supplier] = candidate

    def _refresh(self) -> None:
        context = self._context
        settings = context.settings
        unanswered = self._unanswered
        for key in [k for k, times in unanswered.items() if times >= settings.refreshes_failed]:
            del unanswered[key]
            self.offers.pop(key, None)
        for key in self.offers:
            unanswered[key] = unanswered.get(key, 0) + 1
            context.send(key & _NODE, RefreshOffer(key >> 64))
        self._refreshing = bool(self.offers)
        if self._refreshing:
            context.port.after(settings.refresh_interval, Timer(REFRESH, 0))
        else:
            unanswered.clear()

    def _advertise_again(self) -> None:
        interval = self._context.settings.advertise
        self._advertising = bool(self.offers) and interval is not None
        if self._advertising and interval is not None:
            self._advertise(self._context.own, down=True, up=True)
            self._context.port.after(interval, Timer(ADVERTISE, 0))

    def _advertise(self, trader: int, *, down: bool, up: bool) -> None:
        """Tell the neighbours inside the partition that `trader` has offers."""
        context = self._context
        own = context.own
        predecessor, successor = context.port.neighbours()
        # Partitions do not wrap, so "below" and "above" are those of the numbers.
        if down and predecessor is not None and predecessor < own:
            self._tell(predecessor, trader)
        if up and successor is not None and successor > own:
            self._tell(successor, trader)

    def _tell(self, node: int, trader: int) -> None:
        if self._context.settings.table.at(node) == self._partition:
            self._context.send(node, OffersNearby(trader))

    def _relay(self, buyer: int, message: GetOffers, nearby: list[int]) -> None:
        context = self._context
        self._relays[message.token] = _Relay(buyer, nearby)
        question = GetOffers(message.token, message.demand, False)
        for node in nearby:
            context.send(node, question, message.token)
        timeout = context.settings.answer_timeout
        if timeout is not None:
            # Before the buyer loses patience with us.
            context.port.after(timeout // 2, Timer(RELAY, message.token))

    def _finish(self, token: int) -> None:
        relay = self._relays.pop(token)
        self._context.port.send(relay.buyer, Offers(token, relay.collected, True))

    def _forget(self, node: int) -> None:
        if self._above == node:
            self._above = None
        if self._below == node:
            self._below = None
