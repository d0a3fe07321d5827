"""What Prometheus reads of a node: Measures in its text format.

prometheus-client is imported here and this module at the first scrape, since it takes 2.5 MiB
that a node nobody scrapes need not have.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from shoal.node.measures import Measures, VclusterMeasures

Labels = TypeVar("Labels", bound=tuple[str, ...])

CONTENT_TYPE = CONTENT_TYPE_LATEST
STATES = ("up", "suspect", "down", "left")
PHASES = ("creating", "created", "running", "exited", "dead")


class Exposition:
    """Text for scrapes; `measure` is asked anew for each."""

    def __init__(self, measure: Callable[[], Measures]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_NodeCollector(measure))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _NodeCollector(Collector):
    def __init__(self, measure: Callable[[], Measures]) -> None:
        self._measure = measure

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask for measures."""
        return []

    def collect(self) -> Iterator[Metric]:
        return families(self._measure())


def families(m: Measures) -> Iterator[Metric]:
    yield from _node(m)
    yield from _host(m)
    yield from _vclusters(m.vclusters)
    yield from _store(m)
    yield from _traffic(m)


def _node(m: Measures) -> Iterator[Metric]:
    build = {"version": m.version, "protocol": str(m.protocol), "discovery": m.discovery}
    yield InfoMetricFamily("shoal_build", "What runs here.", {"node": m.name, **build})
    yield _gauge("shoal_ready", "Whether the node's APIs serve.", m.ready)
    counts = {(state,): m.members.get(state, 0) for state in STATES}
    about = "Nodes of the cloud as this one sees them, itself included."
    yield _labelled("shoal_members", about, ("state",), counts)
    yield _gauge("shoal_risks", "Lines of risk that `shoal status` shows.", m.risks)
    about = "How far stamps are moved off the own clock, after the peers' median."
    yield _gauge("shoal_clock_offset_seconds", about, m.clock_offset)
    about = "Starts of the worker by its supervisor after the first one."
    yield _counter("shoal_worker_restarts", about, m.restarts)


def _host(m: Measures) -> Iterator[Metric]:
    yield _gauge("shoal_engine_up", "Whether the container engine answers.", m.engine_up)
    zero = {("default", phase): 0 for phase in PHASES}
    about = "Containers in this node's ledger."
    counts = {**zero, **m.containers}
    yield _labelled("shoal_containers", about, ("vcluster", "phase"), counts)
    cores, promised = m.capacity.cpu_millis / 1000, m.load.cpu_millis / 1000
    yield _gauge("shoal_capacity_cpu_cores", "Cores that the node has.", cores)
    yield _gauge("shoal_promised_cpu_cores", "Cores promised to containers.", promised)
    yield _gauge("shoal_capacity_memory_bytes", "Memory of the node.", m.capacity.memory)
    about = "Memory promised to containers."
    yield _gauge("shoal_promised_memory_bytes", about, m.load.memory)
    about = "Containers that the promises are for, foreign ones included."
    yield _gauge("shoal_promised_containers", about, m.load.containers)
    yield _gauge("shoal_offers_kept", "Offers of other nodes, kept for whoever asks.", m.offers)


def _vclusters(items: tuple[VclusterMeasures, ...]) -> Iterator[Metric]:
    values: dict[str, tuple[str, Callable[[VclusterMeasures], float]]] = {
        "shoal_vcluster_keeper": ("Whether this node keeps the vcluster.", lambda v: v.keeper),
        "shoal_vcluster_records": ("Records in this node's copy.", lambda v: v.records),
        "shoal_vcluster_copy_complete": (
            "Whether this node's copy has all that was acknowledged.",
            lambda v: v.complete,
        ),
        "shoal_vcluster_unsettled": (
            "Whether this node keeps it and some copy differs from its own.",
            lambda v: v.unsettled,
        ),
        "shoal_vcluster_partial": (
            "Whether this node keeps it by hosts' ledgers alone, no copy being in reach.",
            lambda v: v.partial,
        ),
        "shoal_vcluster_pending": (
            "Containers that this keeper could not yet bring to what was asked.",
            lambda v: v.pending,
        ),
        "shoal_vcluster_conflicts": (
            "Lost versions of records that are remembered.",
            lambda v: v.conflicts,
        ),
    }
    for name, (about, value) in values.items():
        yield _labelled(name, about, ("vcluster",), {(one.name,): value(one) for one in items})


def _store(m: Measures) -> Iterator[Metric]:
    stats = m.store
    yield SummaryMetricFamily(
        "shoal_store_transaction_seconds",
        "Time of a transaction on disk, its sync included.",
        count_value=stats.transactions,
        sum_value=stats.seconds,
    )
    yield _counter("shoal_store_commits", "Steps that were made durable.", stats.commits)
    yield _counter("shoal_store_writes", "Single values written.", stats.writes)
    yield _counter("shoal_store_failures", "Transactions that failed.", stats.failures)
    about = "For how long commits have waited without any being done."
    yield _gauge("shoal_store_stalled_seconds", about, m.store_stalled)
    yield _gauge("shoal_store_free_bytes", "Room on the disk of the records.", m.store_free)


def _traffic(m: Measures) -> Iterator[Metric]:
    connections = {("out",): m.rpc_out, ("in",): m.rpc_in}
    about = "Open connections to and from peers."
    yield _labelled("shoal_rpc_connections", about, ("direction",), connections)
    yield _counter("shoal_rpc_messages_sent", "Messages sent to peers.", m.rpc.sent)
    about = "Messages dropped for want of room or of a connection."
    yield _counter("shoal_rpc_messages_dropped", about, m.rpc.dropped)
    yield _counter("shoal_rpc_dials", "Attempts to reach a peer.", m.rpc.dials)
    yield _counter("shoal_rpc_dial_failures", "Those that failed.", m.rpc.failures)
    about = "0 is well; the higher, the slower this node believes itself to be."
    yield _gauge("shoal_membership_health_score", about, m.membership.health)
    yield _counter("shoal_membership_probes", "Probes of members.", m.membership.probes)
    about = "Probes that nobody answered."
    yield _counter("shoal_membership_failed_probes", about, m.membership.failed_probes)
    about = "Members that this node began to suspect."
    yield _counter("shoal_membership_suspicions", about, m.membership.suspicions)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=float(value))


def _counter(name: str, about: str, value: float) -> Metric:
    """Its samples are called NAME_total."""
    return CounterMetricFamily(name, about, value=float(value))


def _labelled(
    name: str,
    about: str,
    labels: tuple[str, ...],
    values: Mapping[Labels, float],
) -> Metric:
    family = GaugeMetricFamily(name, about, labels=labels)
    for words, value in values.items():
        family.add_metric(words, float(value))
    return family
