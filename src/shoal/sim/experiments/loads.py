"""The workload that an experiment describes."""

from pathlib import Path

from shoal.core.discovery.contract import Demand
from shoal.model.errors import BadRequest
from shoal.sim.experiments import experiment as described
from shoal.sim.experiments.experiment import Experiment
from shoal.sim.experiments.metrics import MOST_PARTS
from shoal.sim.experiments.workloads import Workload
from shoal.sim.experiments.workloads.generators import (
    Bursty,
    Count,
    Incremental,
    Jobs,
    Steady,
    Uniform,
)
from shoal.sim.experiments.workloads.stacks import Service, demands_of
from shoal.sim.experiments.workloads.streams import MB, STREAMS, RateStream
from shoal.sim.experiments.workloads.trace import Trace


def workload_of(experiment: Experiment, base: Path) -> Workload:
    """Build it; files are relative to `base`. Raises ShoalError: bad file, too large a job."""
    load = experiment.workload
    match load:
        case described.Stream():
            rates, profiles = STREAMS[load.stream]
            return RateStream(
                rates=rates,
                profiles=profiles,
                seed=experiment.seed,
                nodes=experiment.nodes,
                ticks=-(-experiment.duration // load.tick),
                interval=int(load.tick),
            )
        case described.TraceFile():
            return Trace(
                base / load.file,
                seed=experiment.seed,
                cores=load.cores * 1000,
                memory=load.memory * MB,
                fast_percent=load.fast_percent,
            )
        case _:
            return Jobs(
                count=_law(load),
                demands=_demands(load.services),
                seed=experiment.seed,
                interval=int(load.tick),
            )


def _law(
    load: described.Steady | described.Bursty | described.Incremental | described.Uniform,
) -> Count:
    match load:
        case described.Steady():
            return Steady(load.jobs)
        case described.Bursty():
            return Bursty(load.rate)
        case described.Incremental():
            return Incremental(load.slope, load.start)
        case described.Uniform():
            if load.low > load.high:
                raise BadRequest(f"workload.high: {load.high} is below workload.low, {load.low}")
            return Uniform(load.low, load.high)


def _demands(services: list[described.Service]) -> tuple[Demand, ...]:
    demands = demands_of(
        Service(
            Demand(one.cpu_class, round(one.cpus * 1000), one.memory * MB),
            one.containers,
            one.policy,
        )
        for one in services
    )
    if not 0 < len(demands) < MOST_PARTS:
        raise BadRequest(
            f"workload.services: {len(demands)} containers or groups are placed by themselves; "
            f"allowed: 1 to {MOST_PARTS - 1}"
        )
    return demands
