"""A host emptied by its operator while containers come and go on real engines."""

import json
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from cloud import Cloud, Done, eventually

pytestmark = pytest.mark.lab


def test_a_host_is_drained_under_load_and_opened_again(cloud: Cloud) -> None:
    names = [cloud.sleeper("a", "--restart", "always") for _ in range(6)]
    drained = Counter(cloud.node_of(name) for name in names).most_common(1)[0][0]
    via, other = cloud.others(drained)
    cloud.sleeper(via, on=drained, name="stays")
    ids = {name: line["id"] for name, line in cloud.ps(via).items()}
    moving = [name for name in names if cloud.node_of(name, via) == drained]
    try:
        with ThreadPoolExecutor(2) as threads:
            drain = threads.submit(cloud.shoal, via, "node", "drain", drained, "--timeout", "90")
            jobs = threads.submit(_jobs_until, drain, cloud, other)
            while not drain.done():
                gaps = [name for name in names if not cloud.instances(ids[name], running=True)]
                assert gaps == []
        _is_drained(cloud, drained, via, moving, drain.result())
        assert {done.returncode for done in jobs.result()} == {0}
        for name in names:
            assert cloud.instances(ids[name]) == [cloud.node_of(name, via)] != [drained]
        _gets_nothing_new(cloud, drained, via)
    finally:
        # Asked of the host itself: it is there like any other.
        opened = cloud.shoal(drained, "node", "uncordon", drained)
    assert opened.returncode == 0
    eventually("it is open for all", lambda: _state(cloud, via, drained) == (False, False))
    cloud.docker(via, "run", "--rm", "--label", f"shoal.node={drained}", "busybox", "true")


def _jobs_until(end: "Future[Done]", cloud: Cloud, via: str) -> list[Done]:
    found = []
    while not end.done():
        found.append(cloud.docker(via, "run", "--rm", "busybox", "true", check=False))
    return found


def _is_drained(cloud: Cloud, host: str, via: str, moving: list[str], done: Done) -> None:
    assert done.returncode == 0, done.stderr
    first, *_, last = done.stdout.splitlines()
    assert first == f"0 of {len(moving)} moved"
    assert f"{len(moving)} of {len(moving)} moved" in done.stdout
    assert last == f"{host} is drained but for 1 that stay"
    assert _state(cloud, via, host) == (True, True)
    assert "up, draining" in cloud.shoal(via, "node", "ls").stdout
    assert cloud.node_of("stays", via) == host


def _gets_nothing_new(cloud: Cloud, host: str, via: str) -> None:
    pinned = ("--label", f"shoal.node={host}", "busybox", "true")
    refused = cloud.docker(via, "run", "--rm", *pinned, check=False)
    assert refused.returncode == 125
    assert f"cordoned (shoal node uncordon {host})" in refused.stderr
    cloud.host(host).kill_daemon()
    cloud.host(host).start_daemon()
    eventually("it is back and still drained", lambda: _state(cloud, host, host) == (True, True))


def _state(cloud: Cloud, via: str, host: str) -> tuple[bool, bool]:
    (line,) = (one for one in cloud.native(via, "/v1/nodes") if one["name"] == host)
    return line["cordoned"], line["draining"]


def test_tokens_are_listed_and_removed_anywhere(cloud: Cloud) -> None:
    known = {each["id"] for each in json.loads(cloud.shoal("a", "token", "ls", "--json").stdout)}
    made = cloud.shoal("b", "token", "create", "--ttl", "5m")
    assert made.stdout.startswith("shoal1.")
    listed = json.loads(cloud.shoal("c", "token", "ls", "--json").stdout)
    (token,) = (each for each in listed if each["id"] not in known)
    assert token["made_on"] == "b"
    assert cloud.shoal("c", "token", "rm", token["id"][:8]).returncode == 0
    assert token["id"] not in cloud.shoal("a", "token", "ls").stdout
