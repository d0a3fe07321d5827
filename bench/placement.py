"""How fast and how well the placement core decides, on one core.

A placement is the whole cycle of a keeper: rank the nodes, assume the best, take over the load
with which the node answers, release. Nodes differ in size, labels and load; requests differ in
size, constraints and strategy. Groups are 100 identical requests, as of one service. Packing is
compared with a full scan that scores every node for every request.

Baselines are what the best peer reached on such a machine.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable

import msgspec

from bench.figure import Figure, figure
from shoal.core.placement import ClusterView, PlacementRequest, place_group, rank
from shoal.core.placement.filters import may_run
from shoal.core.placement.scores import Scorer, seed_of, tie_break
from shoal.model.container import PlacementRules
from shoal.model.node import EngineInfo, NodeInfo
from shoal.model.resources import Capacity, Load, Resources

Choose = Callable[[PlacementRequest, ClusterView, str], str | None]

GIB = 1 << 30
MIB = 1 << 20
RUNS = 3
WORSE = 1.1  # of what a full scan achieves
GROUP = 100
#: nodes -> (placements in a run, gate one by one, gate in groups, peer one by one, peer in groups)
SIZES: dict[int, tuple[int, int | None, int | None, int | None, int | None]] = {
    1_000: (2_000, None, None, None, None),
    5_000: (10_000, 5_000, 20_000, 3_600, 10_800),
    100_000: (10_000, 2_000, 2_000, 19, None),
}
MACHINES = ((4_000, 8 * GIB), (8_000, 32 * GIB), (16_000, 64 * GIB), (32_000, 64 * GIB))
CONSTRAINTS = ((), ("node.labels.disk==ssd",), ("node.labels.zone!=3", "node.labels.disk==hdd"))
ENGINE = EngineInfo(up=True)


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same figures every time is what is wanted


def cluster(count: int, rng: random.Random, *, fullest: float = 0.5) -> ClusterView:
    """Nodes of four sizes in five zones, each loaded up to `fullest`."""
    view = ClusterView()
    for _ in range(count):
        cpu, memory = rng.choice(MACHINES)
        node_id = f"{rng.getrandbits(256):064x}"
        share = rng.random() * fullest
        info = NodeInfo(
            id=node_id,
            name=node_id[:12],
            address="10.0.0.1",
            labels={"disk": "ssd" if rng.random() < 0.3 else "hdd", "zone": str(rng.randrange(5))},
            architecture="amd64",
            capacity=Capacity(cpu, memory),
            load=Load(int(cpu * share), int(memory * share), int(share * 10)),
            engine=ENGINE,
        )
        view.update(info, up=True)
    return view


def requests(count: int, rng: random.Random, strategy: str = "") -> list[PlacementRequest]:
    made = []
    for _ in range(count):
        resources = Resources(
            cpu_millis=rng.choice((100, 250, 500, 1_000, 2_000, 4_000)),
            memory=rng.choice((64, 256, 512, 1_024, 4_096, 8_192)) * MIB,
        )
        rules = PlacementRules(
            strategy="binpack"
            if (strategy or rng.choice(("spread", "binpack"))) == "binpack"
            else "spread",
            constraints=rng.choice(CONSTRAINTS),
        )
        made.append(PlacementRequest(resources=resources, rules=rules))
    return made


def choose_best(request: PlacementRequest, view: ClusterView, key: str) -> str | None:
    return next(iter(rank(request, view, key)), None)


def full_scan(request: PlacementRequest, view: ClusterView, key: str) -> str | None:
    """The best of all nodes by the same score."""
    seed, scorer = seed_of(key), Scorer(request)
    cpu, memory = request.cpu_floor, request.memory_floor
    best = min(
        (
            (-scorer.score(state), tie_break(seed, state.salt), state.info.id)
            for state in view.states()
            if state.free_cpu >= cpu and state.free_memory >= memory and may_run(request, state)
        ),
        default=None,
    )
    return None if best is None else best[2]


def place(view: ClusterView, request: PlacementRequest, key: str, choose: Choose) -> bool:
    """One cycle; false if no node has room."""
    node_id = choose(request, view, key)
    if node_id is None:
        return False
    view.assume(key, node_id, request.resources)
    state = view.state(node_id)
    assert state is not None
    load = state.load
    granted = Load(
        load.cpu_millis + request.resources.cpu_millis,
        load.memory + request.resources.memory,
        load.containers + 1,
    )
    view.release(key)
    view.update_load(node_id, granted)
    return True


def one_by_one(view: ClusterView, count: int, run: int) -> float:
    """Placements a second."""
    batch = requests(count, dice(run))
    start = time.perf_counter()
    placed = sum(
        place(view, request, f"{run}-{number}", choose_best) for number, request in enumerate(batch)
    )
    taken = time.perf_counter() - start
    assert placed == count, f"{count - placed} requests found no room"
    return count / taken


def in_groups(view: ClusterView, count: int, run: int) -> float:
    """Placements a second in groups of identical requests."""
    batch = requests(count // GROUP, dice(run))
    start = time.perf_counter()
    for number, request in enumerate(batch):
        keys = [f"g{run}-{number}-{member}" for member in range(GROUP)]
        nodes = place_group(request, view, keys)
        assert None not in nodes, "a group found no room"
    return count / (time.perf_counter() - start)


def throughput(nodes: int) -> list[Figure]:
    count, gate_one, gate_group, peer_one, peer_group = SIZES[nodes]
    singles, groups = [], []
    for run in range(RUNS):
        view = cluster(nodes, dice(nodes + run))
        gc.collect()
        singles.append(one_by_one(view, count, run))
        groups.append(in_groups(view, count, run))
    return [
        figure(
            f"placement_one_by_one_{nodes}", statistics.median(singles), "1/s",
            baseline=peer_one, gate=gate_one, more_is_better=True,
        ),
        figure(
            f"placement_groups_of_{GROUP}_{nodes}", statistics.median(groups), "1/s",
            baseline=peer_group, gate=gate_group, more_is_better=True,
        ),
    ]  # fmt: skip


def _used_nodes(view: ClusterView) -> float:
    return sum(1 for state in view.states() if state.containers)


def _largest_share(view: ClusterView) -> float:
    """Of the fullest percent of nodes, the mean share of their scarcer resource."""
    shares = sorted(
        max(state.used_cpu / state.cpu, state.used_memory / state.memory) for state in view.states()
    )
    fullest = shares[-max(len(shares) // 100, 1) :]
    return sum(fullest) / len(fullest)


def _missed(view: ClusterView, batch: list[PlacementRequest], choose: Choose) -> int:
    return sum(
        not place(view, request, f"q{number}", choose) for number, request in enumerate(batch)
    )


def packing(nodes: int = 1_000, count: int = 5_000) -> list[Figure]:
    """Sampled against full scan, from an empty cluster: nodes used by binpack, the fullest
    nodes' share by spread, and requests placed when there are more than fit."""
    rows = []
    measures = (("binpack", "nodes_used", _used_nodes), ("spread", "fullest_share", _largest_share))
    for strategy, name, measure in measures:
        values = []
        for choose in (choose_best, full_scan):
            view = cluster(nodes, dice(1), fullest=0)
            _missed(view, requests(count, dice(2), strategy), choose)
            values.append(measure(view))
        rows.append(_quality(f"packing_{strategy}_{name}", values, nodes))
    values = []
    for choose in (choose_best, full_scan):
        small = nodes // 5
        view = cluster(small, dice(3), fullest=0)
        batch = requests(small * 18, dice(4), "binpack")
        values.append(float(_missed(view, batch, choose)))
    rows.append(_quality("packing_binpack_refused_when_full", values, nodes // 5))
    return rows


def _quality(name: str, values: list[float], nodes: int) -> Figure:
    """At most 10% worse than a full scan; the gate is on the ratio."""
    plain = figure(f"{name}_{nodes}", values[0], "", baseline=values[1])
    met = plain.ratio is not None and plain.ratio <= WORSE
    return msgspec.structs.replace(plain, gate=WORSE, met=met)


def measure() -> list[Figure]:
    """All figures; about a minute."""
    return [*(one for nodes in SIZES for one in throughput(nodes)), *packing()]
