"""The basic life of containers with the stock client: whatever host is asked, wherever they are."""

import json
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, eventually, new_name

pytestmark = pytest.mark.lab


def test_every_host_serves_a_container_of_another(cloud: Cloud) -> None:
    for via in cloud.names:
        name = cloud.sleeper(via, on="b")
        assert cloud.node_of(name) == "b"
        state = cloud.inspect(via, name)["State"]
        assert state["Running"]
        cloud.docker(via, "stop", "--time", "0", name)
        assert not cloud.inspect(via, name)["State"]["Running"]
        cloud.docker(via, "start", name)
        assert cloud.inspect(via, name)["State"]["Running"]
        before = cloud.inspect(via, name)["State"]["StartedAt"]
        cloud.docker(via, "restart", "--time", "0", name)
        assert cloud.inspect(via, name)["State"]["StartedAt"] > before
        cloud.docker(via, "kill", "--signal", "KILL", name)
        assert cloud.docker(via, "wait", name).stdout.strip() == "137"
        cloud.docker(via, "rm", name)
        gone = cloud.docker(via, "inspect", "--type", "container", name, check=False)
        assert gone.returncode == 1
        assert f"No such container: {name}" in gone.stderr


def test_all_hosts_list_the_same_containers(cloud: Cloud) -> None:
    for host in cloud.names:
        cloud.sleeper("a", on=host)
    cloud.docker("c", "create", "--name", new_name("made"), "busybox")
    listings = [
        cloud.docker(via, "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}")
        for via in cloud.names
    ]
    assert len(listings[0].stdout.splitlines()) == 4
    assert len({done.stdout for done in listings}) == 1
    running = cloud.docker("b", "ps", "--quiet").stdout.split()
    assert len(running) == 3


def test_what_is_done_through_one_host_is_seen_at_once_through_another(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="c")
    for via in cloud.names:
        cloud.docker(via, "stop", "--time", "0", name)
        for other in cloud.names:
            assert cloud.inspect(other, name)["State"]["Status"] == "exited"
        cloud.docker(via, "start", name)
        for other in cloud.names:
            assert cloud.inspect(other, name)["State"]["Status"] == "running"


@pytest.mark.parametrize("on", ["a", "b", "c"])
def test_run_in_the_foreground_gives_output_and_exit_code(cloud: Cloud, on: str) -> None:
    pin = ["--label", f"shoal.node={on}"]
    script = "echo to the one; echo to the other >&2; exit 7"
    for via in cloud.names:
        done = cloud.docker(via, "run", "--rm", *pin, "busybox", "sh", "-c", script, check=False)
        assert done.returncode == 7
        assert done.stdout == "to the one\n"
        assert done.stderr == "to the other\n"
    assert cloud.ps("a") == {}


def test_much_output_arrives_whole_and_in_order(cloud: Cloud) -> None:
    done = cloud.docker("a", "run", "--rm", "--label", "shoal.node=b", "busybox", "seq", "200000")
    assert done.stdout.split() == [str(number) for number in range(1, 200001)]


def test_standard_input_reaches_a_container_elsewhere(cloud: Cloud) -> None:
    argv = cloud.docker_argv("a", "run", "-i", "--rm", "--label", "shoal.node=c", "busybox", "wc")
    text = "one line\n" * 50_000
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["50000", "100000", str(len(text))]


def test_interrupting_the_client_ends_the_container(cloud: Cloud) -> None:
    name = new_name()
    script = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    words = ["run", "--rm", "--name", name, "--label", "shoal.node=b", "busybox", "sh", "-c"]
    client = cloud.popen("a", *words, script)
    assert client.stdout
    assert client.stdout.readline() == "ready\n"
    client.send_signal(signal.SIGINT)
    rest, _ = client.communicate(timeout=30)
    assert (rest, client.returncode) == ("caught\n", 5)
    eventually("the container is gone", lambda: name not in cloud.ps("c"), timeout=20)


def test_rm_frees_name_and_room_at_once(cloud: Cloud) -> None:
    for _ in range(3):
        for via in cloud.names:
            words = ["run", "--rm", "--name", "again", "--cpus", "2", "--label", "shoal.node=b"]
            assert cloud.docker(via, *words, "busybox", "echo", via).stdout == f"{via}\n"


def test_wait_answers_with_the_exit_code_through_every_host(cloud: Cloud) -> None:
    name = new_name()
    words = ["--name", name, "--label", "shoal.node=c", "busybox", "sh", "-c", "read x; exit 3"]
    cloud.docker("a", "create", "-i", *words)
    cloud.docker("b", "start", name)
    waiters = [cloud.popen(via, "wait", name) for via in cloud.names]
    time.sleep(0.5)
    assert [waiter.poll() for waiter in waiters] == [None, None, None]
    cloud.docker("a", "kill", name)
    for waiter in waiters:
        out, _ = waiter.communicate(timeout=30)
        assert out == "137\n"


def test_logs_through_every_host(cloud: Cloud) -> None:
    # The engine reads two pipes: only the pause makes the order of the last two lines certain.
    script = "for i in 1 2 3 4 5; do echo line $i; done; sleep 1; echo bad >&2; sleep 1000"
    name = cloud.run("a", "--label", "shoal.node=b", "busybox", "sh", "-c", script)
    lines = [f"line {number}" for number in range(1, 6)]
    for via in cloud.names:

        def said(via: str = via) -> bool:
            done = cloud.docker(via, "logs", name)
            return done.stdout.splitlines() == lines and done.stderr == "bad\n"

        eventually("all is said", said, timeout=20)
        last = cloud.docker(via, "logs", "--tail", "1", "--timestamps", name)
        assert last.stderr.endswith("Z bad\n")
        assert not last.stdout


def test_followed_logs_end_with_the_container(cloud: Cloud) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.3; done"
    name = cloud.run("a", "--label", "shoal.node=c", "busybox", "sh", "-c", script)
    followers = [cloud.popen(via, "logs", "--follow", name) for via in cloud.names]
    for follower in followers:
        out, _ = follower.communicate(timeout=30)
        assert out.split() == ["1", "2", "3"]
        assert follower.returncode == 0


def test_short_ids_and_names_resolve_as_dockers_do(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    identity = cloud.inspect("c", name)["Id"]
    for ref in (identity, identity[:12], identity[:6], name):
        assert cloud.inspect("c", ref)["Id"] == identity
    hostname = cloud.inspect("a", name)["Config"]["Hostname"]
    assert hostname == identity[:12]


def test_a_taken_name_is_refused_through_every_host(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    for via in cloud.names:
        done = cloud.docker(via, "create", "--name", name, "busybox", check=False)
        assert done.returncode == 1
        assert f'Conflict. The container name "/{name}" is already in use' in done.stderr


def test_ports_show_and_answer_at_the_hosts_address(cloud: Cloud) -> None:
    name = cloud.run("a", "-p", "8080:80", "--label", "shoal.node=c", "demo/web")
    address = cloud.host("c").address
    for via in cloud.names:
        ports = cloud.docker(via, "ps", "--filter", f"name={name}", "--format", "{{.Ports}}")
        assert f"{address}:8080->80/tcp" in ports.stdout
    page = eventually(
        "the page is there",
        lambda: cloud.host("a").exec("busybox", "wget", "-qO-", f"http://{address}:8080").stdout,
        timeout=20,
    )
    assert "Hello" in page


def test_host_ports_spread_over_the_hosts_until_none_is_left(cloud: Cloud) -> None:
    for _ in cloud.names:
        cloud.run("a", "-p", "8081:80", "demo/web")
    hosts = {one["node"] for one in cloud.ps("b").values()}
    assert hosts == set(cloud.names)
    full = cloud.docker("a", "run", "-d", "-p", "8081:80", "demo/web", check=False)
    assert full.returncode == 125
    assert "port" in full.stderr
    assert len(cloud.ps("b")) == 3


def test_spread_by_default_and_binpack_on_request(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.sleeper("a", "--cpus", "0.2")
    assert {one["node"] for one in cloud.ps("b").values()} == set(cloud.names)
    packed = [
        cloud.sleeper("a", "--cpus", "0.2", "--label", "shoal.placement=binpack") for _ in range(3)
    ]
    assert len({cloud.node_of(name) for name in packed}) == 1


def test_a_bind_mount_stays_at_the_host_that_was_asked(cloud: Cloud) -> None:
    for via in cloud.names:
        name = cloud.sleeper(via, "--restart", "always", "--volume", "/srv:/data")
        assert cloud.node_of(name) == via
        why = cloud.shoal("a", "why", name)
        assert why.returncode == 0
        assert "bind mount /srv" in why.stdout


def test_memory_in_bytes_by_mistake_is_refused_with_a_hint(cloud: Cloud) -> None:
    done = cloud.docker("b", "run", "-d", "--memory", "256", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "did you mean 256m?" in done.stderr
    assert cloud.ps("a") == {}


def test_limits_reach_the_engine(cloud: Cloud) -> None:
    name = cloud.sleeper("a", "--cpus", "0.5", "--memory", "64m", on="b")
    limits = cloud.inspect("c", name)["HostConfig"]
    assert (limits["NanoCpus"], limits["Memory"]) == (500_000_000, 64 << 20)
    promised = {"cpu_millis": 500, "memory": 64 << 20, "containers": 1}

    def known(via: str) -> bool:
        loads = {node["name"]: node["load"] for node in cloud.native(via, "/v1/nodes")}
        return all(loads["b"][key] == value for key, value in promised.items())

    for via in cloud.names:
        eventually(f"{via} knows what b has promised", partial(known, via), timeout=10)


def test_an_image_comes_from_the_host_that_has_it(cloud: Cloud) -> None:
    tag = _image_on(cloud, "b", "only-on-b")
    pin = ["--label", "shoal.node=c"]
    done = cloud.docker("a", "run", "--rm", *pin, tag, "cat", "/only-on-b", timeout=120)
    assert done.stdout == "here\n"
    pinned = json.loads(cloud.docker("c", "image", "inspect", tag).stdout)[0]["Id"]
    assert pinned


def test_no_such_image_comes_only_when_no_host_has_it(cloud: Cloud) -> None:
    status, body = cloud.raw("a", "GET", "/images/nobody-has-this/json")
    assert status == 404
    assert body["message"].startswith("No such image: nobody-has-this")
    tag = _image_on(cloud, "c", "only-on-c")
    for via in cloud.names:
        assert cloud.raw(via, "GET", f"/images/{tag}/json")[0] == 200


def _image_on(cloud: Cloud, host: str, word: str) -> str:
    """An image that only this host has: it is made there, behind the cloud's back."""
    engine = ["docker", "--host", f"unix://{cloud.host(host).engine_socket}"]
    dockerfile = f"FROM busybox\nRUN echo here > /{word}\n"
    subprocess.run(
        [*engine, "build", "--quiet", "--tag", word, "-"],
        input=dockerfile,
        text=True,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return word


def test_events_come_from_all_hosts_in_order(cloud: Cloud, tmp_path: Path) -> None:
    out = tmp_path / "events"
    began = int(time.time())
    with out.open("w") as file:
        words = ["events", "--filter", "type=container", "--format", "{{json .}}"]
        follower = subprocess.Popen(cloud.docker_argv("a", *words), stdout=file)
    try:
        time.sleep(1.5)
        names = [cloud.sleeper("b", on=host) for host in cloud.names]
        for name in names:
            cloud.docker("c", "stop", "--time", "0", name)
            cloud.docker("c", "rm", name)

        def events() -> list[dict[str, Any]]:
            return [json.loads(line) for line in out.read_text().splitlines()]

        def actions(name: str) -> list[str]:
            found = []
            for event in events():
                actor = event["Actor"]
                assert isinstance(actor, dict)
                if actor["Attributes"]["name"] == name:
                    found.append(str(event["Action"]))
            return found

        def ended(name: str) -> bool:
            return "destroy" in actions(name)

        for name in names:
            eventually("its end is told", partial(ended, name), timeout=20)
            seen = [a for a in actions(name) if a in ("create", "start", "die", "stop", "destroy")]
            assert seen == ["create", "start", "die", "stop", "destroy"]
    finally:
        follower.kill()
        follower.wait()
    past = cloud.docker("b", *words, "--since", str(began), "--until", str(int(time.time()) + 1))
    told = [json.loads(line) for line in past.stdout.splitlines()]
    times = [event["timeNano"] for event in told]
    assert times == sorted(times)
    by_name = {
        name: [e for e in events() if e["Actor"]["Attributes"]["name"] == name] for name in names
    }
    for name in names:
        assert [e for e in told if e["Actor"]["Attributes"]["name"] == name] == by_name[name]


def test_a_renamed_container_is_known_by_its_new_name_everywhere(cloud: Cloud) -> None:
    name, other = cloud.sleeper("a", on="b"), cloud.sleeper("a", on="c")
    before = cloud.inspect("a", name)["Id"]
    cloud.docker("c", "rename", name, f"{name}-new")
    for via in cloud.names:
        found = cloud.inspect(via, f"{name}-new")
        assert (found["Id"], found["Name"]) == (before, f"/{name}-new")
        assert cloud.docker(via, "inspect", name, check=False).returncode == 1
    taken = cloud.docker("b", "rename", other, f"{name}-new", check=False)
    assert "is already in use by container" in taken.stderr
    cloud.docker("a", "rm", "--force", f"{name}-new", other)


def test_a_paused_container_shows_as_such_everywhere_and_goes_on(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    cloud.docker("c", "pause", name)
    for via in cloud.names:
        assert cloud.inspect(via, name)["State"]["Paused"]
        words = cloud.docker(via, "ps", "--filter", f"name={name}", "--format", "{{.Status}}")
        assert words.stdout.strip().endswith("(Paused)")
    frozen = cloud.docker("a", "exec", name, "true", check=False)
    assert "is paused, unpause the container before exec" in frozen.stderr
    twice = cloud.docker("a", "pause", name, check=False)
    assert f"Container {cloud.inspect('a', name)['Id']} is already paused" in twice.stderr
    cloud.docker("a", "unpause", name)
    assert cloud.docker("a", "exec", name, "true").returncode == 0
    cloud.docker("c", "pause", name)
    cloud.docker("a", "rm", "--force", name)


def test_images_are_loaded_into_the_cloud_and_saved_from_it(cloud: Cloud, tmp_path: Path) -> None:
    tag, file = f"loaded:{new_name()}", tmp_path / "image.tar"
    engine = ["docker", "--host", f"unix://{cloud.host('a').engine_socket}"]
    for words in (["tag", "busybox", tag], ["save", "-o", str(file), tag], ["rmi", tag]):
        subprocess.run([*engine, *words], check=True, capture_output=True, timeout=60)
    told = cloud.docker("c", "load", "-i", str(file))
    assert f"Loaded image: {tag}" in told.stdout
    for via in cloud.names:
        assert cloud.docker(via, "run", "--rm", tag, "echo", via).stdout.strip() == via
    saved = tmp_path / "saved.tar"
    cloud.docker("b", "save", "-o", str(saved), tag)
    listing = subprocess.run(["tar", "-tf", saved], capture_output=True, text=True, check=True)
    assert "manifest.json" in listing.stdout.splitlines()
    missing = cloud.docker("b", "save", "-o", str(tmp_path / "none.tar"), "nothing:1", check=False)
    assert "No such image: nothing:1" in missing.stderr
