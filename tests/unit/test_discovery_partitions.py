"""The resource table against the text of the original's specification (reference 2.1, 2.6)."""

import pytest
from discovery_port import demand, partition_of

from shoal.core.discovery.contract import Demand
from shoal.core.discovery.partitions import (
    ClassShare,
    CoreShare,
    MemoryShare,
    Partitions,
    TableError,
    Targets,
    highest,
    lowest,
    next_higher,
    next_lower,
)
from shoal.core.discovery.presets import CARAVELA, MB, machine
from shoal.core.ring.circle import SIZE
from shoal.core.ring.port import Draw


def one_core(*memories: tuple[int, int]) -> CoreShare:
    return CoreShare(1000, 100, tuple(MemoryShare(mb * MB, percent) for mb, percent in memories))


def share_of(partition: int) -> float:
    leaf = CARAVELA.leaves[partition]
    return (leaf.end - leaf.start) / SIZE


def test_the_original_s_table_has_13_partitions_of_the_sizes_it_is_described_with() -> None:
    assert len(CARAVELA.leaves) == 13
    slow = sum(share_of(leaf.index) for leaf in CARAVELA.leaves if leaf.demand.cpu_class == 0)
    assert slow == pytest.approx(0.65)
    assert share_of(partition_of(0, 1, 256)) == pytest.approx(0.325)
    assert share_of(partition_of(1, 8, 8198)) == pytest.approx(0.01225)


def test_partitions_ascend_on_the_ring_by_class_then_cores_then_memory() -> None:
    demands = [leaf.demand for leaf in CARAVELA.leaves]
    assert demands == sorted(demands, key=lambda d: (d.cpu_class, d.cpus, d.memory))
    starts = [leaf.start for leaf in CARAVELA.leaves]
    assert starts == sorted(starts)


@pytest.mark.parametrize(
    ("wanted", "fittest"),
    [
        (demand(0, 1, 250), (0, 1, 256)),
        (demand(0, 1, 500), (0, 2, 512)),
        (demand(0, 2, 1000), (0, 2, 1024)),
        # First match over class, cores, memory: 4 slow cores come before 2 fast ones.
        (demand(0, 2, 2000), (0, 4, 2048)),
        (demand(0, 3, 3000), (0, 4, 4096)),
        (demand(0, 6, 5000), (1, 8, 8198)),
        (demand(1, 2, 2000), (1, 4, 2048)),
        (demand(1, 6, 5000), (1, 8, 8198)),
        (demand(1, 0, 0), (1, 1, 256)),
    ],
)
def test_fittest_search_is_the_smallest_partition_that_contains_the_demand(
    wanted: Demand, fittest: tuple[int, int, int]
) -> None:
    assert lowest(CARAVELA.suited(wanted)) == partition_of(*fittest)


def test_highest_search_is_the_largest_partition_whatever_smaller_ones_contain() -> None:
    assert highest(CARAVELA.suited(demand(0, 1, 250))) == partition_of(1, 8, 8198)


def test_no_partition_contains_more_than_the_largest() -> None:
    assert CARAVELA.suited(demand(0, 9, 100)) == 0
    assert CARAVELA.suited(demand(2, 1, 100)) == 0
    assert lowest(0) == -1
    assert highest(0) == -1


@pytest.mark.parametrize(
    ("free", "fittest", "count"),
    [
        (demand(0, 1, 256), (0, 1, 256), 1),
        (demand(0, 3, 3596), (0, 2, 1024), 3),
        (demand(0, 4, 4096), (0, 4, 4096), 6),
        # Fast cores with little memory: the largest by class comes first.
        (demand(1, 4, 1500), (1, 2, 1024), 7),
        (demand(1, 8, 8198), (1, 8, 8198), 13),
    ],
)
def test_offers_go_to_the_partitions_that_the_free_resources_contain(
    free: Demand, fittest: tuple[int, int, int], count: int
) -> None:
    offered = CARAVELA.offered(free)
    assert highest(offered) == partition_of(*fittest)
    assert offered.bit_count() == count


def test_nothing_is_offered_by_a_full_node() -> None:
    assert CARAVELA.offered(demand(1, 0, 8198)) == 0
    assert CARAVELA.offered(demand(0, 1, 255)) == 0


def test_walks_go_only_to_partitions_that_still_fit() -> None:
    suited = CARAVELA.suited(demand(0, 3, 3000))
    up = [lowest(suited)]
    while (step := next_higher(suited, up[-1])) >= 0:
        up.append(step)
    assert up == [
        partition_of(*p) for p in ((0, 4, 4096), (1, 4, 4096), (1, 8, 4096), (1, 8, 8198))
    ]
    down = [highest(suited)]
    while (step := next_lower(suited, down[-1])) >= 0:
        down.append(step)
    assert down == up[::-1]


def test_super_traders_are_spaced_by_scale_times_a_node_s_share_of_the_circle() -> None:
    targets = Targets(8191, 7)
    leaf = CARAVELA.leaves[0]
    draw = Draw(1)
    step = SIZE // 8191 * 7
    drawn = {targets.draw(leaf, draw) for _ in range(20_000)}
    assert all((target - leaf.start) % step == 0 for target in drawn)
    assert all(leaf.start <= target < leaf.end for target in drawn)
    assert len(drawn) == -(-(leaf.end - leaf.start) // step)


def test_a_partition_smaller_than_the_step_has_its_first_position_as_only_target() -> None:
    leaf = CARAVELA.leaves[-1]
    draw = Draw(1)
    assert {Targets(5, 7).draw(leaf, draw) for _ in range(50)} == {leaf.start}


def test_machines_are_distributed_as_the_table_is_split() -> None:
    draw = Draw(3)
    machines = [machine(CARAVELA, draw) for _ in range(20_000)]
    for leaf in CARAVELA.leaves:
        assert machines.count(leaf.demand) / 20_000 == pytest.approx(leaf.weight / 1e6, abs=0.012)


@pytest.mark.parametrize(
    ("classes", "text"),
    [
        ((ClassShare(0, 99, (one_core((256, 100)),)),), "classes: percentages [99]"),
        ((), "classes: percentages []"),
        ((ClassShare(0, 100, ()),), "cores of class 0: percentages []"),
        (
            (ClassShare(0, 100, (one_core((256, 50), (512, 60)),)),),
            "memories of 1000 millicores of class 0: percentages [50, 60]",
        ),
        (
            (ClassShare(0, 100, (one_core((512, 50), (256, 50)),)),),
            "memories of 1000 millicores of class 0: values [512000000, 256000000]",
        ),
        ((ClassShare(0, 100, (one_core((256, 100), (512, 0)),)),), "percentages [100, 0]"),
    ],
)
def test_a_wrong_table_is_refused_and_the_place_named(
    classes: tuple[ClassShare, ...], text: str
) -> None:
    with pytest.raises(TableError) as caught:
        Partitions(classes)
    assert text in str(caught.value)


def test_more_partitions_than_an_offer_s_number_can_name_are_refused() -> None:
    cores = tuple(
        CoreShare(1000 * i, 1, tuple(MemoryShare(j, 25) for j in range(4))) for i in range(1, 101)
    )
    with pytest.raises(TableError, match="400 partitions"):
        Partitions((ClassShare(0, 100, cores),))
