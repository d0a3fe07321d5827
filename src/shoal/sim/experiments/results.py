"""The figures of a run, and its files.

`summary.json` and the tables depend on experiment and seed alone, to the byte; what the run took
on this machine stands beside them in `run.json`.
"""

import os
import platform
import resource
import sys
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import add
from pathlib import Path
from typing import Any

import msgspec

from shoal.core.ring import chord
from shoal.sim.experiments.cores import offers_of, state_of
from shoal.sim.experiments.experiment import SECOND, Experiment
from shoal.sim.experiments.quantiles import spread
from shoal.sim.experiments.tables import Format, Table, write
from shoal.sim.experiments.toml import builtins
from shoal.sim.experiments.windows import Traffic, mean, use_of
from shoal.sim.experiments.world import World

SUMMARY = "summary.json"
RUN = "run.json"


@dataclass
class Result:
    """One finished run. `run`: command, machine, times and memory."""

    summary: dict[str, Any]
    run: dict[str, Any]
    tables: dict[str, Table]

    def save(self, directory: Path, form: Format) -> None:
        """Write all files. Raises ShoalError if the format needs what is not installed."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            write(directory / name, table, form)
        for name, content in ((RUN, self.run), (SUMMARY, self.summary)):
            text = msgspec.json.format(msgspec.json.encode(content), indent=1)
            (directory / name).write_bytes(text + b"\n")


def result_of(world: World, *, command: str, cpu: float, wall: float) -> Result:
    """Count everything up. `cpu`, `wall`: seconds that the run took."""
    world.windows.close()
    traffic = world.windows.traffic or Traffic(world)
    experiment = world.experiment
    return Result(
        summary={
            "label": experiment.label,
            "experiment": builtins(experiment),
            "notes": _notes(world),
            "figures": _figures(world, traffic),
            "kinds": {
                kind.name: {"count": kind.count, "bytes": kind.bytes}
                for kind in world.kinds.values()
                if kind.count
            },
            "windows": [asdict(window) for window in world.windows.closed],
            "histograms": {"messages_per_request": _histogram(world.requests.messages)},
        },
        run={
            "command": command,
            "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cpus, "
            f"{platform.python_implementation()} {platform.python_version()}",
            "seed": experiment.seed,
            "compiled": not str(chord.__file__).endswith(".py"),
            "cpu_seconds": round(cpu, 1),
            "wall_seconds": round(wall, 1),
            "peak_rss_bytes": peak_memory(),
            "messages": sum(kind.count for kind in world.kinds.values()),
        },
        tables={"nodes": _nodes(world, traffic), "requests": _requests(world)},
    )


def is_finished(experiment: Experiment, directory: Path) -> bool:
    """Whether the directory has the result of exactly this experiment."""
    try:
        summary = msgspec.json.decode((directory / SUMMARY).read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return isinstance(summary, dict) and summary.get("experiment") == builtins(experiment)


def peak_memory() -> int:
    """The most memory that this process has had, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def figure(figures: Mapping[str, Any], name: str) -> float | None:
    """A figure by its dotted name, such as `messages_per_request.mean`."""
    value: Any = figures
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, int | float) else None


def outside(summary: Mapping[str, Any], bands: Mapping[str, tuple[float, float]]) -> list[str]:
    """One line for every figure that is not in its band."""
    wrong = []
    for name, (low, high) in bands.items():
        value = figure(summary["figures"], name)
        if value is None:
            known = ", ".join(summary["figures"])
            wrong.append(f"bands.{name}: no such figure; allowed: {known} and their .mean, .p95, …")
        elif not low <= value <= high:
            wrong.append(f"{summary['label']}: {name} is {value:g}, not in {low:g} to {high:g}")
    return wrong


def _notes(world: World) -> list[str]:
    experiment = world.experiment
    notes = []
    if not experiment.maintains:
        notes.append(
            "The ring's maintenance was elided: no node comes, goes or is lost, so stabilising "
            "and fixing fingers would change nothing. The ring was built as it would be."
        )
    if experiment.strategy == "central":
        notes.append("All requests come in at the master, the first node.")
    notes.append("SWIM's traffic is reckoned from its period, not simulated.")
    if experiment.traffic_until:
        seconds = experiment.traffic_until / SECOND
        notes.append(f"Traffic per node is what was received in the first {seconds:g} s.")
    return notes


def _figures(world: World, traffic: Traffic) -> dict[str, Any]:
    requests = world.requests
    living = list(world.nodes.values())
    count = max(len(requests.asked), 1)
    ended = [
        end - start for start, end in zip(requests.asked, requests.ended, strict=True) if end >= 0
    ]
    until = world.experiment.traffic_until or world.experiment.duration
    probes = 2 * until / max(world.experiment.swim.period, 1)
    return {
        "requests": len(requests.asked),
        "succeeded": sum(requests.ok),
        "unanswered": len(requests.asked) - len(ended),
        "success": round(sum(requests.ok) / count, 6),
        "allocation_efficiency": round(requests.efficiency(), 6),
        "system_use": round(mean([use_of(node) for node in living]), 6),
        "messages_per_request": spread(requests.messages),
        "messages_per_request_with_visits": spread(
            list(map(add, requests.messages, requests.visits))
        ),
        "placement_ms": spread(ended),
        "messages_per_node": spread(traffic.messages),
        "bytes_per_node": spread(traffic.bytes),
        "messages_per_node_with_visits": spread(list(map(add, traffic.messages, traffic.visits))),
        "upkeep_messages_per_node": spread(traffic.upkeep),
        "upkeep_bytes_per_node": spread(traffic.upkeep_bytes),
        "swim_messages_per_node": round(probes),
        "swim_bytes_per_node": round(probes * world.experiment.swim.bytes),
        "offers_per_node": spread([offers_of(node) for node in living]),
        "state_per_node": spread([state_of(node) for node in living]),
        "lookups": world.lookups,
        "hops_per_lookup": round(world.hops / max(world.lookups, 1), 4),
        "failed_lookups": world.failed_lookups,
        "undelivered": world.undelivered,
        "lost": world.lost,
        "nodes_at_end": len(world.nodes),
        "crashes": world.churner.crashes,
        "joins": world.churner.joins,
        "stops": world.feeder.stops,
        "stops_without_buyer": world.feeder.orphans,
    }


def _histogram(values: "array[int]") -> dict[str, int]:
    found: dict[int, int] = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return {str(value): found[value] for value in sorted(found)}


def _nodes(world: World, traffic: Traffic) -> Table:
    members = world.members
    return {
        "position": array("Q", [node.own for node in members]),
        "site": array("i", [node.site for node in members]),
        "cpu_class": array("b", [node.total.cpu_class for node in members]),
        "cpus": array("i", [node.total.cpus for node in members]),
        "memory": array("q", [node.total.memory for node in members]),
        "free_cpus": array("i", [node.launcher.ledger.free.cpus for node in members]),
        "free_memory": array("q", [node.launcher.ledger.free.memory for node in members]),
        "alive": array("b", [int(node.own in world.nodes) for node in members]),
        "messages": traffic.messages,
        "bytes": traffic.bytes,
        "visits": traffic.visits,
        "upkeep_messages": traffic.upkeep,
        "upkeep_bytes": traffic.upkeep_bytes,
    }


def _requests(world: World) -> Table:
    return {name: getattr(world.requests, name) for name, _ in world.requests.COLUMNS}
