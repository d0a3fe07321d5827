"""What Prometheus is told, and that the dashboard and the alerts ask for what there is."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from native_fakes import served
from prometheus_client.parser import text_string_to_metric_families

from shoal.cli.client import Client
from shoal.core.effects import Put
from shoal.model.resources import Capacity, Load
from shoal.node.link import LinkStats
from shoal.node.measures import Measures, VclusterMeasures
from shoal.node.membership import MembershipStats
from shoal.node.metrics import Exposition
from shoal.node.store import SqliteStore, StoreStats

_MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
_NAME = re.compile(r"\b(?:shoal|process)_[a-z][a-z_]*[a-z]\b")

MEASURES = Measures(
    name="a",
    ready=True,
    discovery="view",
    members={"up": 3, "down": 1},
    containers={("default", "running"): 2, ("shop", "exited"): 1},
    capacity=Capacity(4000, 8 << 30),
    load=Load(1500, 1 << 30, 3),
    engine_up=True,
    vclusters=(
        VclusterMeasures("default", keeper=True, records=12, complete=True, conflicts=1, pending=2),
        VclusterMeasures("system", keeper=False, records=5, complete=False, conflicts=0),
    ),
    offers=7,
    risks=1,
    clock_offset=-6.5,
    store=StoreStats(transactions=10, commits=25, writes=40, seconds=0.5),
    store_stalled=0.0,
    store_free=1 << 30,
    rpc=LinkStats(sent=100, dropped=2, dials=4, failures=1),
    rpc_out=2,
    rpc_in=3,
    membership=MembershipStats(health=1, probes=50, failed_probes=2, suspicions=1),
    restarts=4,
)


def scrape(measures: Measures = MEASURES) -> dict[tuple[str, tuple[str, ...]], float]:
    """Samples by name and values of labels, these in the order of the labels' names."""
    text = Exposition(lambda: measures).text().decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("shoal_ready", (), 1),
        ("shoal_members", ("up",), 3),
        ("shoal_members", ("left",), 0),
        ("shoal_containers", ("running", "default"), 2),
        ("shoal_containers", ("dead", "default"), 0),
        ("shoal_containers", ("exited", "shop"), 1),
        ("shoal_capacity_cpu_cores", (), 4),
        ("shoal_promised_cpu_cores", (), 1.5),
        ("shoal_promised_memory_bytes", (), 1 << 30),
        ("shoal_vcluster_keeper", ("default",), 1),
        ("shoal_vcluster_keeper", ("system",), 0),
        ("shoal_vcluster_copy_complete", ("system",), 0),
        ("shoal_vcluster_pending", ("default",), 2),
        ("shoal_offers_kept", (), 7),
        ("shoal_clock_offset_seconds", (), -6.5),
        ("shoal_store_commits_total", (), 25),
        ("shoal_store_transaction_seconds_count", (), 10),
        ("shoal_store_transaction_seconds_sum", (), 0.5),
        ("shoal_rpc_connections", ("in",), 3),
        ("shoal_rpc_messages_dropped_total", (), 2),
        ("shoal_membership_failed_probes_total", (), 2),
        ("shoal_worker_restarts_total", (), 4),
    ],
)
def test_a_sample_has_its_name_unit_and_value(
    name: str, labels: tuple[str, ...], value: float
) -> None:
    assert scrape()[name, labels] == value


def test_the_build_is_told_by_labels() -> None:
    (labels,) = [labels for name, labels in scrape() if name == "shoal_build_info"]
    assert {"a", "view", "1"} <= set(labels)


def test_each_scrape_measures_anew() -> None:
    seen: list[int] = []

    def measure() -> Measures:
        seen.append(1)
        return msgspec.structs.replace(MEASURES, offers=len(seen))

    exposition = Exposition(measure)
    assert not seen
    assert b"shoal_offers_kept 1.0" in exposition.text()
    assert b"shoal_offers_kept 2.0" in exposition.text()


@pytest.mark.parametrize("file", ["grafana.json", "alerts.yml"])
def test_dashboard_and_alerts_use_metrics_that_exist(file: str) -> None:
    used = set(_NAME.findall((_MONITORING / file).read_text()))
    assert len(used) > 10
    assert used <= {name for name, _ in scrape()}


def test_every_metric_is_on_the_dashboard_or_in_an_alert() -> None:
    used = {name for file in _MONITORING.iterdir() for name in _NAME.findall(file.read_text())}
    told = {name for name, _ in scrape() if name.startswith("shoal_")}
    assert told - used == {"shoal_rpc_dials_total", "shoal_membership_probes_total"}


def test_the_dashboard_is_whole() -> None:
    board: dict[str, Any] = json.loads((_MONITORING / "grafana.json").read_text())
    ids = [panel["id"] for panel in board["panels"]]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(ids)) == len(ids) == len(set(places))
    assert all(target["expr"] for panel in board["panels"] for target in panel["targets"])


def test_a_node_does_not_load_the_library_before_the_first_scrape() -> None:
    code = (
        "import shoal.node.serving, shoal.api.native.app, sys;"
        "print('prometheus_client' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_native_socket_serves_the_text(tmp_path: Path) -> None:
    with served(tmp_path) as node:
        client = Client(str(node.socket))
        with client.open("GET", "/metrics") as response:
            assert response.headers.get_content_type() == "text/plain"
            assert response.read() == b"shoal_ready 1.0\n"


def test_the_store_counts_what_it_wrote(tmp_path: Path) -> None:
    async def write() -> StoreStats:
        store = SqliteStore(tmp_path / "records.db")
        for number in range(3):
            await store.commit([Put("s", str(number), b"x"), Put("s", "same", b"y")])
        await store.close()
        return store.stats

    stats = asyncio.run(write())
    assert (stats.transactions, stats.commits, stats.writes, stats.failures) == (3, 3, 6, 0)
    assert stats.seconds > 0
