"""What an experiment is: the structure of its TOML file.

Every value has its meaning here; `toml` reads files into it. Durations are ns here and text with
a unit in the file ("20s", "15m", "2h", "5ms").
"""

from typing import Annotated, Literal

import msgspec

from shoal.core.discovery.contract import StrategyName

MS = 1_000_000
SECOND = 1_000 * MS
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Duration(int):
    """Nanoseconds; a type of its own so that the reader knows where text with a unit is meant."""


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A table of the file: unknown keys are refused."""


class Ring(Section):
    """Chord. `base`: of the fingers (more is fewer hops and more state). With `maintenance`
    "auto" it runs only if there is churn: without, it provably changes nothing."""

    base: Literal[2, 4, 16, 256] = 2
    mode: Literal["recursive", "iterative"] = "recursive"
    successors: Annotated[int, msgspec.Meta(ge=1, le=32)] = 3
    positions: Literal["even", "random"] = "even"
    maintenance: Literal["auto", "always"] = "auto"


class Discovery(Section):
    """The strategies' settings (`core.discovery.settings`), defaulted as in the original's newest
    experiments.

    `tries`: traders asked by a search for multiple offers, places by a random one. `climb`: how
    many partitions a search for single offers tries after the first, -1 for all. `ask`: nodes
    returned by a look-up. `advertise` 0 and `partition_state` 0: not at all. `estimate`: number
    of nodes that super-traders are spaced by, 0 for the true one. `errors`: of the original, to
    compare with it.
    """

    policy: Literal["binpack", "spread"] = "binpack"
    tries: Positive = 1
    climb: Annotated[int, msgspec.Meta(ge=-1)] = -1
    ask: Positive = 3
    refresh: Duration = Duration(15 * MINUTE)
    heartbeat: Duration = Duration(15 * MINUTE)
    super_traders: bool = True
    estimate: Count = 0
    scale: Positive = 7
    advertise: Duration = Duration(0)
    partition_state: Annotated[int, msgspec.Meta(ge=0, le=254)] = 0
    limit: Positive = 32
    errors: list[
        Literal["answer_all", "forget_used", "keep_full", "recreate", "lookup_master"]
    ] = []


class Site(Section):
    """A place; `share` of the nodes is there, in proportion to the shares of all sites."""

    name: str
    share: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class Network(Section):
    """One-way latencies of messages and the probability that one is lost.

    `latency` holds inside a site; `between` holds for two sites unless `links` names the pair,
    as in `links = { "lisbon-porto" = "4ms" }`.
    """

    latency: Duration = Duration(10 * MS)
    loss: Share = 0.0
    sites: list[Site] = []
    between: Duration = Duration(40 * MS)
    links: dict[str, Duration] = {}


class Churn(Section):
    """Crashes and joins, each a share of the initial nodes per hour, at random moments.

    `detection`: after which time the neighbours on the ring are told of a crash by SWIM, 0 if
    there is no SWIM and Chord's own time-outs must do.
    """

    crashes: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    joins: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    detection: Duration = Duration(3 * SECOND)


class Containers(Section):
    """How long containers live and how long their image takes to come.

    `lifetime`: mean of an exponential distribution, 0 if only the workload ends them. `pull`: the
    time for an image that the node has not run before; there are `images` equally likely ones.
    """

    lifetime: Duration = Duration(0)
    pull: Duration = Duration(0)
    images: Positive = 100


class Service(Section):
    """Equal containers of a job or stack, cpus in cores, memory in MB."""

    cpus: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    memory: Count = 256
    cpu_class: Literal[0, 1] = 0
    containers: Positive = 1
    policy: Literal["co-location", "spread"] = "spread"


class Stream(Section, tag="stream", tag_field="kind"):
    """Caravela's request streams: "regular", "newest" (its requests are larger) and
    "steadyAt30Perc"; rates are in percent of the nodes per tick."""

    stream: Literal["regular", "newest", "steadyAt30Perc"] = "regular"
    tick: Duration = Duration(20 * SECOND)


class Steady(Section, tag="steady", tag_field="kind"):
    """RESTfulSwarm: always `jobs` per tick."""

    services: list[Service]
    jobs: Count = 1
    tick: Duration = Duration(SECOND)


class Bursty(Section, tag="bursty", tag_field="kind"):
    """RESTfulSwarm: ceil of an exponentially distributed number with this rate, per tick."""

    services: list[Service]
    rate: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    tick: Duration = Duration(SECOND)


class Incremental(Section, tag="incremental", tag_field="kind"):
    """RESTfulSwarm: slope x t + start jobs in tick t = 0, 1, …"""

    services: list[Service]
    slope: int = 1
    start: int = 0
    tick: Duration = Duration(SECOND)


class Uniform(Section, tag="random", tag_field="kind"):
    """RESTfulSwarm: a whole number of jobs in [low, high], drawn for every tick."""

    services: list[Service]
    low: Count = 1
    high: Count = 3
    tick: Duration = Duration(SECOND)


class TraceFile(Section, tag="trace", tag_field="kind"):
    """Task events of the Google cluster trace; `file` is relative to the experiment's.

    1.0 in the file means `cores` and `memory` (MB); the original takes four times its largest
    partition.
    """

    file: str
    cores: Positive = 32
    memory: Positive = 32_792
    fast_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 35


Workload = Stream | Steady | Bursty | Incremental | Uniform | TraceFile


class Swim(Section):
    """Membership inside a site, which is reckoned, not simulated: in every `period` a node is
    probed once and has one probe answered, `bytes` each. Measured from the daemon's membership;
    the lists that members exchange are not in it (docs/simulator.md)."""

    period: Duration = Duration(400 * MS)
    bytes: Count = 124


class Sweep(Section):
    """Runs one simulation for each combination; an empty list means the value above."""

    seeds: list[Count] = []
    nodes: list[Positive] = []
    strategies: list[StrategyName] = []
    bases: list[Literal[2, 4, 16, 256]] = []


class Experiment(Section):
    """One file.

    `bands`: for names of figures in the summary the lowest and highest values that are right; a
    run that leaves one fails. `window`: how often the whole system is looked at. `traffic_until`:
    the figures per node count what was received until then, 0 for the whole run.
    """

    name: str
    nodes: Positive
    duration: Duration
    strategy: StrategyName = "multiple-updates"
    seed: Count = 1
    machines: Literal["caravela"] = "caravela"
    workload: Workload = msgspec.field(default_factory=Stream)
    about: str = ""
    window: Duration = Duration(3 * MINUTE)
    traffic_until: Duration = Duration(0)
    swim: Swim = msgspec.field(default_factory=Swim)
    ring: Ring = msgspec.field(default_factory=Ring)
    discovery: Discovery = msgspec.field(default_factory=Discovery)
    network: Network = msgspec.field(default_factory=Network)
    churn: Churn = msgspec.field(default_factory=Churn)
    containers: Containers = msgspec.field(default_factory=Containers)
    sweep: Sweep = msgspec.field(default_factory=Sweep)
    bands: dict[str, tuple[float, float]] = {}

    @property
    def label(self) -> str:
        """What tells this run from others of a sweep; the name of its directory of results."""
        return f"{self.name}-{self.strategy}-{self.nodes}-base{self.ring.base}-seed{self.seed}"

    @property
    def churns(self) -> bool:
        """Whether the set of nodes changes."""
        return self.churn.crashes > 0 or self.churn.joins > 0

    @property
    def maintains(self) -> bool:
        """Whether the ring's maintenance runs."""
        return self.churns or self.network.loss > 0 or self.ring.maintenance == "always"


def runs(experiment: Experiment) -> list[Experiment]:
    """The single runs that a file asks for."""
    sweep = experiment.sweep
    alone = Sweep()
    return [
        msgspec.structs.replace(
            experiment,
            nodes=nodes,
            strategy=strategy,
            seed=seed,
            ring=msgspec.structs.replace(experiment.ring, base=base),
            sweep=alone,
        )
        for nodes in sweep.nodes or [experiment.nodes]
        for strategy in sweep.strategies or [experiment.strategy]
        for base in sweep.bases or [experiment.ring.base]
        for seed in sweep.seeds or [experiment.seed]
    ]
