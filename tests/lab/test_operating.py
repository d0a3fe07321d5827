"""What an operator is told of a cloud: whether it is well, and if not, what is wrong."""

import base64
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, eventually
from prometheus_client.parser import text_string_to_metric_families

from shoal.cli.client import Client

pytestmark = pytest.mark.lab


def visit(cloud: Cloud, host: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings of `shoal doctor` on a host."""
    done = cloud.shoal(host, "doctor", "--json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)["findings"]


def problems(findings: list[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in findings if one["level"] == "problem"]


@contextmanager
def dropped(cloud: Cloud, host: str, match: str) -> Iterator[None]:
    """The host drops what comes in and matches."""
    commands = (
        "add table inet trouble",
        "add chain inet trouble input { type filter hook input priority -10; }",
        f"add rule inet trouble input {match} drop",
    )
    cloud.host(host).exec("nft", "; ".join(commands))
    try:
        yield
    finally:
        cloud.host(host).exec("nft", "delete table inet trouble")


def test_the_doctor_finds_all_hosts_well(cloud: Cloud) -> None:
    for host in cloud.names:
        code, findings = visit(cloud, host)
        assert (code, problems(findings)) == (0, [])
        ways = [one["node"] for one in findings if one["check"] == "ports"]
        assert sorted(ways) == cloud.others(host)


def test_the_doctor_names_a_port_that_is_closed_one_way(cloud: Cloud) -> None:
    peer = cloud.host("b").address
    with dropped(cloud, "a", f"ip saddr {peer} udp dport 7442"):
        code, findings = visit(cloud, "a")
        assert code == 1
        (finding,) = [one for one in findings if one["level"] == "problem"]
        assert finding["text"].startswith("UDP 7442 from b to this machine is blocked")
        assert f"open UDP 7442 from {peer}" in finding["fix"]
        # The other side sees the same the other way round.
        assert any(
            "UDP 7442 from this machine to a" in text for text in problems(visit(cloud, "b")[1])
        )
    eventually("the host is well again", lambda: visit(cloud, "a")[0] == 0)


def test_the_doctor_names_an_engine_that_is_away_here_and_elsewhere(cloud: Cloud) -> None:
    pid = cloud.host("c").exec("cat", "/run/docker.pid").stdout.strip()
    cloud.host("c").exec("kill", "-KILL", pid)
    code, findings = visit(cloud, "c")
    assert code == 1
    assert any("container engine" in text and "is away" in text for text in problems(findings))
    eventually(
        "a peer tells of it too",
        lambda: "the engine of c does not answer" in problems(visit(cloud, "a")[1]),
        timeout=20,
    )


def scrape(cloud: Cloud, host: str) -> dict[tuple[str, ...], float]:
    """Samples by name and values of labels, these in the order of the labels' names."""
    with Client(str(cloud.host(host).shoal_socket)).open("GET", "/metrics") as response:
        text = response.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def half_a_core_on_b(cloud: Cloud) -> Any:
    """What b says of itself once it says that half a core is promised."""
    node = next(one for one in cloud.native("b", "/v1/nodes") if one["name"] == "b")
    return node if node["load"]["cpu_millis"] == 500 else None


def test_metrics_agree_with_what_the_cloud_says_of_itself(cloud: Cloud) -> None:
    cloud.sleeper("a", "--cpus", "0.5", on="b")
    cloud.docker("a", "create", "--label", "shoal.node=b", "busybox")
    # What a node has promised it tells once a second, itself included.
    node = eventually("b has told its load", lambda: half_a_core_on_b(cloud))
    samples = {host: scrape(cloud, host) for host in cloud.names}
    status = cloud.status("b")
    b = samples["b"]
    assert b["shoal_members", "up"] == status["members"]["up"] == 3
    assert b["shoal_risks",] == len(status["risk"]) == 0
    assert b["shoal_containers", "running", "default"] == 1
    assert b["shoal_containers", "created", "default"] == 1
    assert b["shoal_promised_cpu_cores",] == node["load"]["cpu_millis"] / 1000 == 0.5
    assert b["shoal_capacity_memory_bytes",] == node["capacity"]["memory"]
    assert b["shoal_store_commits_total",] > 0
    assert b["shoal_rpc_connections", "out"] > 0
    assert b["shoal_worker_restarts_total",] == 0
    keepers = [host for host in cloud.names if samples[host]["shoal_vcluster_keeper", "default"]]
    assert keepers == [cloud.keeper()]
    records = {samples[host]["shoal_vcluster_records", "default"] for host in cloud.names}
    assert min(records) > 0


def forms_of_keys(state: Path) -> list[str]:
    """A node's keys as text could show them."""
    found = []
    for file in state.glob("*.key"):
        data = file.read_bytes()
        if data.startswith(b"-----"):
            found += [line.decode() for line in data.splitlines() if not line.startswith(b"--")]
        else:
            found += [data.hex(), base64.b64encode(data).decode().rstrip("=")]
    return found


def test_a_debug_bundle_tells_what_happened_and_no_secret(cloud: Cloud, tmp_path: Path) -> None:
    password = "correct-horse-battery"
    name = cloud.sleeper("a", "--env", f"PW={password}", "--label", f"auth={password}", on="b")
    token = cloud.shoal("a", "token", "create").stdout.strip()
    secrets = [password, token, *forms_of_keys(cloud.host("b").disk / "shoal")]
    assert len(secrets) >= 7
    file = tmp_path / "bundle.tar.gz"
    done = cloud.shoal("b", "debug", "bundle", str(file))
    assert done.returncode == 0, done.stderr
    with tarfile.open(file) as archive:
        texts = {
            member.name: part.read().decode()
            for member in archive.getmembers()
            if (part := archive.extractfile(member)) is not None
        }
    assert not [(where, one) for where, text in texts.items() for one in secrets if one in text]
    assert "shoal-debug/errors.txt" not in texts
    stories = json.loads(texts["shoal-debug/stories.json"])
    assert "generation 1 on b" in stories[name]["history"][0]
    assert "event=ready" in texts["shoal-debug/log.txt"]
