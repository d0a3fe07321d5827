"""The index chooses exactly what a scan over all nodes would choose, and books never lie."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.discovery.contract import Candidate, Demand, Policy
from shoal.core.discovery.fleet import Fleet
from shoal.core.discovery.ledger import Ledger
from shoal.core.discovery.rank import score

TOTALS = (Demand(0, 1000, 256), Demand(0, 4000, 2048), Demand(1, 4000, 2048), Demand(1, 8000, 4096))
DEMANDS = (Demand(0, 1000, 250), Demand(0, 500, 100), Demand(1, 2000, 750), Demand(0, 0, 300))

nodes = st.integers(0, 30)
changes = st.tuples(
    nodes,
    st.sampled_from(TOTALS),
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 3),
    st.booleans(),
)


def scan(known: dict[int, Candidate], demand: Demand, policy: Policy) -> list[Candidate]:
    """All that fit, by score, then containers, then position."""
    fitting = [one for one in known.values() if demand.fits(one.free)]
    sign = -1 if policy == "binpack" else 1
    return sorted(
        fitting,
        key=lambda one: (
            sign * score(demand, one.free, one.used),
            sign * one.containers,
            one.node,
        ),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(("binpack", "spread")),
    st.lists(st.lists(changes, max_size=12), max_size=12),
    st.integers(1, 5),
)
def test_the_fleet_chooses_what_a_scan_would_choose(
    policy: Policy, rounds: list[list[tuple[int, Demand, int, int, int, bool]]], count: int
) -> None:
    fleet = Fleet(policy)
    known: dict[int, Candidate] = {}
    for changed in rounds:
        for node, total, quarters, eighths, containers, gone in changed:
            if gone:
                fleet.drop(node)
                known.pop(node, None)
                continue
            used = Demand(total.cpu_class, total.cpus * quarters // 4, total.memory * eighths // 8)
            free = Demand(total.cpu_class, total.cpus - used.cpus, total.memory - used.memory)
            fleet.put(node, free, used, containers)
            known[node] = Candidate(node, 0, free, used, containers)
        assert len(fleet) == len(known)
        for demand in DEMANDS:
            expected = scan(known, demand, policy)
            chosen = fleet.best(demand, count)
            assert chosen == expected[:count]
            if chosen and demand is DEMANDS[0]:
                fleet.reserve(chosen[0], demand)
                first = chosen[0]
                known[first.node] = Candidate(
                    first.node,
                    0,
                    Demand(
                        first.free.cpu_class,
                        first.free.cpus - demand.cpus,
                        first.free.memory - demand.memory,
                    ),
                    Demand(
                        first.used.cpu_class,
                        first.used.cpus + demand.cpus,
                        first.used.memory + demand.memory,
                    ),
                    first.containers + 1,
                )


def test_what_the_index_remembers_is_bounded_by_the_nodes() -> None:
    fleet = Fleet("binpack")
    total = Demand(0, 1_000_000, 1_000_000)
    demand = Demand(0, 1, 1)
    for turn in range(20_000):
        node = turn % 10
        fleet.put(node, Demand(0, 1_000_000 - turn, 1_000_000), Demand(0, turn, 0), turn % 3)
        fleet.best(demand, 1)
    assert len(fleet._shapes) <= 2 * 10 + 1024 + 1
    for turn in range(20_000):
        fleet.put(turn % 10, total, Demand(0, 0, 0), turn // 10 % 2)
    shape = fleet._shapes[total, Demand(0, 0, 0)]
    assert all(len(group.heap) <= 2 * group.live + 32 for group in shape.groups.values())


amounts = st.integers(0, 3000)
calls = st.tuples(
    st.booleans(), st.integers(0, 5), st.builds(Demand, st.integers(0, 1), amounts, amounts)
)


@given(st.lists(calls, max_size=40))
def test_a_ledger_never_over_commits(made: list[tuple[bool, int, Demand]]) -> None:
    total = Demand(0, 4000, 4096)
    ledger = Ledger(total)
    running: dict[int, Demand] = {}
    for take, name, demand in made:
        if take:
            fits = (
                name not in running
                and demand.cpu_class == 0
                and sum(one.cpus for one in running.values()) + demand.cpus <= total.cpus
                and sum(one.memory for one in running.values()) + demand.memory <= total.memory
            )
            assert ledger.take((name, 1), demand) == fits
            if fits:
                running[name] = demand
        else:
            assert ledger.give((name, 1)) == (running.pop(name, None) is not None)
        assert ledger.containers == len(running)
        assert ledger.used.cpus == sum(one.cpus for one in running.values())
        assert ledger.free.cpus == total.cpus - ledger.used.cpus >= 0
        assert ledger.free.memory == total.memory - ledger.used.memory >= 0
