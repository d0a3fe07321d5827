"""What real nodes recorded is decided again, and every placement is the same; whatever the
discovery of their cloud."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, eventually

from shoal.lab import Lab

pytestmark = pytest.mark.lab


def offers(cloud: Cloud, via: str) -> int:
    """How many a host keeps."""
    kept = cloud.status(via)["offers"]
    assert isinstance(kept, int)
    return kept


def replay(lab: Lab) -> dict[str, Any]:
    """What `shoal sim replay --json` says, by host."""
    files = [str(host.recording) for host in lab.hosts]
    done = subprocess.run(
        [sys.executable, "-m", "shoal", "sim", "replay", "--json", *files],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {result["node"]: result for result in json.loads(done.stdout).values()}


@pytest.mark.parametrize("discovery", ["view", "multiple-updates"])
def test_recorded_hosts_decide_again_as_they_did(
    lab_names: Callable[[], str], demo_images: Path, discovery: str
) -> None:
    lab = Lab(lab_names())
    lab.up(hosts=3, images=(demo_images,), images_on="all", record=True, discovery=discovery)
    cloud = Cloud(lab)
    eventually("all see all", cloud.whole, timeout=60)
    assert {cloud.status(via)["discovery"] for via in cloud.names} == {discovery}
    found_by = "" if discovery == "view" else f"found by {discovery}"
    if found_by:
        eventually("offers are made", lambda: sum(map(partial(offers, cloud), cloud.names)))
    small = ("--cpus", "0.1", "--memory", "32m", "--restart", "always")
    names = [cloud.sleeper(via, *small) for via in cloud.names for _ in range(2)]
    assert any(found_by in cloud.shoal("a", "why", name).stdout for name in names)
    lost = cloud.keeper()
    left = cloud.others(lost)

    lab.power_off(lost)
    eventually(
        "everything runs on the hosts that are left",
        lambda: all(
            cloud.container(left[0], name).get("state") == "running"
            and cloud.container(left[0], name).get("node") in left
            for name in names
        ),
        timeout=90,
    )
    lab.start(lost)
    eventually("all see all again", cloud.whole, timeout=60)
    lab.power_off(*cloud.names)

    results = replay(lab)
    lab.down()
    assert sorted(results) == sorted(cloud.names)
    assert sum(one["decisions"] for one in results.values()) > len(names)
    assert results[lost]["lives"] == 2
    assert [one["differences"] for one in results.values()] == [[], [], []]
    assert [one["unlike"] for one in results.values()] == [0, 0, 0]
