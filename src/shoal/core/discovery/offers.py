"""The market of offers: supplier, trader and buyer of one node behind one interface."""

from typing import Final

from shoal.core.discovery.buyer import ANSWER, Buyer
from shoal.core.discovery.context import Context
from shoal.core.discovery.contract import Demand, DiscoveryPort
from shoal.core.discovery.messages import (
    Carried,
    CreateOffer,
    GetOffers,
    Offers,
    OffersNearby,
    Refreshed,
    RefreshOffer,
    RefuseOffer,
    RemoveOffer,
    UpdateOffer,
)
from shoal.core.discovery.settings import Settings, Variant
from shoal.core.discovery.supplier import CHECK, SUPPLY, Supplier
from shoal.core.discovery.trader import Trader
from shoal.core.ring.port import Draw, Timer

_OF_SUPPLIER: Final = frozenset({SUPPLY, CHECK})


class OfferMarket:
    """Strategies "single", "multiple" and "multiple-updates". A node that nobody offers anything
    has no trader, one that nobody asks no buyer: most nodes of a large cloud have neither."""

    __slots__ = ("_buyer", "_context", "_supplier", "_trader")

    def __init__(
        self,
        *,
        port: DiscoveryPort,
        own: int,
        total: Demand,
        draw: Draw,
        variant: Variant,
        settings: Settings,
    ) -> None:
        self._context = Context(port=port, own=own, variant=variant, settings=settings, draw=draw)
        self._supplier = Supplier(self._context, total)
        self._trader: Trader | None = None
        self._buyer: Buyer | None = None

    @property
    def held(self) -> int:
        """How many offers of others the node keeps."""
        return len(self._trader.offers) if self._trader is not None else 0

    @property
    def supplier(self) -> Supplier:
        """The node's own offers."""
        return self._supplier

    @property
    def trader(self) -> Trader:
        """The node's trader."""
        if self._trader is None:
            self._trader = Trader(self._context)
        return self._trader

    def start(self) -> None:
        self._supplier.revise()

    def search(self, token: int, demand: Demand) -> None:
        if self._buyer is None:
            self._buyer = Buyer(self._context)
        self._buyer.search(token, demand)

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        self._supplier.changed(free, used, containers)

    def admits(self, offer: int, demand: Demand) -> bool:
        return self._supplier.admits(offer, demand)

    def taken(self, offer: int) -> None:
        self._supplier.taken(offer)

    def came(self, node: int) -> None:
        self._supplier.came()

    def gone(self, node: int) -> None:
        if self._trader is not None:
            self._trader.gone(node)
        self._supplier.gone(node)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        if token < 0:
            self._supplier.found(token, nodes)
        elif self._buyer is not None:
            self._buyer.found(token, nodes)

    def receive(self, sender: int, message: object) -> None:
        # In order of frequency.
        if isinstance(message, CreateOffer):
            self.trader.create(sender, message)
        elif isinstance(message, RemoveOffer):
            self.trader.remove(sender, message.offer)
        elif isinstance(message, GetOffers):
            self.trader.asked(sender, message)
        elif isinstance(message, Offers):
            self._answered(sender, message)
        elif isinstance(message, RefreshOffer):
            self._supplier.refreshed(sender, message.offer)
        elif isinstance(message, Refreshed):
            self.trader.refreshed(sender, message.offer, stands=message.stands)
        elif isinstance(message, UpdateOffer):
            self.trader.update(sender, message)
        elif isinstance(message, OffersNearby):
            self.trader.nearby(sender, message.trader)
        elif isinstance(message, RefuseOffer):
            self._supplier.refused(sender, message.offer)
        elif isinstance(message, Carried):
            if self._context.hits is not None:
                self._context.hits.merge(message.hits)
            self.receive(sender, message.inside)

    def fire(self, timer: Timer) -> None:
        if timer.kind == ANSWER:
            if self._buyer is not None:
                self._buyer.fire(timer.token)
        elif timer.kind in _OF_SUPPLIER:
            self._supplier.fire(timer.kind)
        elif self._trader is not None:
            self._trader.fire(timer)

    def _answered(self, sender: int, message: Offers) -> None:
        if not message.relay:
            self.trader.answered(sender, message)
        elif self._buyer is not None:
            self._buyer.answered(sender, message)
