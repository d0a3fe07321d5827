"""Clients that want the same thing at the same moment, and daemons killed in the middle of it."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cloud import Cloud, Done, eventually, new_name

pytestmark = pytest.mark.lab


def together(cloud: Cloud, *requests: tuple[str, ...]) -> list[Done]:
    """Several clients at the same moment; of each request the first word is the host."""
    barrier = threading.Barrier(len(requests))

    def one(words: tuple[str, ...]) -> Done:
        via, *rest = words
        barrier.wait()
        return cloud.docker(via, *rest, check=False)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(one, requests))


def test_one_of_two_clients_gets_the_name(cloud: Cloud) -> None:
    for first, second in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "c"), ("b", "b")):
        name = new_name()
        create = ("create", "--name", name, "busybox")
        answers = together(cloud, (first, *create), (second, *create))
        assert sorted(done.returncode for done in answers) == [0, 1]
        loser = next(done for done in answers if done.returncode)
        winner = next(done for done in answers if not done.returncode)
        assert f'The container name "/{name}" is already in use' in loser.stderr
        assert winner.stdout.strip() in loser.stderr
        for via in cloud.names:
            assert cloud.container(via, name)["id"] == winner.stdout.strip()
        assert len(cloud.instances(winner.stdout.strip())) == 1
    assert len([one for host in cloud.names for one in cloud.engine(host)]) == 5


def test_a_name_is_refused_with_status_409(cloud: Cloud) -> None:
    name = cloud.sleeper("a")
    for via in cloud.names:
        status, body = cloud.raw(
            via, "POST", f"/containers/create?name={name}", body={"Image": "busybox"}
        )
        assert status == 409
        assert set(body) == {"message"}


def test_one_of_two_clients_gets_the_last_free_core(cloud: Cloud) -> None:
    cores = {n["name"]: n["capacity"]["cpu_millis"] // 1000 for n in cloud.native("a", "/v1/nodes")}
    for host in cloud.names:
        spare = 1 if host == "b" else 0
        if cores[host] > spare:
            cloud.sleeper("a", "--cpus", str(cores[host] - spare), on=host)
    for first, second in (("a", "b"), ("b", "c"), ("c", "a")):
        names = [new_name(), new_name()]
        words = ["run", "-d", "--cpus", "1", "busybox", "sleep", "1000"]
        requests = [
            (via, *words[:2], "--name", name, *words[2:])
            for via, name in zip((first, second), names, strict=True)
        ]
        answers = together(cloud, *requests)
        assert sorted(done.returncode for done in answers) == [0, 125], answers
        loser = next(done for done in answers if done.returncode)
        assert "cpu" in loser.stderr
        shown = [name for name in names if name in cloud.ps("c")]
        assert len(shown) == 1
        assert cloud.node_of(shown[0]) == "b"
        cloud.docker("a", "rm", "--force", *shown)


def test_racing_for_one_port_of_three_hosts(cloud: Cloud) -> None:
    requests = [
        (via, "run", "-d", "--name", new_name(), "-p", "8085:80", "demo/web")
        for via in [*cloud.names, *cloud.names]
    ]
    answers = together(cloud, *requests)
    assert sorted(done.returncode for done in answers) == [0, 0, 0, 125, 125, 125]
    assert {one["node"] for one in cloud.ps("a").values()} == set(cloud.names)


def test_starting_stopping_and_removing_at_once_ends_in_order(cloud: Cloud) -> None:
    for _ in range(3):
        name = cloud.sleeper("a", on="b")
        together(
            cloud,
            ("a", "stop", "--time", "0", name),
            ("b", "start", name),
            ("c", "restart", "--time", "0", name),
        )
        states = {cloud.inspect(via, name)["State"]["Status"] for via in cloud.names}
        assert len(states) == 1
        answers = together(cloud, *((via, "rm", "--force", name) for via in cloud.names))
        assert 0 in {done.returncode for done in answers}
        assert cloud.ps("a") == {}


@pytest.mark.parametrize("role", ["keeper", "host", "asked"])
def test_a_daemon_killed_at_random_points_of_create(cloud: Cloud, role: str) -> None:
    """Whoever dies, each acknowledged create is one container, and nothing is half made."""
    keeper = cloud.keeper()
    host, asked = cloud.others(keeper)
    victim = {"keeper": keeper, "host": host, "asked": asked}[role]
    chance = random.Random(7)
    answers: dict[str, Done] = {}
    for _ in range(6):
        name = new_name("k")
        pin = ["--label", f"shoal.node={host}"]
        client = cloud.popen(asked, "create", "--name", name, *pin, "busybox")
        time.sleep(chance.uniform(0, 0.35))
        cloud.host(victim).kill_daemon()
        cloud.host(victim).start_daemon()
        out, err = client.communicate(timeout=60)
        answers[name] = Done(client.args, client.returncode, out, err)
    eventually("all see all", cloud.whole, timeout=60)
    for name, done in answers.items():
        if done.returncode == 0:
            assert cloud.container(asked, name)["id"] == done.stdout.strip()
        elif role != "asked":
            pytest.fail(f"the create of {name} failed: {done.stderr}")

    def sound() -> bool:
        """Each container that is listed is in one engine, and engines have no others."""
        listed = sorted(one["id"] for one in cloud.ps(asked).values())
        held = sorted(
            one["Labels"]["shoal.id"] for each in cloud.names for one in cloud.engine(each)
        )
        return listed == held

    # A create whose client has gone with its daemon may be undone: that takes half a minute.
    eventually("lists and engines agree", sound, timeout=75)
