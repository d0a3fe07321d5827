"""Hosts that lose power: what moves, what stays, what clients see, and the way back."""

import json
import re
import subprocess
import threading
import time
from functools import partial

import pytest
from cloud import Cloud, eventually, new_name

pytestmark = pytest.mark.lab

#: Seconds within which a replacement runs, generous for a machine that is busy with a whole lab.
HEALED = 60


def runs_on(cloud: Cloud, name: str, *hosts: str, via: str) -> bool:
    one = cloud.container(via, name)
    return one.get("state") == "running" and one["node"] in hosts


def test_the_busiest_host_loses_power(cloud: Cloud) -> None:
    victim = cloud.keeper()
    others = cloud.others(victim)
    movable = [cloud.sleeper("a", "--restart", "always") for _ in range(3)]
    movable.append(cloud.movable(others[0], victim))
    asked = cloud.sleeper(others[0], "--label", "shoal.reschedule=on-node-failure")
    home = {name: cloud.node_of(name) for name in [*movable, asked]}
    plain = cloud.sleeper("a", on=victim)
    bound = cloud.sleeper(victim, "--restart", "always", "-v", "/srv:/data")
    identities = {name: one["id"] for name, one in cloud.ps("a").items()}
    started = {n: cloud.inspect("a", n)["State"]["StartedAt"] for n in [*movable, asked]}

    cloud.lab.power_off(victim)

    for name in [*movable, asked]:
        eventually(
            f"{name} runs on one of {others}",
            partial(runs_on, cloud, name, *others, via=others[0]),
            timeout=HEALED,
        )
    for via in others:
        shown = cloud.ps(via)
        assert {name: one["id"] for name, one in shown.items()} == identities
        for name in (plain, bound):
            assert re.fullmatch(
                rf"Unknown \(host {victim} unreachable \d+\w\)", shown[name]["status"]
            )
    people = cloud.shoal(others[1], "ps").stdout
    assert "bind mount /srv" in people
    assert "restart policy is no" in people
    for name in [*movable, asked]:
        if home[name] != victim:  # nothing happened to those that were elsewhere
            assert cloud.inspect(others[0], name)["State"]["StartedAt"] == started[name]
    moved = {name: _run_of(cloud, name, others[0]) for name in [*movable, asked]}

    cloud.lab.start(victim)
    eventually("all see all", cloud.whole, timeout=60)
    for name in (*movable, asked, bound):
        eventually(f"{name} runs once", partial(_once, cloud, identities[name]), timeout=60)
    eventually(
        f"{bound} runs again at home",
        lambda: runs_on(cloud, bound, victim, via=others[0]),
        timeout=30,
    )
    ended = eventually(
        f"{plain} is there again, ended",
        lambda: cloud.container(others[0], plain).get("state") == "exited",
        timeout=30,
    )
    assert ended
    assert cloud.node_of(plain) == victim
    assert {name: _run_of(cloud, name, others[0]) for name in moved} == moved


def _run_of(cloud: Cloud, name: str, via: str) -> tuple[str, str]:
    """Where it runs and since when."""
    return cloud.node_of(name, via), str(cloud.inspect(via, name)["State"]["StartedAt"])


def _held(cloud: Cloud, object_id: str) -> bool:
    """Whether exactly one engine has it."""
    return len(cloud.instances(object_id)) == 1


def _once(cloud: Cloud, object_id: str) -> bool:
    """Whether exactly one engine has it, and runs it."""
    return _held(cloud, object_id) and len(cloud.instances(object_id, running=True)) == 1


def test_a_listing_takes_a_second_at_most_while_a_host_is_gone(cloud: Cloud) -> None:
    for victim in cloud.names[1:]:
        names = [cloud.sleeper("a", on=host) for host in cloud.names]
        cloud.lab.power_off(victim)
        deadline = time.monotonic() + 20
        unknown: set[str] = set()
        slowest = 0.0
        left = cloud.others(victim)
        while time.monotonic() < deadline and unknown != set(left):
            for via in left:
                began = time.monotonic()
                shown = cloud.docker(via, "ps", "--format", "{{.Names}} {{.Status}}").stdout
                slowest = max(slowest, time.monotonic() - began)
                assert all(name in shown for name in names)
                if f"Unknown (host {victim} unreachable" in shown:
                    unknown.add(via)
        assert unknown == set(left)
        assert slowest < 2  # the promise is 1 s; the client itself takes its share when it is busy
        cloud.lab.start(victim)
        eventually("all see all", cloud.whole, timeout=60)
        cloud.docker("a", "rm", "--force", *names)


def test_a_foreground_run_survives_the_loss_of_the_keeper(cloud: Cloud) -> None:
    keeper = cloud.keeper()
    via, on = cloud.others(keeper)
    script = "echo began; while [ ! -e /go ]; do sleep 0.1; done; echo done; exit 9"
    name = new_name()
    words = ["run", "--rm", "--name", name, "--label", f"shoal.node={on}"]
    client = cloud.popen(via, *words, "busybox", "sh", "-c", script)
    assert client.stdout
    line = client.stdout.readline()
    assert line == "began\n", client.communicate(timeout=30)
    waiter = cloud.popen(via, "wait", name)
    time.sleep(0.5)
    assert waiter.poll() is None
    cloud.lab.power_off(keeper)
    eventually(
        "another keeper serves",
        lambda: cloud.keeper(via) != keeper and cloud.container(via, name)["state"] == "running",
        timeout=30,
    )
    assert client.poll() is None
    _in_engine(cloud, on, name, "touch", "/go")
    out, err = client.communicate(timeout=60)
    assert (out, client.returncode) == ("done\n", 9), err
    out, err = waiter.communicate(timeout=60)
    assert out == "9\n", err
    eventually("--rm has removed it", lambda: name not in cloud.ps(via), timeout=30)


def _in_engine(cloud: Cloud, host: str, name: str, *argv: str) -> None:
    """Run something in a container, straight through its engine."""
    found = [one["Id"] for one in cloud.engine(host) if one["Labels"].get("shoal.name") == name]
    assert len(found) == 1
    engine = ["docker", "--host", f"unix://{cloud.host(host).engine_socket}"]
    subprocess.run([*engine, "exec", found[0], *argv], check=True, timeout=30)


def test_the_keeper_loses_power_during_a_stream_of_creates(cloud: Cloud) -> None:
    keeper = cloud.keeper()
    left = cloud.others(keeper)
    acknowledged: dict[str, str] = {}
    refused: dict[str, str] = {}
    stop = threading.Event()

    def stream(via: str, prefix: str) -> None:
        for number in range(1000):
            if stop.is_set():
                return
            name = f"{prefix}{number}"
            done = cloud.docker(via, "create", "--name", name, "busybox", check=False)
            if done.returncode == 0:
                acknowledged[name] = done.stdout.strip()
            else:
                refused[name] = done.stderr.strip()

    threads = [threading.Thread(target=stream, args=(via, new_name("s"))) for via in left]
    for thread in threads:
        thread.start()
    eventually("some are made", lambda: len(acknowledged) >= 8, timeout=60)
    before = len(acknowledged)
    cloud.lab.power_off(keeper)
    try:
        eventually("creates go on", lambda: len(acknowledged) >= before + 8, timeout=60)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert refused == {}
    for via in left:
        shown = cloud.ps(via)
        assert {name: shown[name]["id"] for name in acknowledged} == acknowledged
        assert len(shown) == len(acknowledged)
    cloud.lab.start(keeper)
    eventually("all see all", cloud.whole, timeout=60)
    for name, object_id in acknowledged.items():
        eventually(
            f"{name} is in one engine",
            partial(_held, cloud, object_id),
            timeout=60,
        )
    engines = [one for host in cloud.names for one in cloud.engine(host)]
    assert len(engines) == len(acknowledged)


def test_a_container_that_ended_for_good_is_not_started_elsewhere(cloud: Cloud) -> None:
    victim = cloud.others(cloud.keeper())[0]
    left = cloud.others(victim)
    reschedule = ["--label", "shoal.reschedule=on-node-failure"]
    first = ["--label", f"shoal.constraint=node.name=={victim}"]
    ended = cloud.run(left[0], *reschedule, *first, "busybox", "true")
    stopped = cloud.sleeper(left[0], "--restart", "unless-stopped", on=victim)
    cloud.docker(left[0], "stop", "--time", "0", stopped)
    eventually("it ended", lambda: cloud.container(left[0], ended)["state"] == "exited")
    cloud.lab.power_off(victim)
    eventually("it is gone", lambda: cloud.knows_gone(left[0], victim), timeout=30)
    time.sleep(3)
    for name in (ended, stopped):
        assert cloud.container(left[0], name)["state"] == "unknown"
        assert cloud.node_of(name, left[0]) == victim


def test_a_container_tied_to_a_dead_host_by_a_constraint_says_what_it_waits_for(
    cloud: Cloud,
) -> None:
    victim = cloud.others(cloud.keeper())[0]
    via = cloud.others(victim)[0]
    name = cloud.sleeper(via, "--restart", "always", on=victim)
    cloud.lab.power_off(victim)
    note = eventually(
        "the note says why",
        lambda: cloud.container(via, name)["note"],
        timeout=40,
    )
    assert "constraint" in note
    assert "constraint" in cloud.shoal(via, "ps").stdout
    assert "constraint" in cloud.shoal(via, "why", name).stdout
    cloud.lab.start(victim)
    eventually("it runs at home", lambda: runs_on(cloud, name, victim, via=via), timeout=60)


def test_what_needs_the_dead_host_fails_at_once_and_says_so(cloud: Cloud) -> None:
    victim = cloud.others(cloud.keeper())[0]
    via = cloud.others(victim)[0]
    name = cloud.sleeper(via, on=victim)
    cloud.lab.power_off(victim)
    eventually("it is gone", lambda: cloud.knows_gone(via, victim), timeout=30)
    for words in (["stop", name], ["logs", name], ["restart", name], ["kill", name]):
        began = time.monotonic()
        done = cloud.docker(via, *words, check=False)
        assert done.returncode != 0, words
        assert f"host {victim}" in done.stderr, words
        assert time.monotonic() - began < 10, words
    # Its name is free again once it is removed; its host gives it up when it comes back.
    cloud.docker(via, "rm", "--force", name)
    assert cloud.ps(via) == {}
    again = cloud.sleeper(via, name=name)
    cloud.lab.start(victim)
    eventually("all see all", cloud.whole, timeout=60)
    identity = cloud.container(via, again)["id"]
    eventually(
        "only the new one is there",
        lambda: (
            [one["Labels"]["shoal.id"] for host in cloud.names for one in cloud.engine(host)]
            == [identity]
        ),
        timeout=30,
    )


def test_two_of_five_hosts_lose_power(cloud5: Cloud) -> None:
    cloud = cloud5
    keeper = cloud.keeper()
    victims = [keeper, next(n for n in cloud.vcluster("a")["copies"] if n != keeper)]
    left = cloud.others(*victims)
    names = [cloud.sleeper("a", "--restart", "always") for _ in range(10)]
    identities = {name: one["id"] for name, one in cloud.ps("a").items()}
    started = {name: cloud.inspect(left[0], name)["State"]["StartedAt"] for name in names}
    stayed = {name for name in names if cloud.node_of(name) in left}
    assert len(stayed) < 10
    cloud.lab.power_off(*victims)
    for name in names:
        eventually(
            f"{name} runs on one of {left}",
            partial(runs_on, cloud, name, *left, via=left[0]),
            timeout=HEALED,
        )
    new = cloud.sleeper(left[1])
    for via in left:
        shown = cloud.ps(via)
        assert {name: shown[name]["id"] for name in names} == identities
        assert new in shown
    for name in stayed:
        assert cloud.inspect(left[2], name)["State"]["StartedAt"] == started[name]
    cloud.lab.start(*victims)
    eventually("all see all", cloud.whole, timeout=60)
    for name in names:
        eventually(
            f"{name} runs once",
            partial(_once, cloud, identities[name]),
            timeout=60,
        )
    for name in stayed:
        assert cloud.inspect(left[2], name)["State"]["StartedAt"] == started[name]


def test_nothing_happens_to_containers_while_keeper_and_network_are_away(cloud: Cloud) -> None:
    names = [cloud.sleeper("a", "--restart", "always", on=host) for host in cloud.names]
    started = {name: cloud.inspect("a", name)["State"]["StartedAt"] for name in names}
    for host in cloud.names:
        cloud.host(host).kill_daemon()
    cloud.lab.partition([[name] for name in cloud.names])
    cloud.lab.start_daemons(cloud.names)
    time.sleep(3)
    cloud.lab.heal()
    eventually("all see all", cloud.whole, timeout=90)
    time.sleep(6)  # every host reports once more
    for name in names:
        state = cloud.inspect("b", name)["State"]
        assert (state["Running"], state["StartedAt"]) == (True, started[name])


def test_followers_at_another_host_see_a_move_in_order(cloud: Cloud) -> None:
    victim = cloud.others(cloud.keeper())[0]
    via = cloud.others(victim)[1]
    words = ["--filter", "type=container", "--format", "{{json .}}"]
    with cloud.popen(via, "events", *words) as follower:
        time.sleep(1.5)  # the client does not say when it has begun to listen
        name = cloud.movable(via, victim)
        cloud.lab.power_off(victim)
        eventually(
            "it runs elsewhere",
            lambda: runs_on(cloud, name, *cloud.others(victim), via=via),
            timeout=HEALED,
        )
        cloud.docker(via, "rm", "--force", name)
        time.sleep(1)
        follower.terminate()
        out, _ = follower.communicate(timeout=20)
    events = [json.loads(line) for line in out.splitlines()]
    mine = [event for event in events if event["Actor"]["Attributes"]["name"] == name]
    assert len({event["Actor"]["ID"] for event in mine}) == 1
    told = [event["Action"] for event in mine]
    told = [action for action in told if action in ("create", "start", "die", "destroy")]
    assert told == ["create", "start", "create", "start", "die", "destroy"]
    hosts = [event["Actor"]["Attributes"]["node"] for event in mine]
    assert hosts[0] == victim
    assert hosts[-1] != victim
