"""Reboots, and daemons that end, hang or freeze while their containers run on."""

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from cloud import Cloud, eventually, new_name, stays

pytestmark = pytest.mark.lab


def runs(cloud: Cloud, name: str, via: str) -> bool:
    return bool(cloud.container(via, name).get("state") == "running")


def begun(cloud: Cloud, name: str, via: str) -> str:
    return str(cloud.inspect(via, name)["State"]["StartedAt"])


def test_all_hosts_reboot_at_once(cloud: Cloud) -> None:
    always = [cloud.sleeper("a", "--restart", "always", on=host) for host in cloud.names]
    movable = [cloud.sleeper("a", "--restart", "always") for _ in range(3)]
    stopped = cloud.sleeper("a", "--restart", "unless-stopped", on="b")
    cloud.docker("c", "stop", "--time", "0", stopped)
    plain = cloud.sleeper("a", on="c")
    made = new_name("made")
    cloud.docker("b", "create", "--name", made, "--label", "shoal.node=a", "busybox", "true")
    before = {name: (one["id"], one["node"]) for name, one in cloud.ps("a").items()}

    cloud.lab.power_off(*cloud.names)
    cloud.lab.start()

    eventually("all see all", cloud.whole, timeout=60)
    for name in [*always, *movable]:
        eventually(f"{name} is back", partial(runs, cloud, name, "b"), timeout=60)
    for via in cloud.names:
        shown = cloud.ps(via)
        assert {name: (one["id"], one["node"]) for name, one in shown.items()} == before
        assert shown[stopped]["state"] == "exited"
        assert shown[plain]["state"] == "exited"
        assert shown[made]["state"] == "created"
    for name, (object_id, host) in before.items():
        assert cloud.instances(object_id) == [host], name
    cloud.docker("a", "start", plain, made)
    assert runs(cloud, plain, "b")


def test_a_cut_off_host_starts_its_containers_with_no_peer(cloud: Cloud) -> None:
    host = cloud.others(cloud.keeper())[0]
    kept = cloud.sleeper("a", "--restart", "always", "-v", "/srv:/data", on=host)
    movable = cloud.sleeper("a", "--restart", "unless-stopped", on=host)
    plain = cloud.sleeper("a", on=host)
    cloud.lab.power_off(*cloud.names)
    cloud.lab.start(host)
    began = time.monotonic()
    identities = {name: one["id"] for name, one in cloud.ps(host).items()}
    for name in (kept, movable):
        eventually(
            f"{name} runs",
            partial(cloud.instances, identities[name], [host], running=True),
            timeout=30,
        )
    # The promise is 10 s after the engine; the daemon itself was up before we began to count.
    assert time.monotonic() - began < 12
    assert cloud.status(host)["risk"]
    assert not runs(cloud, plain, host)
    new = cloud.sleeper(host)
    assert runs(cloud, new, host)


def keeps_running(cloud: Cloud, fault: Callable[[str], None]) -> None:
    """Containers run on whatever happens to the daemons of their hosts, one after the other."""
    names = {host: cloud.sleeper("a", "--restart", "always", on=host) for host in cloud.names}
    started = {name: begun(cloud, name, "a") for name in names.values()}
    for host in cloud.names:
        fault(host)
        eventually("all see all", cloud.whole, timeout=60)
    for via in cloud.names:
        assert {name: begun(cloud, name, via) for name in started} == started
        assert all(runs(cloud, name, via) for name in started)


def test_containers_run_on_while_daemons_are_killed(cloud: Cloud) -> None:
    def fault(host: str) -> None:
        cloud.host(host).kill_daemon()
        cloud.host(host).start_daemon()

    keeps_running(cloud, fault)


def test_containers_run_on_while_daemons_are_stopped(cloud: Cloud) -> None:
    def fault(host: str) -> None:
        cloud.host(host).stop_daemon()
        cloud.host(host).start_daemon()

    keeps_running(cloud, fault)


def test_a_blocked_daemon_is_started_again_and_its_container_runs_on(cloud: Cloud) -> None:
    host = cloud.keeper()
    via = cloud.others(host)[0]
    name = cloud.sleeper(via, "--restart", "always", on=host)
    started = begun(cloud, name, via)
    before = cloud.host(host).daemon_processes()[1].pid
    blocking = threading.Thread(target=cloud.host(host).block_daemon, args=(10,))
    blocking.start()
    try:
        eventually("it is blocked", lambda: cloud.host(host).state() == "blocked", timeout=10)
        # The parent ends it after 5 s of silence; meanwhile others answer.
        assert name in cloud.docker(via, "ps").stdout
        eventually(
            "another worker runs",
            lambda: [p.pid for p in cloud.host(host).daemon_processes()[1:]] not in ([], [before]),
            timeout=25,
        )
        eventually("all see all", cloud.whole, timeout=60)
    finally:
        blocking.join()
    assert (cloud.node_of(name, via), begun(cloud, name, via)) == (host, started)
    assert cloud.instances(cloud.container(via, name)["id"]) == [host]


def test_a_frozen_daemon_is_replaced_and_gives_way_when_it_thaws(cloud: Cloud) -> None:
    """The whole daemon stands still, as on a machine that swaps: nobody restarts it."""
    host = cloud.others(cloud.keeper())[0]
    via = cloud.others(host)[0]
    name = cloud.movable(via, host)
    bound = cloud.sleeper(host, "--restart", "always", "-v", "/srv:/data")
    object_id = cloud.container(via, name)["id"]
    origin = begun(cloud, name, via)
    started = begun(cloud, bound, via)
    cloud.host(host).pause_daemon()
    eventually(
        "it runs elsewhere too",
        lambda: runs(cloud, name, via) and cloud.node_of(name, via) != host,
        timeout=60,
    )
    assert cloud.instances(object_id, [host], running=True) == [host]
    cloud.host(host).resume_daemon()
    eventually("all see all", cloud.whole, timeout=60)
    eventually("one is left", lambda: len(cloud.instances(object_id)) == 1, timeout=60)
    # The one that ran all the time stays.
    eventually("it is listed", lambda: cloud.node_of(name, via) == host, timeout=30)
    assert begun(cloud, name, via) == origin
    assert begun(cloud, bound, via) == started


def test_a_container_that_ends_while_its_daemon_is_away_is_restarted(cloud: Cloud) -> None:
    script = "sleep 3; exit 4"
    pin = ["--label", "shoal.node=b"]
    name = cloud.run("a", "--restart", "always", *pin, "busybox", "sh", "-c", script)
    ended = cloud.run("a", *pin, "busybox", "sh", "-c", script)
    object_id = cloud.container("a", name)["id"]
    cloud.host("b").kill_daemon()
    eventually(
        "both have ended",
        lambda: not cloud.engine("b", running=True),
        timeout=30,
    )
    cloud.host("b").start_daemon()
    eventually("it runs again", lambda: cloud.instances(object_id, ["b"], running=True), timeout=30)
    eventually("its end is known", lambda: cloud.container("c", ended)["state"] == "exited")
    assert cloud.docker("c", "wait", ended).stdout == "4\n"


def test_an_engine_that_is_away_is_no_death(cloud: Cloud) -> None:
    host = cloud.others(cloud.keeper())[0]
    via = cloud.others(host)[0]
    name = cloud.sleeper(via, "--restart", "always", on=host)
    home = cloud.node_of(name, via)
    cloud.host(host).exec("sh", "-c", "kill -9 $(cat /run/docker.pid)")
    eventually("its engine is away", lambda: cloud.host(host).state() == "engine-down")
    stays("the container stays where it is", lambda: cloud.node_of(name, via) == home, seconds=5)
    began = time.monotonic()
    done = cloud.docker(
        via, "run", "-d", "--label", f"shoal.node={host}", "busybox", "true", check=False
    )
    assert done.returncode == 125
    assert "engine" in done.stderr
    assert time.monotonic() - began < 20
    other = cloud.sleeper(via)
    assert cloud.node_of(other, via) != host
    cloud.host(host).start_engine()
    eventually("it runs at home", lambda: runs(cloud, name, via), timeout=60)
    assert cloud.node_of(name, via) == home
