"""The trader's rules: what it keeps, what it answers, whom it tells (reference 2.3, 2.5, 2.8)."""

from typing import Any

from discovery_port import MINUTE, SECOND, RecordingPort, demand, node_in, partition_of

from shoal.core.discovery.contract import Candidate
from shoal.core.discovery.messages import (
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
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.trader import ADVERTISE, REFRESH, RELAY
from shoal.core.ring.port import Draw, Timer

HERE = partition_of(0, 2, 512)
OFFER = 9 << 8 | HERE
OTHER = 10 << 8 | HERE
OWN = node_in(HERE, 50)
NOTHING = demand(0, 0, 0)
SUPPLIER = 77
BUYER = 88
WANTED = demand(0, 1, 300)


def trader(**changes: Any) -> tuple[RecordingPort, OfferMarket]:
    port = RecordingPort()
    market = OfferMarket(
        port=port,
        own=OWN,
        total=demand(0, 0, 0),
        draw=Draw(1),
        variant="single",
        settings=Settings(**changes),
    )
    return port, market


def offer(
    number: int = OFFER, cores: float = 2, megabytes: int = 600, used: int = 0
) -> CreateOffer:
    return CreateOffer(number, demand(0, cores, megabytes), demand(0, used, 0), used)


def ask(port: RecordingPort, market: OfferMarket) -> tuple[Candidate, ...]:
    """What the trader answers to a buyer at once."""
    port.sent.clear()
    market.receive(BUYER, GetOffers(5, WANTED, True))
    [(to, answer)] = port.take_sent()
    assert to == BUYER
    assert answer.token == 5
    found: tuple[Candidate, ...] = answer.offers
    return found


def test_an_offer_is_kept_and_handed_to_buyers() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer(used=1))
    found = (Candidate(SUPPLIER, OFFER, demand(0, 2, 600), demand(0, 1, 0), 1),)
    assert ask(port, market) == found
    assert market.held == 1


def test_an_offer_below_the_partition_s_combination_is_refused() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer(megabytes=511))
    assert port.sent == [(SUPPLIER, RefuseOffer(OFFER))]
    assert ask(port, market) == ()


def test_an_offer_for_an_empty_partition_is_kept_by_the_owner_of_its_position() -> None:
    port, market = trader()
    small = partition_of(0, 1, 256)
    market.receive(SUPPLIER, offer(3 << 8 | small, 1, 300))
    assert [found.offer for found in ask(port, market)] == [3 << 8 | small]


def test_an_offer_for_a_partition_that_is_not_in_the_table_is_refused() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer(3 << 8 | 200))
    assert port.sent == [(SUPPLIER, RefuseOffer(3 << 8 | 200))]


def test_an_update_changes_the_amounts_and_a_removal_ends_the_offer() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer())
    market.receive(SUPPLIER, UpdateOffer(OFFER, demand(0, 1, 550), demand(0, 1, 50), 4))
    expected = Candidate(SUPPLIER, OFFER, demand(0, 1, 550), demand(0, 1, 50), 4)
    assert ask(port, market) == (expected,)
    market.receive(SUPPLIER, RemoveOffer(OFFER))
    assert ask(port, market) == ()


def test_nobody_changes_or_removes_another_supplier_s_offer() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer())
    market.receive(SUPPLIER + 1, RemoveOffer(OFFER))
    market.receive(SUPPLIER + 1, UpdateOffer(OFFER, demand(0, 8, 8000), NOTHING, 0))
    assert [found.free for found in ask(port, market)] == [demand(0, 2, 600)]


def test_only_fitting_offers_are_answered_the_best_first_and_not_too_many() -> None:
    port, market = trader(limit=2)
    for supplier, megabytes in ((1, 4000), (2, 600), (3, 1000)):
        market.receive(supplier, offer(megabytes=megabytes))
    market.receive(4, UpdateOffer(OFFER, demand(0, 2, 100), NOTHING, 0))
    assert [found.node for found in ask(port, market)] == [2, 3]


def test_the_original_answers_with_everything_it_has_and_forgets_what_is_used() -> None:
    port, market = trader(limit=2, answer_all=True, forget_used=True)
    for supplier in (1, 2, 3):
        market.receive(supplier, offer(used=1))
    market.receive(2, UpdateOffer(OFFER, demand(0, 0, 0), demand(0, 2, 600), 2))
    found = ask(port, market)
    assert [one.node for one in found] == [1, 2, 3]
    assert {(one.used, one.containers) for one in found} == {(NOTHING, 0)}


def test_offers_are_refreshed_regularly_and_dropped_when_they_do_not_stand() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer())
    market.receive(SUPPLIER, offer(number=OTHER))
    [(delay, timer)] = port.timers
    assert timer == Timer(REFRESH, 0)
    assert 15 * MINUTE <= delay <= 23 * MINUTE
    market.fire(timer)
    assert port.take_sent() == [(SUPPLIER, RefreshOffer(OFFER)), (SUPPLIER, RefreshOffer(OTHER))]
    assert port.timers[1:] == [(15 * MINUTE, timer)]
    market.receive(SUPPLIER, Refreshed(OFFER, True))
    market.receive(SUPPLIER, Refreshed(OTHER, False))
    assert [found.offer for found in ask(port, market)] == [OFFER]


def test_an_offer_whose_supplier_is_silent_is_dropped_after_three_rounds() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer())
    market.receive(SUPPLIER + 1, offer())
    for _ in range(4):
        assert market.held == 2
        market.fire(Timer(REFRESH, 0))
        market.receive(SUPPLIER, Refreshed(OFFER, True))
    assert [found.node for found in ask(port, market)] == [SUPPLIER]


def test_a_trader_without_offers_needs_no_timer() -> None:
    port, market = trader()
    market.receive(SUPPLIER, offer())
    market.receive(SUPPLIER, RemoveOffer(OFFER))
    market.fire(Timer(REFRESH, 0))
    assert len(port.timers) == 1
    market.receive(SUPPLIER, offer())
    assert len(port.timers) == 2


BELOW, ABOVE = node_in(HERE, 40), node_in(HERE, 60)


def test_a_trader_that_has_offers_tells_both_neighbours_regularly() -> None:
    port, market = trader(advertise=MINUTE)
    port.around = (BELOW, ABOVE)
    market.receive(SUPPLIER, offer())
    market.receive(SUPPLIER, offer(number=OTHER))
    [first] = [delay for delay, timer in port.timers if timer == Timer(ADVERTISE, 0)]
    assert 0 < first <= MINUTE
    market.fire(Timer(ADVERTISE, 0))
    assert port.take_sent() == [(BELOW, OffersNearby(OWN)), (ABOVE, OffersNearby(OWN))]
    assert port.timers[-1] == (MINUTE, Timer(ADVERTISE, 0))
    for number in (OFFER, OTHER):
        market.receive(SUPPLIER, RemoveOffer(number))
    market.fire(Timer(ADVERTISE, 0))
    assert port.sent == []
    assert port.timers[-1] == (MINUTE, Timer(ADVERTISE, 0))
    assert len([timer for _, timer in port.timers if timer == Timer(ADVERTISE, 0)]) == 2


def test_nothing_is_advertised_beyond_the_partition_or_around_the_circle() -> None:
    port, market = trader(advertise=MINUTE)
    port.around = (node_in(HERE - 1), node_in(HERE + 1))
    market.receive(SUPPLIER, offer())
    market.fire(Timer(ADVERTISE, 0))
    assert port.sent == []
    port, market = trader(advertise=MINUTE)
    port.around = (ABOVE, BELOW)
    market.receive(SUPPLIER, offer())
    market.fire(Timer(ADVERTISE, 0))
    assert port.sent == []


def test_a_trader_without_offers_passes_an_advertisement_on_in_its_direction() -> None:
    port, market = trader(advertise=MINUTE)
    port.around = (BELOW, ABOVE)
    market.receive(BELOW, OffersNearby(BELOW - 3))
    assert port.take_sent() == [(ABOVE, OffersNearby(BELOW - 3))]
    market.receive(ABOVE, OffersNearby(ABOVE + 3))
    assert port.take_sent() == [(BELOW, OffersNearby(ABOVE + 3))]
    market.receive(SUPPLIER, offer())
    port.take_sent()
    market.receive(BELOW, OffersNearby(BELOW - 3))
    assert port.sent == []


def far_offer(node: int) -> Candidate:
    return Candidate(node, 1, demand(0, 2, 600), NOTHING, 0)


def test_a_question_is_relayed_to_both_sides_and_the_answers_joined() -> None:
    port, market = trader(advertise=MINUTE)
    market.receive(BELOW, OffersNearby(BELOW))
    market.receive(ABOVE, OffersNearby(ABOVE))
    market.receive(BUYER, GetOffers(5, WANTED, True))
    question = GetOffers(5, WANTED, False)
    assert port.take_sent() == [(ABOVE, question), (BELOW, question)]
    market.receive(BELOW, Offers(5, (far_offer(1),), False))
    assert port.sent == []
    market.receive(ABOVE, Offers(5, (far_offer(2),), False))
    assert port.take_sent() == [(BUYER, Offers(5, (far_offer(1), far_offer(2)), True))]


def test_a_relayed_question_is_not_relayed_again() -> None:
    port, market = trader(advertise=MINUTE)
    market.receive(ABOVE, OffersNearby(ABOVE))
    market.receive(BUYER, GetOffers(5, WANTED, False))
    assert port.take_sent() == [(BUYER, Offers(5, (), False))]


def test_a_nearby_trader_that_has_nothing_any_more_is_forgotten() -> None:
    port, market = trader(advertise=MINUTE)
    market.receive(ABOVE, OffersNearby(ABOVE))
    market.receive(BUYER, GetOffers(5, WANTED, True))
    market.receive(ABOVE, Offers(5, (), False))
    assert port.take_sent()[-1] == (BUYER, Offers(5, (), True))
    assert ask(port, market) == ()


def test_a_nearby_trader_that_does_not_answer_keeps_nobody_waiting_long() -> None:
    port, market = trader(advertise=MINUTE, answer_timeout=4 * SECOND)
    market.receive(BELOW, OffersNearby(BELOW))
    market.receive(ABOVE, OffersNearby(ABOVE))
    market.receive(BUYER, GetOffers(5, WANTED, True))
    assert port.timers == [(2 * SECOND, Timer(RELAY, 5))]
    market.receive(BELOW, Offers(5, (far_offer(1),), False))
    port.take_sent()
    market.fire(Timer(RELAY, 5))
    assert port.take_sent() == [(BUYER, Offers(5, (far_offer(1),), True))]
    market.fire(Timer(RELAY, 5))
    market.receive(ABOVE, Offers(5, (far_offer(2),), False))
    assert port.sent == []
    market.receive(BUYER, GetOffers(6, WANTED, True))
    assert [to for to, _ in port.take_sent()] == [BELOW]
