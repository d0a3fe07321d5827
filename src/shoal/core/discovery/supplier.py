"""The supplier: offers what its node has free to the traders of fitting partitions.

With `single` there is one offer, in the largest partition that the free resources contain, with
`multiple` one in each such partition; all of them state everything that is free. The set is
brought up to date after every change of the node's resources. The supplier's ledger, not its
offers, decides about launches.

An offer's number is a running number and, in the lowest eight bits, the partition it is for. The
look-ups that find a trader have tokens below zero made from the same two.
"""

from typing import Final

from shoal.core.discovery.context import Context
from shoal.core.discovery.contract import Demand
from shoal.core.discovery.messages import CreateOffer, Refreshed, RemoveOffer, UpdateOffer
from shoal.core.discovery.partitions import highest, lowest
from shoal.core.ring.port import Timer

SUPPLY: Final = "offers.supply"
CHECK: Final = "offers.check"


class _Offer:
    """An offer that a trader keeps. `told`: what the trader thinks is free, None if it is known
    to be wrong; `seen`: when the trader was last known to have it."""

    __slots__ = ("number", "seen", "told", "trader")

    def __init__(self, number: int, trader: int, told: Demand, seen: int) -> None:
        self.number = number
        self.trader = trader
        self.told: Demand | None = told
        self.seen = seen


class Supplier:
    """One node's offers."""

    __slots__ = (
        "_checking",
        "_containers",
        "_context",
        "_free",
        "_offers",
        "_seeking",
        "_serial",
        "_supplying",
        "_used",
    )

    def __init__(self, context: Context, total: Demand) -> None:
        self._context = context
        self._free = total
        self._used = Demand(total.cpu_class, 0, 0)
        self._containers = 0
        self._offers: dict[int, _Offer] = {}
        self._seeking: dict[int, int] = {}
        self._serial = 0
        self._supplying = False
        self._checking = False

    @property
    def offers(self) -> dict[int, int]:
        """The node's offers: number -> trader."""
        return {offer.number: offer.trader for offer in self._offers.values()}

    @property
    def count(self) -> int:
        """How many offers there are."""
        return len(self._offers)

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        """The node's resources are these now."""
        self._free = free
        self._used = used
        self._containers = containers
        self.revise()

    def admits(self, number: int, demand: Demand) -> bool:
        """Whether a launch may refer to an offer."""
        if not self._context.settings.recreate:
            return True
        offer = self._offers.get(number & 255)
        return (
            offer is not None
            and offer.number == number
            and offer.told is not None
            and demand.fits(offer.told)
        )

    def taken(self, number: int) -> None:
        """A launch used an offer: its trader must hear of it even where no others do."""
        partition = number & 255
        offer = self._offers.get(partition)
        if offer is None or offer.number != number:
            return
        if self._context.settings.recreate:
            self._withdraw(partition)
        else:
            offer.told = None

    def revise(self) -> None:
        """Bring the offers in line with what is free."""
        free = self._free
        settings = self._context.settings
        if settings.keep_full and (free.cpus <= 0 or free.memory <= 0):
            return
        wanted = settings.table.offered(free)
        variant = self._context.variant
        if variant == "single":
            wanted = 1 << highest(wanted) if wanted else 0
        self._keep(wanted, free, everywhere=variant != "multiple")
        for partition in self._offers:
            wanted &= ~(1 << partition)
        for partition in self._seeking:
            wanted &= ~(1 << partition)
        while wanted:
            partition = lowest(wanted)
            wanted &= wanted - 1
            self._seek(partition)

    def _keep(self, wanted: int, free: Demand, *, everywhere: bool) -> None:
        """Withdraw the offers that are not wanted, update the others."""
        move = self._context.settings.recreate and self._context.variant == "single"
        for partition, offer in list(self._offers.items()):
            same = offer.told is free or offer.told == free
            if not wanted >> partition & 1 or (move and not same):
                self._withdraw(partition)
            elif not same and (everywhere or offer.told is None):
                offer.told = free
                message = UpdateOffer(offer.number, free, self._used, self._containers)
                self._context.send(offer.trader, message)
        if self._seeking:
            for partition in [p for p in self._seeking if not wanted >> p & 1]:
                self._give_up(partition)

    def _withdraw(self, partition: int) -> None:
        offer = self._offers.pop(partition)
        self._context.send(offer.trader, RemoveOffer(offer.number))

    def _seek(self, partition: int) -> None:
        """Look for a trader for the offer of a partition."""
        self._serial += 1
        token = -(self._serial << 8 | partition) - 1
        self._seeking[partition] = token
        context = self._context
        context.port.find(context.target(partition), token, context.settings.ask)

    def found(self, token: int, nodes: tuple[int, ...]) -> None:
        """A look-up's answer. The first node inside the partition trades for it; where there is
        none, in a small cloud or near the border, the owner of the position does."""
        partition = (-token - 1) & 255
        if self._seeking.get(partition) != token:
            return
        if nodes:
            at = self._context.settings.table.at
            inside = [node for node in nodes if at(node) == partition]
            self._create(partition, inside[0] if inside else nodes[0])
        else:
            self._give_up(partition)
            self._supply_later()

    def _create(self, partition: int, trader: int) -> None:
        self._give_up(partition)
        context = self._context
        free = self._free
        number = self._serial << 8 | partition
        self._offers[partition] = _Offer(number, trader, free, context.port.now)
        context.send(trader, CreateOffer(number, free, self._used, self._containers))
        interval = context.settings.check_interval
        if interval is not None and not self._checking:
            self._checking = True
            context.port.after(interval, Timer(CHECK, 0))

    def _give_up(self, partition: int) -> None:
        del self._seeking[partition]
        if not self._seeking:
            self._seeking.clear()  # gives the table's memory back

    def came(self) -> None:
        """A node is new: it may be the one that should hold what had no node to go to."""
        at = self._context.settings.table.at
        elsewhere = [place for place, offer in self._offers.items() if at(offer.trader) != place]
        for partition in elsewhere:
            self._withdraw(partition)
        if elsewhere:
            self.revise()

    def gone(self, trader: int) -> None:
        """A node is dead: what it held is offered elsewhere."""
        self._lose([place for place, offer in self._offers.items() if offer.trader == trader])

    def _lose(self, partitions: list[int]) -> None:
        for partition in partitions:
            del self._offers[partition]
        if partitions:
            self.revise()

    def refused(self, trader: int, number: int) -> None:
        """The trader did not take an offer."""
        if self._held(trader, number) is not None:
            del self._offers[number & 255]
            self._supply_later()

    def refreshed(self, trader: int, number: int) -> None:
        """A trader asks whether an offer stands."""
        offer = self._held(trader, number)
        if offer is not None:
            offer.seen = self._context.port.now
        self._context.port.send(trader, Refreshed(number, offer is not None))

    def fire(self, kind: str) -> None:
        """SUPPLY: try again where no trader was found. CHECK: offer again what no trader has
        asked about for too long."""
        if kind == SUPPLY:
            self._supplying = False
            self.revise()
            return
        settings = self._context.settings
        port = self._context.port
        patience = settings.refresh_interval * settings.refreshes_missed + settings.refresh_timeout
        oldest = port.now - patience
        self._lose([place for place, offer in self._offers.items() if offer.seen < oldest])
        self._checking = bool(self._offers) and settings.check_interval is not None
        if self._checking and settings.check_interval is not None:
            port.after(settings.check_interval, Timer(CHECK, 0))

    def _held(self, trader: int, number: int) -> _Offer | None:
        offer = self._offers.get(number & 255)
        if offer is None or offer.number != number or offer.trader != trader:
            return None
        return offer

    def _supply_later(self) -> None:
        if not self._supplying:
            self._supplying = True
            self._context.port.after(self._context.settings.supply_interval, Timer(SUPPLY, 0))
