"""Whatever the resource table: ranges tile the circle and masks say what a scan would say."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.discovery.contract import Demand
from shoal.core.discovery.partitions import (
    ClassShare,
    CoreShare,
    MemoryShare,
    Partitions,
    Targets,
    highest,
    lowest,
    next_higher,
    next_lower,
)
from shoal.core.ring.circle import SIZE
from shoal.core.ring.port import Draw

AMOUNTS = st.integers(0, 12)


@st.composite
def shares(draw: st.DrawFn, most: int = 4) -> list[tuple[int, int]]:
    """Ascending values and percentages that sum to 100."""
    values = sorted(draw(st.sets(AMOUNTS, min_size=1, max_size=most)))
    cuts = sorted(draw(st.sets(st.integers(1, 99), min_size=len(values) - 1, max_size=len(values))))
    bounds = [0, *cuts[: len(values) - 1], 100]
    percents = [high - low for low, high in pairwise(bounds)]
    return list(zip(values, percents, strict=True))


@st.composite
def tables(draw: st.DrawFn) -> Partitions:
    return Partitions(
        tuple(
            ClassShare(
                cpu_class,
                percent,
                tuple(
                    CoreShare(cpus, share, tuple(MemoryShare(*memory) for memory in draw(shares())))
                    for cpus, share in draw(shares())
                ),
            )
            for cpu_class, percent in draw(shares(most=2))
        )
    )


demands = st.builds(Demand, AMOUNTS, AMOUNTS, AMOUNTS)


@given(tables())
def test_partitions_tile_the_circle(table: Partitions) -> None:
    assert table.leaves[0].start == 0
    assert table.leaves[-1].end == SIZE
    for before, after in pairwise(table.leaves):
        assert before.start < before.end == after.start
    assert sum(leaf.weight for leaf in table.leaves) == 1_000_000
    for leaf in table.leaves:
        share = (leaf.end - leaf.start) / SIZE
        assert abs(share - leaf.weight / 1e6) < 1e-12


@given(tables(), st.integers(0, SIZE - 1))
def test_every_position_lies_in_its_partition(table: Partitions, position: int) -> None:
    leaf = table.leaves[table.at(position)]
    assert leaf.start <= position < leaf.end
    for leaf in table.leaves:
        assert table.at(leaf.start) == leaf.index == table.at(leaf.end - 1)


@settings(max_examples=300)
@given(tables(), demands)
def test_the_fittest_partition_contains_the_demand_and_no_smaller_one_does(
    table: Partitions, demand: Demand
) -> None:
    containing = [leaf.index for leaf in table.leaves if demand.fits(leaf.demand)]
    suited = table.suited(demand)
    assert lowest(suited) == min(containing, default=-1)
    assert highest(suited) == max(containing, default=-1)
    walk, place = [], lowest(suited)
    while place >= 0:
        walk.append(place)
        place = next_higher(suited, place)
    assert walk == containing


@settings(max_examples=300)
@given(tables(), demands)
def test_offers_go_to_exactly_the_partitions_that_the_free_resources_contain(
    table: Partitions, free: Demand
) -> None:
    contained = [leaf.index for leaf in table.leaves if leaf.demand.fits(free)]
    offered = table.offered(free)
    walk, place = [], highest(offered)
    while place >= 0:
        walk.append(place)
        place = next_lower(offered, place)
    assert walk == contained[::-1]


@given(tables(), st.none() | st.integers(1, 1 << 24), st.integers(1, 50), st.integers(0, 1 << 63))
def test_targets_lie_in_their_partition(
    table: Partitions, estimate: int | None, scale: int, seed: int
) -> None:
    targets, draw = Targets(estimate, scale), Draw(seed)
    for leaf in table.leaves:
        assert leaf.start <= targets.draw(leaf, draw) < leaf.end
