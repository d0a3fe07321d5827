"""Bad input and trouble: Docker's status and shape, one line, and nothing half made."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from cloud import Cloud, eventually, new_name

from shoal.lab import Host

pytestmark = pytest.mark.lab


def is_error(answer: tuple[int, object], status: int) -> str:
    """Assert the shape of Docker's errors; answers the message."""
    assert answer[0] == status, answer
    assert isinstance(answer[1], dict)
    assert set(answer[1]) == {"message"}
    message = str(answer[1]["message"])
    assert message
    assert "\n" not in message
    assert "Traceback" not in message
    return message


def nothing_is_left(cloud: Cloud) -> bool:
    return not any(cloud.ps(via) for via in cloud.names) and not any(
        cloud.engine(host) for host in cloud.names
    )


@pytest.mark.parametrize(
    "sent",
    [
        b"{nope",
        b"[]",
        b'"busybox"',
        b"\xff\xfe\x00",
        b'{"Image": 5}',
        b'{"Image": "busybox", "HostConfig": []}',
        b'{"Image": "busybox", "HostConfig": {"Memory": "much"}}',
        b'{"Image": "busybox", "HostConfig": {"NanoCpus": -1}}',
        b'{"Image": "busybox", "HostConfig": {"PortBindings": {"x": []}}}',
        b'{"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "sometimes"}}}',
        b'{"Image": ""}',
        b"{}",
    ],
)
def test_a_malformed_create_is_refused(cloud: Cloud, sent: bytes) -> None:
    for via in cloud.names:
        is_error(cloud.raw(via, "POST", "/containers/create?name=bad", sent=sent), 400)
    assert nothing_is_left(cloud)


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/containers/json?filters={nope"),
        ("GET", '/containers/json?filters={"colour":["red"]}'),
        ("GET", "/containers/json?limit=many"),
        ("GET", "/events?since=yesterday"),
        ("POST", "/containers/create?name=-bad%20name-"),
    ],
)
def test_a_malformed_query_is_refused(cloud: Cloud, method: str, url: str) -> None:
    body = {"Image": "busybox"} if method == "POST" else None
    is_error(cloud.raw("b", method, url, body=body), 400)


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "json"),
        ("GET", "logs?stdout=1"),
        ("POST", "start"),
        ("POST", "stop"),
        ("POST", "kill"),
        ("POST", "restart"),
        ("POST", "wait"),
        ("POST", "attach?stream=1&stdout=1"),
        ("DELETE", ""),
    ],
)
def test_an_unknown_container_is_a_404_everywhere(cloud: Cloud, method: str, rest: str) -> None:
    url = f"/containers/nobody/{rest}".rstrip("/")
    for via in cloud.names:
        message = is_error(cloud.raw(via, method, url), 404)
        assert message == "No such container: nobody"


def test_what_is_not_there_yet_says_so(cloud: Cloud) -> None:
    for method, url in (
        ("GET", "/networks"),
        ("POST", "/build"),
        ("GET", "/services"),
        ("POST", "/containers/x/update"),
    ):
        message = is_error(cloud.raw("a", method, url), 501)
        assert "not there yet" in message


def test_an_impossible_request_names_the_filters_and_what_would_fit(cloud: Cloud) -> None:
    cpus = cloud.docker("a", "run", "-d", "--cpus", "64", "busybox", "true", check=False)
    assert cpus.returncode == 125
    assert "3 of 3 lack cpu (needs 64.0 cpus, most free:" in cpus.stderr
    memory = cloud.docker("b", "run", "-d", "--memory", "900g", "busybox", "true", check=False)
    assert "lack memory" in memory.stderr
    assert "most free" in memory.stderr
    label = ["--label", "shoal.constraint=node.labels.disk==ssd"]
    constraint = cloud.docker("c", "run", "-d", *label, "busybox", "true", check=False)
    assert "constraint" in constraint.stderr
    unknown = cloud.docker(
        "c", "run", "-d", "--label", "shoal.node=zz", "busybox", "true", check=False
    )
    assert "there are a, b, c" in unknown.stderr
    for done in (cpus, memory, constraint, unknown):
        assert "Traceback" not in done.stderr
    assert nothing_is_left(cloud)


def test_a_create_that_the_engine_refuses_leaves_nothing(cloud: Cloud) -> None:
    for via in cloud.names:
        name = new_name()
        words = ["create", "--name", name, "--label", "shoal.node=b"]
        bad = cloud.docker(via, *words, "--log-opt", "colour=red", "busybox", check=False)
        assert bad.returncode == 1
        assert "colour" in bad.stderr
        # The name is free again at once.
        cloud.docker(via, *words, "busybox")
        cloud.docker(via, "rm", name)
    eventually("nothing is left", partial(nothing_is_left, cloud), timeout=20)


def test_a_command_that_does_not_exist_fails_as_with_docker(cloud: Cloud) -> None:
    for via in cloud.names:
        done = cloud.docker(
            via, "run", "--rm", "--label", "shoal.node=c", "busybox", "no-such-command", check=False
        )
        assert done.returncode == 127
        assert "no-such-command" in done.stderr
    eventually("nothing is left", partial(nothing_is_left, cloud), timeout=20)


def test_removing_and_killing_what_should_not_be(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    is_error(cloud.raw("c", "DELETE", f"/containers/{name}"), 409)
    cloud.docker("c", "stop", "--time", "0", name)
    is_error(cloud.raw("a", "POST", f"/containers/{name}/kill"), 409)
    is_error(cloud.raw("a", "POST", f"/containers/{name}/kill?signal=NOPE"), 400)
    assert cloud.raw("a", "POST", f"/containers/{name}/stop")[0] == 304


def test_an_engine_that_is_away_during_a_create(cloud: Cloud) -> None:
    host = cloud.others(cloud.keeper())[0]
    via = cloud.others(host)[0]
    engine = cloud.host(host).exec("cat", "/run/docker.pid").stdout.strip()
    cloud.host(host).exec("kill", "-STOP", engine)
    pin = ["--label", f"shoal.node={host}"]
    name = new_name()
    client = cloud.popen(via, "create", "--name", name, *pin, "busybox")
    time.sleep(1)
    cloud.host(host).exec("kill", "-KILL", engine)
    out, err = client.communicate(timeout=60)
    assert (client.returncode, out) == (1, "")
    assert err.startswith("Error response from daemon: ")
    cloud.host(host).start_engine()
    eventually("nothing is left", partial(nothing_is_left, cloud), timeout=75)
    eventually("the host takes work again", lambda: cloud.run(via, *pin, "busybox", "true"))


@contextmanager
def small_disk(host: Host) -> Iterator[str]:
    """The daemon's state on a disk of 24 MB of its own; gives its directory."""
    state = str(host.disk / "shoal")
    host.stop_daemon()
    host.exec("sh", "-c", f"cp -a {state} /run/state && mount -t tmpfs -o size=24m none {state}")
    host.exec("sh", "-c", f"cp -a /run/state/. {state}/")
    host.start_daemon()
    try:
        yield state
    finally:
        host.stop_daemon()
        host.exec("sh", "-c", f"rm -rf /run/state; cp -a {state} /run/state; umount {state}")
        host.exec("sh", "-c", f"cp -a /run/state/. {state}/; rm -rf /run/state")
        host.start_daemon()


@pytest.mark.parametrize("role", ["keeper", "host"])
def test_a_full_disk_loses_nothing_and_ends_with_space(cloud: Cloud, role: str) -> None:
    keeper = cloud.keeper()
    victim = keeper if role == "keeper" else cloud.others(keeper)[0]
    via = cloud.others(victim)[0]
    old = cloud.sleeper(via, "--restart", "always", on=victim)
    started = cloud.inspect(via, old)["State"]["StartedAt"]
    with small_disk(cloud.host(victim)) as state:
        eventually("all see all", cloud.whole, timeout=60)
        fill = f"dd if=/dev/zero of={state}/filler bs=64k; dd if=/dev/zero of={state}/f2 bs=512"
        cloud.host(victim).exec("sh", "-c", fill, check=False)
        refused = [new_name("full") for _ in range(3)]
        acknowledged = {}
        for name in refused:
            url = f"/containers/create?name={name}"
            body = {"Image": "busybox", "Labels": {"shoal.node": victim}}
            answer = cloud.raw(victim, "POST", url, body=body, timeout=40)
            if answer[0] == 201:  # what fitted into the last pages
                acknowledged[name] = answer[1]["Id"]
            else:
                assert "disk" in is_error(answer, 503)
        assert len(acknowledged) < 3
        cloud.host(victim).exec("sh", "-c", f"rm {state}/filler {state}/f2")
        eventually("all see all", cloud.whole, timeout=60)

        def listed() -> bool:
            shown = cloud.ps(via)
            held = {one["Labels"]["shoal.id"] for h in cloud.names for one in cloud.engine(h)}
            return {one["id"] for one in shown.values()} == held and old in shown

        eventually("records and engines agree", listed, timeout=75)
        assert set(acknowledged) <= set(cloud.ps(via))
        again = eventually(
            "the host takes work again",
            lambda: cloud.sleeper(victim, "--label", f"shoal.node={victim}"),
            timeout=30,
        )
        assert cloud.inspect(via, again)["State"]["Running"]
    eventually("all see all", cloud.whole, timeout=60)
    assert cloud.inspect(via, old)["State"]["StartedAt"] == started


def test_the_native_api_words_errors_alike(cloud: Cloud) -> None:
    done = cloud.shoal("a", "inspect", "nobody")
    assert done.returncode == 1
    assert "No such container: nobody" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for words in (["ps", "--filter", "colour=red"], ["why", "nobody"], ["rm", "nobody"]):
        done = cloud.shoal("b", *words)
        assert done.returncode != 0
        assert len(done.stderr.strip().splitlines()) == 1
    assert json.loads(cloud.shoal("a", "ps", "--json").stdout) == []
