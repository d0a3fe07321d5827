"""The order of candidates, and the ledger that has the last word (reference 3.1)."""

from discovery_port import demand

from shoal.core.discovery.contract import Candidate, Demand
from shoal.core.discovery.ledger import Ledger
from shoal.core.discovery.rank import Ranking, score


def candidate(node: int, free: Demand, used: Demand, containers: int = 0) -> Candidate:
    return Candidate(node, 0, free, used, containers)


def test_the_score_is_the_sum_of_both_percentages_each_rounded_down() -> None:
    # 3 of 4 cores are 75%, 1500 of 4096 MB 36%.
    assert score(demand(0, 1, 500), demand(0, 2, 3096), demand(0, 2, 1000)) == 75 + 36


def test_what_is_not_asked_for_counts_as_full() -> None:
    assert score(demand(0, 0, 100), demand(0, 4, 1000), demand(0, 0, 0)) == 100 + 10


def test_without_used_the_score_is_demand_over_free() -> None:
    assert score(demand(0, 1, 500), demand(0, 4, 1000), demand(0, 0, 0)) == 25 + 50


def nodes_of(found: list[Candidate]) -> list[int]:
    return [one.node for one in found]


FULLER = candidate(1, demand(0, 1, 1000), demand(0, 3, 3000), 3)
EMPTIER = candidate(2, demand(0, 4, 4000), demand(0, 0, 0), 0)
TOO_SMALL = candidate(3, demand(0, 1, 400), demand(0, 3, 3600), 1)
TOO_SLOW = candidate(4, demand(0, 8, 8000), demand(0, 0, 0), 0)


def test_binpack_tries_the_fullest_first_and_spread_the_emptiest() -> None:
    wanted = demand(0, 1, 500)
    found = [EMPTIER, TOO_SMALL, FULLER]
    assert nodes_of(Ranking(found, wanted, "binpack").best(9)) == [1, 2]
    assert nodes_of(Ranking(found, wanted, "spread").best(9)) == [2, 1]


def test_a_slower_class_does_not_fit_and_a_faster_one_does() -> None:
    fast = candidate(5, demand(1, 4, 4000), demand(1, 0, 0))
    assert nodes_of(Ranking([TOO_SLOW, fast], demand(1, 1, 100), "binpack").best(9)) == [5]
    assert nodes_of(Ranking([fast], demand(0, 1, 100), "binpack").best(9)) == [5]


def test_equal_scores_are_ordered_by_containers_then_as_they_came() -> None:
    free, used = demand(0, 2, 2000), demand(0, 2, 2000)
    found = [candidate(1, free, used, 1), candidate(2, free, used, 2), candidate(3, free, used, 2)]
    wanted = demand(0, 1, 500)
    assert nodes_of(Ranking(found, wanted, "binpack").best(9)) == [2, 3, 1]
    assert nodes_of(Ranking(found, wanted, "spread").best(9)) == [1, 2, 3]


def test_candidates_are_handed_out_one_by_one_until_none_is_left() -> None:
    ranking = Ranking([EMPTIER, FULLER], demand(0, 1, 500), "binpack")
    assert ranking.next() is FULLER
    assert ranking.next() is EMPTIER
    assert ranking.next() is None


def test_a_ledger_takes_what_fits_and_changes_nothing_otherwise() -> None:
    ledger = Ledger(demand(1, 4, 4096))
    assert ledger.take((7, 1), demand(0, 3, 3000))
    assert not ledger.take((7, 2), demand(0, 2, 100))
    assert not ledger.take((7, 2), demand(0, 1, 1097))
    assert ledger.free == demand(1, 1, 1096)
    assert ledger.used == demand(1, 3, 3000)
    assert ledger.containers == 1


def test_a_ledger_refuses_a_faster_class_and_a_name_that_runs() -> None:
    ledger = Ledger(demand(0, 4, 4096))
    assert not ledger.take((7, 1), demand(1, 1, 1))
    assert ledger.take((7, 1), demand(0, 1, 1))
    assert not ledger.take((7, 1), demand(0, 1, 1))
    assert ledger.runs((7, 1))


def test_a_container_gives_back_once_what_it_took() -> None:
    ledger = Ledger(demand(0, 4, 4096))
    ledger.take((7, 1), demand(0, 3, 3000))
    assert ledger.give((7, 1))
    assert not ledger.give((7, 1))
    assert ledger.free == demand(0, 4, 4096)
    assert ledger.used == demand(0, 0, 0)
