"""Experiments from file to report: figures in their bands, the same to the byte, interrupted."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shoal.sim.experiments.checkpoint import NAME
from shoal.sim.experiments.experiment import Experiment
from shoal.sim.experiments.results import Result, outside
from shoal.sim.experiments.runner import Order, carry_out
from shoal.sim.experiments.sweep import carry_out_all
from shoal.sim.experiments.toml import parse

_EXPERIMENTS = Path(__file__).parents[2] / "experiments"
_SMALL = 'name = "x"\nnodes = 255\nduration = "10m"\n'


def _experiment(text: str = "", strategy: str = "multiple-updates") -> Experiment:
    return parse(f'{_SMALL}strategy = "{strategy}"\n{text}', "test")


def _run(experiment: Experiment, base: Path = _EXPERIMENTS) -> Result:
    result = carry_out(Order(experiment=experiment, base=base, quiet=True))
    assert result is not None
    return result


def _figures(text: str = "", strategy: str = "multiple-updates") -> dict[str, Any]:
    return _run(_experiment(text, strategy)).summary["figures"]  # type: ignore[no-any-return]


def _shoal(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "shoal", "sim", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("name", ["ci-strategies", "ci-churn", "ci-sites"])
def test_figures_stay_in_their_bands(name: str, tmp_path: Path) -> None:
    file = _EXPERIMENTS / f"{name}.toml"
    _shoal("run", file, "--out", tmp_path, "--format", "csv", "--quiet")
    results = sorted(tmp_path.iterdir())
    for result in results:
        assert {path.name for path in result.iterdir()} == {
            "nodes.csv",
            "report.html",
            "requests.csv",
            "run.json",
            "summary.json",
        }
    compared = _shoal("compare", *results).stdout
    assert "success / allocation efficiency" in compared
    report = tmp_path / "all.html"
    _shoal("report", *results, "--out", report)
    html = report.read_text()
    assert html.count("<svg") >= 10
    assert "http" not in html


def test_a_figure_outside_its_band_fails_the_run(tmp_path: Path) -> None:
    file = tmp_path / "strict.toml"
    file.write_text(_SMALL.replace("10m", "1m") + "[bands]\nsuccess = [2.0, 3.0]\n")
    done = _shoal("run", file, "--out", tmp_path, "--format", "csv", "--quiet", code=1)
    assert "success is " in done.stderr
    assert ", not in 2 to 3" in done.stderr


@pytest.mark.parametrize("strategy", ["single", "multiple-updates", "random", "central"])
def test_the_same_seed_gives_the_same_bytes(strategy: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        _run(_experiment(strategy=strategy)).save(tmp_path / name, "csv")
    _same(tmp_path / "a", tmp_path / "b")
    other = _run(_experiment("seed = 2", strategy=strategy))
    assert (
        other.summary["figures"] != json.loads((tmp_path / "a/summary.json").read_text())["figures"]
    )


def _same(first: Path, second: Path) -> None:
    for file in ("summary.json", "nodes.csv", "requests.csv"):
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


_CHURN = """
[churn]
crashes = 2.0
joins = 2.0
[network]
loss = 0.01
sites = [{ name = "a" }, { name = "b" }]
[containers]
lifetime = "3m"
pull = "2s"
"""


@pytest.mark.parametrize("text", ["", _CHURN])
def test_an_interrupted_run_goes_on_to_the_same_bytes(text: str, tmp_path: Path) -> None:
    experiment = _experiment(text)
    _run(experiment).save(tmp_path / "whole", "csv")
    parts = Order(experiment=experiment, base=tmp_path, directory=tmp_path, quiet=True)
    from dataclasses import replace

    second = 1_000_000_000
    assert carry_out(replace(parts, stop_after=123 * second)) is None
    assert (tmp_path / NAME).exists()
    assert carry_out(replace(parts, stop_after=456 * second, resume=True)) is None
    result = carry_out(replace(parts, resume=True))
    assert result is not None
    result.save(tmp_path / "parts", "csv")
    _same(tmp_path / "whole", tmp_path / "parts")


def test_a_checkpoint_of_another_experiment_is_refused(tmp_path: Path) -> None:
    from shoal.model.errors import BadRequest

    order = Order(
        experiment=_experiment(), base=tmp_path, directory=tmp_path, quiet=True, stop_after=10**9
    )
    assert carry_out(order) is None
    other = Order(
        experiment=_experiment("seed = 5"),
        base=tmp_path,
        directory=tmp_path,
        resume=True,
        quiet=True,
    )
    with pytest.raises(BadRequest, match="is of another experiment or version"):
        carry_out(other)


def test_look_ups_take_the_hops_that_their_base_promises() -> None:
    """Half of log2(n), of base b about (b - 1) / b of log(n) / log(b); the last hop is spared."""
    hops = {base: _figures(f"[ring]\nbase = {base}")["hops_per_lookup"] for base in (2, 4, 16)}
    assert 3.0 < hops[2] < 4.2
    assert hops[2] > hops[4] > hops[16]


def test_iterative_look_ups_find_the_same() -> None:
    recursive, iterative = (
        _figures(f'[ring]\nmode = "{mode}"') for mode in ("recursive", "iterative")
    )
    assert iterative["success"] == pytest.approx(recursive["success"], abs=0.05)
    assert iterative["messages_per_request"]["mean"] > recursive["messages_per_request"]["mean"]


def test_a_request_pays_for_its_hops_answers_questions_and_launches() -> None:
    result = _run(_experiment(strategy="random"))
    requests, kinds = result.tables["requests"], result.summary["kinds"]
    look_ups = sum(requests["visits"])
    paid = len(requests["asked"]) + sum(requests["hops"]) + look_ups
    paid += kinds["discovery.GetFree"]["count"] + kinds["launch.Launch"]["count"]
    assert sum(requests["messages"]) == paid
    assert look_ups == kinds["ring.Found"]["count"] == sum(result.tables["nodes"]["visits"])


def test_a_visit_of_the_owner_makes_a_look_up_one_message_dearer() -> None:
    result = _run(_experiment(strategy="random"))
    requests, figures = result.tables["requests"], result.summary["figures"]
    assert all(
        visits == (hops > 0)
        for hops, visits in zip(requests["hops"], requests["visits"], strict=True)
    )
    for per, count in (("request", figures["requests"]), ("node", 255)):
        sent, counted = (
            figures[f"messages_per_{per}{end}"]["mean"] for end in ("", "_with_visits")
        )
        assert counted - sent == pytest.approx(sum(requests["visits"]) / count, abs=0.001)


def test_questions_that_carry_the_state_of_partitions_are_paid_for() -> None:
    result = _run(_experiment("[discovery]\npartition_state = 15"))
    requests = result.tables["requests"]
    questions = sum(requests["messages"]) - sum(requests["hops"]) - sum(requests["visits"])
    questions -= len(requests["asked"]) + result.summary["kinds"]["launch.Launch"]["count"]
    assert questions > 0.5 * len(requests["asked"])


def test_workers_that_look_the_master_up_route_and_send_as_many_reports() -> None:
    plain = _run(_experiment(strategy="central")).summary
    text = '[discovery]\nerrors = ["lookup_master"]'
    looking = _run(_experiment(text, strategy="central")).summary
    figures = looking["figures"]
    reports = looking["kinds"]["discovery.Report"]["count"]
    assert figures["lookups"] == reports
    assert plain["figures"]["lookups"] == 0
    assert plain["kinds"]["discovery.Report"]["count"] == pytest.approx(reports, rel=0.05)
    assert plain["figures"]["success"] == pytest.approx(figures["success"], abs=0.05)
    assert plain["figures"]["state_per_node"]["median"] == 0
    assert figures["state_per_node"]["min"] > 0


def test_without_churn_maintenance_is_elided_and_changes_nothing() -> None:
    elided = _run(_experiment())
    kept = _run(_experiment('[ring]\nmaintenance = "always"'))
    assert "maintenance was elided" in elided.summary["notes"][0]
    assert "elided" not in " ".join(kept.summary["notes"])
    assert elided.summary["figures"]["upkeep_messages_per_node"]["max"] == 0
    assert kept.summary["figures"]["upkeep_messages_per_node"]["mean"] > 10
    for name in ("success", "hops_per_lookup", "requests"):
        expected = elided.summary["figures"][name]
        assert kept.summary["figures"][name] == pytest.approx(expected, rel=0.05)


_JOBS = """
[workload]
kind = "steady"
jobs = 1
tick = "20s"
services = [
  { cpus = 0.5, memory = 100, containers = 2, policy = "co-location" },
  { cpus = 1, memory = 200, containers = 3 },
]
[containers]
lifetime = "1m"
pull = "5s"
"""


def test_stacks_are_placed_together_and_apart_and_end() -> None:
    result = _run(_experiment(_JOBS))
    figures = result.summary["figures"]
    assert figures["requests"] == 30
    assert figures["success"] > 0.9
    assert set(result.tables["requests"]["containers"]) == {4}
    assert figures["stops"] > 20
    assert 0.0 < figures["system_use"] < 0.1
    requests = result.tables["requests"]
    waits = [
        running - ended
        for running, ended in zip(requests["running"], requests["ended"], strict=True)
        if running >= 0
    ]
    assert max(waits) == 5000  # an image is pulled


def test_events_of_a_trace_are_replayed(tmp_path: Path) -> None:
    (tmp_path / "trace.csv").write_text(
        "".join(f"{i * 1_000_000},,{i},0,m,1,u,0,0,0.05,0.01,0,\n" for i in range(60))
        + "".join(f"{(60 + i) * 1_000_000},,{i},0,m,4,u,0,0,,,,\n" for i in range(60))
    )
    experiment = _experiment('[workload]\nkind = "trace"\nfile = "trace.csv"')
    figures = _run(experiment, tmp_path).summary["figures"]
    assert figures["requests"] == 60
    assert figures["stops"] == figures["succeeded"] > 50
    assert figures["system_use"] == 0


def test_a_sweep_in_processes_is_the_same_as_one_after_the_other() -> None:
    orders = [
        Order(experiment=_experiment(f"seed = {seed}"), base=Path(), quiet=True) for seed in (1, 2)
    ]
    alone = {
        order.experiment.seed: _summary(r)
        for order, r in carry_out_all(orders, jobs=1, executor=None)
    }
    pooled = {
        order.experiment.seed: _summary(r)
        for order, r in carry_out_all(orders, jobs=2, executor=None)
    }
    assert alone == pooled
    assert set(alone) == {1, 2}


def hear_interrupts() -> None:
    """For a child process: tests that run in the background ignore SIGINT, and children would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "sweep.toml"
    file.write_text(
        'name = "s"\nnodes = 400\nduration = "2h"\n'
        '[sweep]\nseeds = [1, 2, 3]\nstrategies = ["multiple"]\n'
    )
    command = [sys.executable, "-m", "shoal", "sim", "run", str(file), "--format", "csv", "--quiet"]
    whole = subprocess.run([*command, "--out", tmp_path / "whole"], check=False, timeout=120)
    assert whole.returncode == 0

    parts = [*command, "--out", str(tmp_path / "parts")]
    sweep = subprocess.Popen(
        parts,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )
    assert sweep.stdout is not None
    assert "seed1" in sweep.stdout.readline()  # the first is complete, the others are not
    sweep.send_signal(signal.SIGINT)
    _, said = sweep.communicate(timeout=60)
    assert sweep.returncode == 130, said
    assert "the same command goes on with --resume" in said

    done = subprocess.run([*parts, "--resume"], check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert b"seed1" not in done.stdout
    for seed in (1, 2, 3):
        place = f"s-multiple-400-base2-seed{seed}/summary.json"
        assert (tmp_path / "parts" / place).read_bytes() == (
            tmp_path / "whole" / place
        ).read_bytes()


def test_a_sweep_on_a_dask_cluster() -> None:
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    orders = [
        Order(experiment=_experiment(f"seed = {seed}"), base=Path(), quiet=True) for seed in (1, 2)
    ]
    with _cluster(distributed) as address:
        made = list(carry_out_all(orders, jobs=1, executor=f"dask://{address}"))
    expected = {order.experiment.seed: _summary(carry_out(order)) for order in orders}
    assert {order.experiment.seed: _summary(result) for order, result in made} == expected


@contextmanager
def _cluster(distributed: Any) -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address.split("://")[-1]


def _summary(result: Result | None) -> dict[str, Any]:
    assert result is not None
    return result.summary


def test_the_bands_of_an_experiment_name_figures_that_exist() -> None:
    experiment = _experiment("[bands]\nsucess = [0, 1]")
    (line,) = outside(_run(experiment).summary, experiment.bands)
    assert "bands.sucess: no such figure" in line
