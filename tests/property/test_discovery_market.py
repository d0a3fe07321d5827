"""Whole strategies in clouds of some hundred nodes with a perfect ring, by seeds."""

from typing import Any

import pytest
from discovery_cloud import Cloud, demand

from shoal.core.discovery.contract import STRATEGIES, Demand, StrategyName
from shoal.core.discovery.launch import Launch, Launched, Stop
from shoal.core.discovery.messages import (
    Carried,
    CreateOffer,
    GetFree,
    GetOffers,
    Offers,
    OffersNearby,
)
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.presets import CARAVELA, machine
from shoal.core.discovery.settings import Settings
from shoal.core.ring.port import Draw

MINUTE = 60
REQUESTS = (
    *[demand(0, 1, 250)] * 5,
    *[demand(0, 1, 500)] * 2,
    *[demand(0, 2, 1000)] * 3,
    *[demand(0, 2, 2000)] * 2,
    demand(0, 3, 3000),
    *[demand(1, 1, 250)] * 2,
    *[demand(1, 2, 750)] * 2,
    demand(1, 2, 2000),
    demand(1, 3, 3500),
    demand(1, 6, 5000),
)
OFFERS: tuple[StrategyName, ...] = ("single", "multiple", "multiple-updates")
ORIGINAL = {"answer_all": True, "forget_used": True, "keep_full": True, "recreate": True}


class Load:
    """Requests at random nodes; some containers are stopped again."""

    def __init__(self, name: StrategyName, seed: int, nodes: int = 200, **changes: Any) -> None:
        self.draw = Draw(seed)
        totals = [machine(CARAVELA, self.draw) for _ in range(nodes)]
        made: dict[str, Any] = {"estimate": nodes} | changes
        self.cloud = Cloud(name, totals, Settings(**made), seed)
        self.buyers: dict[int, int] = {}
        self.token = 0
        self.cloud.run(5)

    def submit(self, wanted: Demand | None = None) -> int:
        ring = self.cloud.ring
        self.token += 1
        self.buyers[self.token] = ring[self.draw.below(len(ring))]
        launcher = self.cloud.nodes[self.buyers[self.token]].launcher
        launcher.submit(self.token, wanted or REQUESTS[self.draw.below(len(REQUESTS))])
        return self.token

    def stop(self) -> None:
        token = 1 + self.draw.below(self.token)
        buyer = self.buyers.pop(token, None)
        if buyer in self.cloud.nodes:
            self.cloud.nodes[buyer].launcher.stop(token)
            self.cloud.placed.pop(token, None)

    def run(self, requests: int, apart: float = 1) -> None:
        """So many requests, `apart` seconds, every third followed by a stop; then let it settle."""
        for number in range(requests):
            self.submit()
            self.cloud.run(apart)
            if number % 3 == 2:
                self.stop()
        self.cloud.run(60)

    @property
    def success(self) -> float:
        placed = self.cloud.placed.values()
        return sum(node is not None for node in placed) / len(placed)


def check_books(cloud: Cloud) -> None:
    """No node is over-committed, and what buyers believe runs."""
    for own, node in cloud.nodes.items():
        ledger, total = node.launcher.ledger, node.total
        assert min(ledger.free.cpus, ledger.free.memory) >= 0, own
        assert ledger.free.cpus + ledger.used.cpus == total.cpus
        assert ledger.free.memory + ledger.used.memory == total.memory
    running = sum(node.launcher.ledger.containers for node in cloud.nodes.values())
    assert running == sum(node is not None for node in cloud.placed.values())


def check_offers(cloud: Cloud, *, exact: bool) -> None:
    """Suppliers and traders agree on which offers there are; no offer is in a partition beyond
    what is free, and (`exact`) none states more or less than that."""
    kept = set()
    for own, node in cloud.nodes.items():
        market = node.discovery
        assert isinstance(market, OfferMarket)
        for offer in market.trader.offers.values():
            kept.add((offer.node, offer.offer, own))
            free = cloud.nodes[offer.node].launcher.ledger.free
            assert CARAVELA.leaves[offer.offer & 255].demand.fits(free)
            if exact:
                assert offer.free == free
    made = set()
    for own, node in cloud.nodes.items():
        assert isinstance(node.discovery, OfferMarket)
        for number, trader in node.discovery.supplier.offers.items():
            made.add((own, number, trader))
    assert kept == made


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", STRATEGIES)
def test_requests_are_placed_and_books_are_right(name: StrategyName, seed: int) -> None:
    # A view is one site's, and everybody in it hears of every change.
    load = Load(name, seed, nodes=50 if name == "view" else 200)
    load.run(150 if name != "view" else 40)
    check_books(load.cloud)
    assert load.success > (0.4 if name == "random" else 0.6)
    assert len(load.cloud.placed) > (25 if name == "view" else 90)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", OFFERS)
def test_when_messages_have_settled_no_offer_is_larger_than_what_is_free(
    name: StrategyName, seed: int
) -> None:
    load = Load(name, seed)
    load.run(250, apart=0.02)
    check_books(load.cloud)
    check_offers(load.cloud, exact=name != "multiple")


@pytest.mark.parametrize("name", OFFERS)
def test_the_original_s_errors_cost_offers_not_books(name: StrategyName) -> None:
    load = Load(name, 4, **ORIGINAL)
    load.run(250, apart=0.02)
    check_books(load.cloud)
    assert load.success > 0.5


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "view"])
def test_every_request_is_answered_although_messages_are_lost(name: StrategyName) -> None:
    load = Load(name, 5, tries=2)
    lose = Draw(9)
    load.cloud.lost = lambda message: not isinstance(message, Stop) and lose.below(10) == 0
    load.run(150)
    assert set(load.cloud.placed) >= {token for token in load.buyers if token in load.cloud.found}
    assert len(load.cloud.found) == 150
    check_books(load.cloud)


@pytest.mark.parametrize("name", OFFERS)
def test_offers_of_dead_traders_are_made_elsewhere_and_those_of_dead_suppliers_end(
    name: StrategyName,
) -> None:
    load = Load(name, 6)
    load.run(60)
    for _ in range(40):
        load.cloud.kill(load.cloud.ring[load.draw.below(len(load.cloud.ring))])
    load.cloud.run(100 * MINUTE)
    check_offers(load.cloud, exact=name != "multiple")
    without = [
        own
        for own, node in load.cloud.nodes.items()
        if isinstance(node.discovery, OfferMarket)
        and CARAVELA.offered(node.launcher.ledger.free)
        and not node.discovery.supplier.offers
    ]
    assert without == []


@pytest.mark.parametrize("name", OFFERS)
def test_where_membership_tells_of_deaths_offers_are_right_at_once(name: StrategyName) -> None:
    load = Load(name, 6)
    load.run(60)
    for _ in range(40):
        dead = load.cloud.ring[load.draw.below(len(load.cloud.ring))]
        load.cloud.kill(dead)
        load.cloud.tell_of(dead)
        load.cloud.run(1)
    check_offers(load.cloud, exact=name != "multiple")


@pytest.mark.parametrize("name", OFFERS)
def test_offers_lost_on_the_way_are_made_again(name: StrategyName) -> None:
    load = Load(name, 7)
    lose = Draw(9)
    load.cloud.lost = lambda message: lose.below(4) == 0
    load.run(40)
    load.cloud.lost = lambda message: False
    load.cloud.run(120 * MINUTE)
    check_offers(load.cloud, exact=False)


def test_super_traders_hold_all_offers() -> None:
    load = Load("multiple", 8, nodes=400)
    holders = sum(
        isinstance(node.discovery, OfferMarket) and node.discovery.held > 0
        for node in load.cloud.nodes.values()
    )
    # One in seven, and at least one in each of the 13 partitions.
    assert 40 <= holders <= 70


def test_advertised_offers_are_found_where_the_asked_trader_has_none() -> None:
    successes, asked = {}, {}
    for advertise in (None, 60_000_000_000):
        load = Load("single", 9, estimate=None, climb=0, ask=1, advertise=advertise)
        load.cloud.run(MINUTE)
        load.run(80)
        successes[advertise] = load.success
        asked[advertise] = len(load.cloud.messages(OffersNearby))
    assert asked[None] == 0 < asked[60_000_000_000]
    assert successes[60_000_000_000] > successes[None] + 0.1


def test_partition_state_saves_questions() -> None:
    questions = {}
    for size in (None, 15):
        load = Load("single", 10, partition_state=size)
        load.run(300)
        check_books(load.cloud)
        sent = load.cloud.messages(Carried if size else GetOffers)
        questions[size] = sum(
            isinstance(message.inside if size else message, GetOffers) for message in sent
        )
    assert questions[15] < questions[None]


def test_equal_seeds_make_equal_runs() -> None:
    runs = []
    for _ in range(2):
        load = Load("multiple-updates", 11)
        load.run(60)
        runs.append(load.cloud.sent)
    assert runs[0] == runs[1]


def test_messages_of_a_request_carry_its_token() -> None:
    load = Load("multiple", 12)
    load.cloud.sent.clear()
    token = load.submit(demand(0, 1, 250))
    load.cloud.run(1)
    own = {GetOffers, Offers, GetFree, Launch, Launched}
    tokens = [message.token for _, _, message in load.cloud.sent if type(message) in own]
    assert tokens == [token] * 4


def test_a_lone_node_trades_for_everything() -> None:
    cloud = Cloud("multiple", [demand(0, 2, 1024)], Settings())
    cloud.run(5)
    assert len(cloud.messages(CreateOffer)) == 3
    cloud.nodes[0].launcher.submit(1, demand(0, 1, 250))
    cloud.run(1)
    assert cloud.placed == {1: 0}
