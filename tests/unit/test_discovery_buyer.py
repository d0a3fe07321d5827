"""The buyer's rules: where offers are looked for, and when the search ends (reference 2.4, 2.7)."""

from typing import Any

import pytest
from discovery_port import SECOND, RecordingPort, demand, node_in, partition_of

from shoal.core.discovery.buyer import ANSWER
from shoal.core.discovery.contract import Candidate, Demand
from shoal.core.discovery.hits import MOST_HITS, Hits
from shoal.core.discovery.messages import Carried, GetOffers, Offers
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.presets import CARAVELA
from shoal.core.discovery.settings import Settings, Variant
from shoal.core.ring.port import Draw, Timer

LARGE = demand(0, 3, 3000)
#: Where LARGE fits, ascending.
FITTING = [partition_of(*p) for p in ((0, 4, 4096), (1, 4, 4096), (1, 8, 4096), (1, 8, 8198))]


def offered(node: int) -> tuple[Candidate, ...]:
    return (Candidate(node, 1, demand(1, 8, 8198), demand(1, 0, 0), 0),)


class Bench:
    """A buyer with one search, token 5; each look-up finds two traders of its partition."""

    def __init__(self, variant: Variant, wanted: Demand = LARGE, **changes: Any) -> None:
        self.port = RecordingPort()
        self.market = OfferMarket(
            port=self.port,
            own=1,
            total=demand(0, 0, 0),
            draw=Draw(1),
            variant=variant,
            settings=Settings(**changes),
        )
        self.market.search(5, wanted)

    def look_up(self) -> int:
        """Answer the look-up under way; its partition."""
        [(key, token, _)] = self.port.take_finds()
        assert token == 5
        place = CARAVELA.at(key)
        self.market.found(token, (node_in(place, 1), node_in(place, 2)), 3)
        return place

    def asked(self) -> int:
        """The trader that is asked now."""
        [(to, message)] = self.port.take_sent()
        assert isinstance(message, GetOffers)
        assert message.relay
        assert isinstance(to, int)
        return to

    def miss(self) -> None:
        """Both traders have nothing."""
        for _ in range(2):
            self.market.receive(self.asked(), Offers(5, (), True))


def test_multiple_offers_are_looked_for_in_the_smallest_fitting_partition_only() -> None:
    bench = Bench("multiple", tries=2)
    assert bench.look_up() == FITTING[0]
    bench.miss()
    assert bench.look_up() == FITTING[0]
    bench.miss()
    assert bench.port.answers == {5: []}


def test_the_first_trader_with_offers_ends_the_search() -> None:
    bench = Bench("multiple")
    bench.look_up()
    bench.market.receive(bench.asked(), Offers(5, (), True))
    bench.market.receive(bench.asked(), Offers(5, offered(7), True))
    assert bench.port.answers == {5: list(offered(7))}
    assert bench.port.sent == []


def test_nodes_of_other_partitions_are_asked_only_where_no_other_was_found() -> None:
    beyond = [node_in(FITTING[0] + 1, percent) for percent in (10, 20)]
    for found, expected in (
        ((node_in(FITTING[0], 90), *beyond), [node_in(FITTING[0], 90)]),
        (tuple(beyond), beyond),
    ):
        bench = Bench("multiple")
        [(_, token, _)] = bench.port.take_finds()
        bench.market.found(token, found, 3)
        asked = []
        while bench.port.sent:
            [(to, _)] = bench.port.take_sent()
            asked.append(to)
            bench.market.receive(to, Offers(5, (), True))
        assert asked == expected
        assert bench.port.answers == {5: []}


def test_more_than_any_partition_stands_for_is_looked_for_in_the_largest() -> None:
    bench = Bench("multiple", demand(0, 16, 64000))
    assert bench.look_up() == partition_of(0, 4, 4096)
    beyond_every_class = Bench("multiple", demand(2, 1, 100))
    assert beyond_every_class.port.answers == {5: []}


def test_a_single_offer_is_looked_for_upwards_through_all_fitting_partitions() -> None:
    bench = Bench("single")
    for place in FITTING:
        assert bench.look_up() == place
        bench.miss()
    assert bench.port.answers == {5: []}


def test_under_spread_a_single_offer_is_looked_for_downwards() -> None:
    bench = Bench("single", policy="spread")
    for place in reversed(FITTING):
        assert bench.look_up() == place
        bench.miss()
    assert bench.port.answers == {5: []}


def test_under_spread_multiple_offers_are_looked_for_in_the_smallest_partition_all_the_same() -> (
    None
):
    assert Bench("multiple-updates", policy="spread").look_up() == FITTING[0]


@pytest.mark.parametrize("climb", [0, 1, 2])
def test_so_many_further_partitions_are_tried_as_is_set(climb: int) -> None:
    bench = Bench("single", climb=climb)
    for place in FITTING[: climb + 1]:
        assert bench.look_up() == place
        bench.miss()
    assert bench.port.answers == {5: []}


def test_a_failed_look_up_counts_as_one_that_found_nobody() -> None:
    bench = Bench("single", climb=1)
    for _ in range(2):
        [(_, token, _)] = bench.port.take_finds()
        bench.market.found(token, (), 0)
    assert bench.port.answers == {5: []}


def test_a_trader_that_does_not_answer_is_passed_over() -> None:
    bench = Bench("multiple", answer_timeout=2 * SECOND)
    bench.look_up()
    first = bench.asked()
    assert bench.port.timers == [(2 * SECOND, Timer(ANSWER, 5))]
    bench.port.now = 2 * SECOND
    bench.market.fire(Timer(ANSWER, 5))
    second = bench.asked()
    assert second != first
    # A late empty answer of the first is not the second's.
    bench.market.receive(first, Offers(5, (), True))
    assert bench.port.answers == {}
    # A late answer with offers is welcome.
    bench.market.receive(first, Offers(5, offered(7), True))
    assert bench.port.answers == {5: list(offered(7))}
    bench.market.receive(second, Offers(5, offered(8), True))
    bench.market.fire(Timer(ANSWER, 5))
    assert bench.port.answers == {5: list(offered(7))}


def test_one_timer_serves_all_questions_of_a_search() -> None:
    bench = Bench("multiple", answer_timeout=2 * SECOND)
    bench.look_up()
    bench.port.now = SECOND
    bench.market.receive(bench.asked(), Offers(5, (), True))
    bench.asked()
    assert len(bench.port.timers) == 1
    bench.port.now = 2 * SECOND
    bench.market.fire(Timer(ANSWER, 5))
    assert bench.port.answers == {}
    assert bench.port.timers[1:] == [(SECOND, Timer(ANSWER, 5))]
    bench.port.now = 3 * SECOND
    bench.market.fire(Timer(ANSWER, 5))
    assert bench.port.answers == {5: []}


def test_where_nothing_is_lost_no_timer_is_set() -> None:
    bench = Bench("multiple", answer_timeout=None)
    bench.look_up()
    assert bench.port.timers == []


def test_partitions_without_hits_are_mostly_skipped_and_a_skip_is_no_try() -> None:
    seen = []
    for seed in range(300):
        bench = Bench("single", partition_state=10, climb=0)
        empty = bytes(0 if leaf.index == FITTING[0] else 10 for leaf in CARAVELA.leaves)
        bench.market.receive(9, Carried(0, empty, Offers(99, (), True)))
        bench.port.take_finds()
        for _ in range(seed):
            bench.market._context.draw.bits()
        bench.market.search(6, LARGE)
        [(key, _, _)] = bench.port.take_finds()
        seen.append(CARAVELA.at(key))
    assert 10 <= seen.count(FITTING[0]) <= 60
    assert seen.count(FITTING[0]) + seen.count(FITTING[1]) == 300


def test_hits_travel_with_every_message() -> None:
    bench = Bench("single", partition_state=10)
    bench.look_up()
    [(to, message)] = bench.port.take_sent()
    assert isinstance(message, Carried)
    assert message.token == 5
    assert isinstance(message.inside, GetOffers)
    bench.market.receive(to, Offers(5, (), True))
    [(_, message)] = bench.port.take_sent()
    assert message.hits[FITTING[0]] == 9


def test_hits_start_full_and_stay_within_the_buffer() -> None:
    hits, draw = Hits(2, 3), Draw(1)
    assert all(hits.worth(0, draw) for _ in range(100))
    hits.count(0, hit=True)
    assert hits.told()[0] == 3
    for _ in range(5):
        hits.count(0, hit=False)
    assert hits.told()[0] == 0
    tried = sum(hits.worth(0, draw) for _ in range(2000))
    assert 140 <= tried <= 260


def test_merging_takes_the_mean_rounded_down_and_what_only_the_other_knows() -> None:
    mine, theirs = Hits(3, 20), Hits(3, 20)
    mine.count(0, hit=False)
    for _ in range(4):
        theirs.count(0, hit=False)
        theirs.count(1, hit=False)
    mine.merge(theirs.told())
    assert list(mine.told()[:2]) == [(19 + 16) // 2, 16]
    assert mine.told()[2] == theirs.told()[2]


@pytest.mark.parametrize("size", [0, MOST_HITS + 1])
def test_a_buffer_that_does_not_fit_a_byte_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="partition_state is"):
        Hits(3, size)
