"""The supplier's rules: where offers go, when they change, what happens to lost traders
(reference 2.3, 2.4, 2.8)."""

from typing import Any

import pytest
from discovery_port import MINUTE, SECOND, RecordingPort, demand, node_in, partition_of

from shoal.core.discovery.contract import Demand
from shoal.core.discovery.messages import (
    CreateOffer,
    Refreshed,
    RefreshOffer,
    RefuseOffer,
    RemoveOffer,
    UpdateOffer,
)
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.presets import CARAVELA
from shoal.core.discovery.settings import Settings, Variant
from shoal.core.discovery.supplier import CHECK, SUPPLY
from shoal.core.ring.port import Draw, Timer

SMALL = partition_of(0, 1, 256)
MIDDLE = partition_of(0, 2, 512)
LARGE = partition_of(0, 2, 1024)


class Bench:
    """A supplier whose look-ups find a node at the start of the partition looked up."""

    def __init__(self, variant: Variant, total: Demand, **errors: Any) -> None:
        self.port = RecordingPort()
        self.total = total
        self.market = OfferMarket(
            port=self.port,
            own=1,
            total=total,
            draw=Draw(1),
            variant=variant,
            settings=Settings(**errors),
        )
        self.market.start()

    def answer(self) -> None:
        """Answer all look-ups."""
        for key, token, _ in self.port.take_finds():
            self.market.found(token, (node_in(CARAVELA.at(key)),), 3)

    def use(self, cores: float, megabytes: int, containers: int = 1) -> None:
        used = demand(self.total.cpu_class, cores, megabytes)
        free = Demand(
            self.total.cpu_class, self.total.cpus - used.cpus, self.total.memory - used.memory
        )
        self.market.changed(free, used, containers)

    def sent(self, kind: type) -> list[tuple[int, Any]]:
        """(partition of the receiver, message) of one kind, sent since the last take."""
        return [(CARAVELA.at(to), m) for to, m in self.port.sent if type(m) is kind]


def test_a_single_offer_goes_to_the_largest_partition_within_the_free_resources() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    [(key, token, count)] = bench.port.finds
    assert CARAVELA.at(key) == LARGE
    assert token < 0
    assert count == 3
    bench.answer()
    [(partition, message)] = bench.sent(CreateOffer)
    assert partition == LARGE
    assert message.free == demand(0, 2, 1500)
    assert message.used == demand(0, 0, 0)


def test_multiple_offers_go_to_all_partitions_within_and_state_everything_free() -> None:
    bench = Bench("multiple", demand(0, 2, 1500))
    bench.answer()
    created = bench.sent(CreateOffer)
    assert {partition for partition, _ in created} == {SMALL, MIDDLE, LARGE}
    assert {message.free for _, message in created} == {demand(0, 2, 1500)}
    assert len({message.offer for _, message in created}) == 3


def test_a_node_across_the_border_is_passed_over_for_the_next_one() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    [(_, token, _)] = bench.port.take_finds()
    bench.market.found(token, (node_in(MIDDLE), node_in(LARGE, 5)), 3)
    assert [to for to, _ in bench.port.sent] == [node_in(LARGE, 5)]


def test_where_a_partition_has_no_node_the_owner_of_the_position_gets_the_offer() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    [(key, token, _)] = bench.port.take_finds()
    assert CARAVELA.at(key) == LARGE
    bench.market.found(token, (node_in(12), node_in(12, 90)), 3)
    [(to, message)] = bench.port.take_sent()
    assert to == node_in(12)
    assert message.offer & 255 == LARGE


def test_a_failed_look_up_is_made_again_after_a_minute() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    [(_, token, _)] = bench.port.take_finds()
    bench.market.found(token, (), 3)
    assert bench.port.timers == [(MINUTE, Timer(SUPPLY, 0))]
    bench.market.fire(Timer(SUPPLY, 0))
    bench.answer()
    assert len(bench.sent(CreateOffer)) == 1


def test_offers_that_no_longer_fit_are_removed_and_new_ones_made() -> None:
    bench = Bench("multiple", demand(0, 2, 1500))
    bench.answer()
    bench.port.take_sent()
    bench.use(1, 500)
    assert {partition for partition, _ in bench.sent(RemoveOffer)} == {MIDDLE, LARGE}
    bench.port.take_sent()
    bench.use(0, 0, 0)
    bench.answer()
    assert {partition for partition, _ in bench.sent(CreateOffer)} == {MIDDLE, LARGE}


def test_with_updates_every_remaining_trader_hears_of_a_change() -> None:
    bench = Bench("multiple-updates", demand(0, 2, 1500))
    bench.answer()
    bench.port.take_sent()
    bench.use(0, 100)
    updated = bench.sent(UpdateOffer)
    assert {partition for partition, _ in updated} == {SMALL, MIDDLE, LARGE}
    assert {(m.free, m.used, m.containers) for _, m in updated} == {
        (demand(0, 2, 1400), demand(0, 0, 100), 1)
    }
    bench.port.take_sent()
    bench.use(0, 100)
    assert bench.port.sent == []


def test_without_updates_only_the_trader_of_the_used_offer_hears_of_a_change() -> None:
    bench = Bench("multiple", demand(0, 2, 1500))
    bench.answer()
    [used] = [message.offer for partition, message in bench.sent(CreateOffer) if partition == LARGE]
    bench.port.take_sent()
    bench.market.taken(used)
    bench.use(0, 100)
    assert [partition for partition, _ in bench.sent(UpdateOffer)] == [LARGE]


def test_a_single_offer_is_updated_within_its_partition_and_moved_out_of_it() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    bench.answer()
    bench.port.take_sent()
    bench.use(0, 100)
    assert [partition for partition, _ in bench.sent(UpdateOffer)] == [LARGE]
    bench.port.take_sent()
    bench.use(0, 800)
    assert [partition for partition, _ in bench.sent(RemoveOffer)] == [LARGE]
    bench.answer()
    assert [partition for partition, _ in bench.sent(CreateOffer)] == [MIDDLE]


def test_a_full_supplier_withdraws_everything() -> None:
    bench = Bench("multiple-updates", demand(0, 2, 1500))
    bench.answer()
    bench.port.take_sent()
    bench.use(2, 100)
    assert len(bench.sent(RemoveOffer)) == 3
    assert bench.market.supplier.offers == {}


def test_the_original_s_full_supplier_leaves_its_other_offers() -> None:
    bench = Bench("multiple-updates", demand(0, 2, 1500), keep_full=True, recreate=True)
    bench.answer()
    [used] = [message.offer for partition, message in bench.sent(CreateOffer) if partition == LARGE]
    bench.port.take_sent()
    bench.market.taken(used)
    bench.use(2, 100)
    assert [partition for partition, _ in bench.sent(RemoveOffer)] == [LARGE]
    assert len(bench.port.sent) == 1


def test_the_original_makes_a_used_offer_anew_under_another_number() -> None:
    bench = Bench("multiple-updates", demand(0, 2, 1500), recreate=True)
    bench.answer()
    [used] = [message.offer for partition, message in bench.sent(CreateOffer) if partition == LARGE]
    assert bench.market.admits(used, demand(0, 1, 100))
    bench.port.take_sent()
    bench.market.taken(used)
    bench.use(0, 100)
    bench.answer()
    [(partition, message)] = bench.sent(CreateOffer)
    assert partition == LARGE
    assert message.offer != used
    assert not bench.market.admits(used, demand(0, 1, 100))
    assert bench.market.admits(message.offer, demand(0, 1, 100))


def test_by_default_the_ledger_alone_decides() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    assert bench.market.admits(12345, demand(0, 1, 100))


def test_a_look_up_whose_offer_is_not_wanted_any_more_is_forgotten() -> None:
    bench = Bench("multiple", demand(0, 2, 1500))
    bench.use(2, 1500)
    bench.answer()
    assert bench.port.sent == []


def test_an_answer_that_came_too_late_does_not_count_for_a_newer_look_up() -> None:
    bench = Bench("single", demand(0, 1, 300))
    [(_, old, _)] = bench.port.take_finds()
    bench.use(1, 300)
    bench.use(0, 0, 0)
    [(_, new, _)] = bench.port.take_finds()
    bench.market.found(old, (node_in(SMALL, 1),), 3)
    assert bench.port.sent == []
    bench.market.found(new, (node_in(SMALL, 2),), 3)
    assert [to for to, _ in bench.port.sent] == [node_in(SMALL, 2)]


def test_an_offer_states_what_is_free_when_its_trader_is_found() -> None:
    bench = Bench("single", demand(0, 2, 1500))
    bench.use(0, 100)
    bench.answer()
    [(_, message)] = bench.sent(CreateOffer)
    assert message.free == demand(0, 2, 1400)


def test_a_refused_offer_is_tried_again_later() -> None:
    bench = Bench("single", demand(0, 1, 300))
    bench.answer()
    [(to, message)] = bench.port.take_sent()
    bench.market.receive(to, RefuseOffer(message.offer))
    assert bench.market.supplier.offers == {}
    assert (MINUTE, Timer(SUPPLY, 0)) in bench.port.timers
    bench.market.fire(Timer(SUPPLY, 0))
    assert len(bench.port.finds) == 1


def test_only_its_own_trader_is_told_that_an_offer_stands() -> None:
    bench = Bench("single", demand(0, 1, 300))
    bench.answer()
    [(trader, message)] = bench.port.take_sent()
    for sender, number, stands in (
        (trader, message.offer, True),
        (trader + 1, message.offer, False),
        (trader, message.offer + 256, False),
    ):
        bench.market.receive(sender, RefreshOffer(number))
        assert bench.port.take_sent() == [(sender, Refreshed(number, stands))]


@pytest.mark.parametrize("refreshed", [True, False])
def test_an_offer_that_its_trader_has_forgotten_is_made_elsewhere(refreshed: bool) -> None:
    bench = Bench("single", demand(0, 1, 300))
    bench.answer()
    [(trader, message)] = bench.port.take_sent()
    interval = 15 * MINUTE + 30 * SECOND
    assert bench.port.timers == [(interval, Timer(CHECK, 0))]
    for _ in range(3):
        bench.port.now += interval
        if refreshed:
            bench.market.receive(trader, RefreshOffer(message.offer))
        bench.market.fire(Timer(CHECK, 0))
    assert len(bench.port.finds) == (0 if refreshed else 1)
