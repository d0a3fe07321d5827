"""Workloads are pure functions of seed and tick, with the numbers of their originals."""

import gzip
from collections import Counter
from math import exp
from pathlib import Path
from statistics import mean

import pytest

from shoal.core.discovery.contract import Demand
from shoal.model.errors import ShoalError
from shoal.sim.experiments.workloads import Deploy, Stop, draw_for
from shoal.sim.experiments.workloads.generators import (
    Bursty,
    Count,
    Incremental,
    Jobs,
    Steady,
    Uniform,
)
from shoal.sim.experiments.workloads.stacks import Service, demands_of
from shoal.sim.experiments.workloads.streams import STREAMS, RateStream
from shoal.sim.experiments.workloads.trace import Trace

SECOND = 1_000_000_000


def _stream(name: str = "regular", seed: int = 1, nodes: int = 8191) -> RateStream:
    rates, profiles = STREAMS[name]
    return RateStream(rates=rates, profiles=profiles, seed=seed, nodes=nodes, ticks=360)


def test_the_regular_stream_asks_for_4_2_containers_a_node_in_two_hours() -> None:
    stream = _stream()
    made = [operation for tick in range(360) for operation in stream.operations(tick)]
    deploys = [operation for operation in made if isinstance(operation, Deploy)]
    # 14 steps of 26 ticks (the last of 22), each rate cut to whole requests as in the original.
    assert len(deploys) == 34_326
    assert len(deploys) / 8191 == pytest.approx(4.19, abs=0.01)
    assert len(made) - len(deploys) == 19_782


@pytest.mark.parametrize("name", list(STREAMS))
def test_profiles_come_in_their_shares(name: str) -> None:
    _, profiles = STREAMS[name]
    assert sum(profile.percent for profile in profiles) == 100
    stream = _stream(name, nodes=100_000)
    found = Counter(
        operation.demands[0]
        for tick in range(0, 360, 12)
        for operation in stream.operations(tick)
        if isinstance(operation, Deploy)
    )
    total = sum(found.values())
    for place, profile in enumerate(profiles):
        share = (profile.percent + (place == 0)) / 1.01
        assert found[profile.demand] / total * 100 == pytest.approx(share, abs=1)


def test_operations_are_in_order_inside_their_tick_and_the_same_every_time() -> None:
    stream, again = _stream(), _stream()
    for tick in (0, 137, 359):
        operations = stream.operations(tick)
        times = [operation.at for operation in operations]
        assert times == sorted(times)
        assert tick * 20 * SECOND <= times[0]
        assert times[-1] < (tick + 1) * 20 * SECOND
        assert operations == again.operations(tick)
    assert stream.operations(5) != _stream(seed=2).operations(5)
    assert stream.operations(400) == ()


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Steady(3), 3.0),
        (Bursty(0.5), 1 / (1 - exp(-0.5))),
        (Bursty(1), 1 / (1 - exp(-1))),
        (Uniform(1, 3), 2.0),
        (Incremental(2, 5), 2 * 999.5 + 5),
    ],
)
def test_generators_have_their_means(law: Count, expected: float) -> None:
    counts = [law(tick, draw_for(7, tick)) for tick in range(2000)]
    assert mean(counts) == pytest.approx(expected, rel=0.05)


def test_generators_keep_to_their_ranges() -> None:
    assert {Uniform(1, 3)(tick, draw_for(1, tick)) for tick in range(100)} == {1, 2, 3}
    assert min(Bursty(5)(tick, draw_for(1, tick)) for tick in range(1000)) == 1
    assert [Incremental(2, 5)(tick, draw_for(1, tick)) for tick in range(3)] == [5, 7, 9]


def test_jobs_bring_all_their_tasks() -> None:
    tasks = (Demand(0, 2000, 50_000_000),) * 4
    jobs = Jobs(count=Steady(2), demands=tasks, seed=1, interval=SECOND, lifetime=5 * SECOND)
    first, second = jobs.operations(3)
    assert isinstance(first, Deploy)
    assert isinstance(second, Deploy)
    assert (first.at, second.at) == (3 * SECOND, 3 * SECOND + SECOND // 2)
    assert first.demands == tasks
    assert first.lifetime == 5 * SECOND
    assert first.entry != second.entry


def test_stacks_sum_what_is_co_located_and_need_its_fastest_class() -> None:
    web, db, cache = Demand(0, 500, 100), Demand(1, 1000, 300), Demand(0, 250, 50)
    services = [
        Service(web, 2, "spread"),
        Service(db, 1, "co-location"),
        Service(cache, 2, "co-location"),
    ]
    assert demands_of(services) == (Demand(1, 1500, 400), web, web)
    assert demands_of(services[:1]) == (web, web)


_EVENTS = """\
600000000,,10,0,m1,4,u,0,0,,,,
600000000,,11,0,m1,0,u,0,0,0.1,0.05,0,
601000000,,11,0,m1,1,u,0,0,0.125,0.0625,0,
602500000,,11,1,m2,1,u,0,0,0.25,0.5,0,
605000000,,11,0,m1,4,u,0,0,0.125,0.0625,0,
"""


@pytest.mark.parametrize("packed", [False, True])
def test_event_files_deploy_when_scheduled_and_stop_when_ended(
    tmp_path: Path, *, packed: bool
) -> None:
    path = tmp_path / ("events.csv.gz" if packed else "events.csv")
    path.write_bytes(gzip.compress(_EVENTS.encode()) if packed else _EVENTS.encode())
    trace = Trace(path, seed=1, cores=8000, memory=1_000_000)
    made = [operation for tick in range(6) for operation in trace.operations(tick)]
    # Task 10 ran before the file begins, so its end says nothing.
    assert [type(operation) for operation in made] == [Deploy, Deploy, Stop]
    first, second, end = made
    assert isinstance(first, Deploy)
    assert isinstance(second, Deploy)
    assert [operation.at for operation in made] == [1_000_000_000, 2_500_000_000, 5_000_000_000]
    assert (first.demands[0].cpus, first.demands[0].memory) == (1000, 62_500)
    assert end.group == first.group != second.group


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2,3\n", "line 1: not a task event"),
        (_EVENTS + "5,,11,1,m2,1,u,0,0,0.25,0.5,0,\n", "line 6: earlier than"),
    ],
)
def test_wrong_event_files_are_refused_with_their_line(
    tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(text)
    with pytest.raises(ShoalError, match=says):
        Trace(path, seed=1, cores=1, memory=1)


def test_a_missing_event_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShoalError, match=r"cannot read the events in .*none\.csv"):
        Trace(tmp_path / "none.csv", seed=1, cores=1, memory=1)
