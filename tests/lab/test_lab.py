"""The lab itself, with engines alone: what a host is, what the faults do, what is left behind."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_support import MakeLab

from shoal.lab import Host, Lab, LabError, Quality

pytestmark = pytest.mark.lab

_SHOAL = [sys.executable, "-m", "shoal"]


@pytest.fixture(scope="module")
def lab(make_lab: MakeLab) -> Lab:
    return make_lab(
        hosts=3, daemons=False, images_on="all", sites={"north": ["a", "b"], "south": ["c"]}
    )


def docker(host: Host, *args: str) -> str:
    """The stock client against the host's own engine."""
    argv = ["docker", "--host", f"unix://{host.engine_socket}", *args]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def reaches(lab: Lab, source: str, target: str) -> bool:
    """Whether a ping gets an answer; three are sent, since the first may wait for ARP."""
    address = lab.host(target).address
    ping = ["busybox", "ping", "-c", "3", "-i", "0.1", "-W", "1", address]
    done = lab.host(source).exec(*ping, check=False)
    return " 0 packets received" not in done.stdout and done.returncode == 0


def round_trip_ms(lab: Lab, source: str, target: str) -> float:
    """The shortest of five round trips."""
    ping = ["busybox", "ping", "-c", "5", "-i", "0.1", "-W", "2", lab.host(target).address]
    found = re.search(r"min/avg/max = ([\d.]+)/", lab.host(source).exec(*ping).stdout)
    assert found
    return float(found.group(1))


def shoal(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*_SHOAL, *args], capture_output=True, text=True, timeout=60, check=False)


def test_every_host_has_its_own_name_address_and_engine(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.exec("hostname").stdout.strip() == host.name
        addresses = host.exec("ip", "-brief", "address", "show", "eth0").stdout
        assert f"{host.address}/24" in addresses
        assert "fd53:" in addresses
    engines = {docker(host, "info", "--format", "{{.ID}} {{.Name}}") for host in lab.hosts}
    assert len(engines) == 3


def test_a_host_sees_only_its_own_processes_and_volatile_files(lab: Lab) -> None:
    a, b = lab.host("a"), lab.host("b")
    a.exec("sh", "-c", "echo secret > /run/mine; echo secret > /tmp/mine; echo x > /etc/mine")
    for path in ("/run/mine", "/tmp/mine", "/etc/mine"):
        assert a.exec("cat", path).stdout
        assert b.exec("cat", path, check=False).returncode != 0
        assert not Path(path).exists()
    assert str(b.disk) not in a.exec("ps", "-ef").stdout


def test_hosts_reach_each_other_and_the_machine_reaches_their_published_ports(lab: Lab) -> None:
    assert reaches(lab, "a", "b")
    docker(lab.host("b"), "run", "--detach", "--name", "web", "--publish", "8080:80", "demo/web")
    address = f"http://{lab.host('b').address}:8080/"
    deadline = time.monotonic() + 15
    while True:
        try:
            with urllib.request.urlopen(address, timeout=2) as page:
                assert b"Hello from container" in page.read()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    docker(lab.host("b"), "rm", "--force", "web")


def test_status_names_every_host_with_its_sockets(lab: Lab) -> None:
    hosts = json.loads(shoal("lab", "status", "--name", lab.name, "--json").stdout)["hosts"]
    assert [host["name"] for host in hosts] == ["a", "b", "c"]
    assert [host["site"] for host in hosts] == ["north", "north", "south"]
    assert {host["state"] for host in hosts} == {"no-daemon"}
    for host in hosts:
        assert Path(host["engine_socket"]).is_socket()
        assert host["api_socket"].endswith("/docker.sock")


def test_exec_gives_the_exit_code_of_the_command(lab: Lab) -> None:
    done = shoal("lab", "exec", "--name", lab.name, "c", "sh", "-c", "hostname; exit 7")
    assert (done.returncode, done.stdout.strip()) == (7, "c")


def test_unknown_hosts_and_labs_are_refused_in_one_line(lab: Lab) -> None:
    for words in (
        ["exec", "--name", lab.name, "zz", "true"],
        ["kill", "--name", "nosuch", "a"],
        ["partition", "--name", lab.name, "a,b", "b,c"],
        ["netem", "--name", lab.name, "a", "--delay", "50"],
        ["up", "--name", lab.name],
        ["pause", "--name", lab.name, "a"],
    ):
        done = shoal("lab", *words)
        assert done.returncode != 0
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr


def test_power_off_ends_everything_of_a_host_and_its_disk_stays(lab: Lab) -> None:
    host = lab.host("c")
    identity = docker(host, "info", "--format", "{{.ID}}")
    docker(host, "run", "--detach", "--name", "sleeper", "busybox", "sleep", "1000")
    lab.power_off("c")
    assert host.state() == "off"
    assert not reaches(lab, "a", "c")
    assert not [word for word in lab.leftovers() if word.startswith("cgroup") and "/c/" in word]
    lab.start("c")
    assert docker(host, "info", "--format", "{{.ID}}") == identity
    assert "sleeper" in docker(host, "ps", "--all")
    assert reaches(lab, "a", "c")


def test_a_partition_cuts_between_groups_only_until_it_is_healed(lab: Lab) -> None:
    lab.partition([["a"], ["b", "c"]])
    assert not reaches(lab, "a", "b")
    assert not reaches(lab, "c", "a")
    assert reaches(lab, "b", "c")
    lab.partition([["c"]])
    assert not reaches(lab, "b", "c")
    assert reaches(lab, "a", "b")
    lab.heal()
    assert reaches(lab, "a", "c")


def test_a_partition_cuts_bad_links_too(lab: Lab) -> None:
    lab.netem("a", Quality(delay=0.01))
    assert reaches(lab, "a", "b")
    lab.partition([["a"], ["b", "c"]])
    assert not reaches(lab, "a", "b")
    lab.netem("b", Quality(delay=0.01))
    assert not reaches(lab, "b", "a")
    assert reaches(lab, "b", "c")
    lab.heal()
    assert reaches(lab, "a", "b")


def test_a_partition_survives_power_off_and_on(lab: Lab) -> None:
    lab.partition([["b"]])
    lab.power_off("b")
    lab.start("b")
    assert not reaches(lab, "a", "b")
    lab.heal()
    assert reaches(lab, "a", "b")


def test_delay_counts_each_way_and_only_towards_the_named_host(lab: Lab) -> None:
    lab.netem("a", Quality(delay=0.03), to="b")
    assert round_trip_ms(lab, "a", "b") >= 60
    assert round_trip_ms(lab, "a", "c") < 30
    lab.netem("a", Quality(delay=0.03), to="b", one_way=True)
    lab.heal()
    assert round_trip_ms(lab, "a", "b") < 30


def test_loss_one_way_lets_requests_through_but_no_answers(lab: Lab) -> None:
    lab.netem("b", Quality(loss=1.0), one_way=True, to="a")
    # /sys shows the machine's interfaces, so the count comes from the host's own /proc.
    received = "awk '/eth0:/ {print $3}' /proc/net/dev"
    before = int(lab.host("b").exec("sh", "-c", received).stdout)
    assert not reaches(lab, "a", "b")
    assert int(lab.host("b").exec("sh", "-c", received).stdout) >= before + 3
    lab.heal()
    assert reaches(lab, "a", "b")


def test_partial_loss_loses_about_its_share(lab: Lab) -> None:
    lab.netem("a", Quality(loss=0.3), one_way=True)
    ping = ["busybox", "ping", "-c", "200", "-i", "0.01", "-W", "1", lab.host("b").address]
    found = re.search(r"(\d+) packets received", lab.host("a").exec(*ping, check=False).stdout)
    lab.heal()
    assert found
    assert 100 <= int(found.group(1)) <= 175  # 140 expected; 5 standard deviations are 32


_RECEIVE = """
import socket, time
with socket.create_server(("", 9000)) as server:
    print("listening", flush=True)
    connection, _ = server.accept()
    began, count = time.monotonic(), 0
    while data := connection.recv(65536):
        count += len(data)
    print(count, time.monotonic() - began)
"""
_SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 9000), timeout=30) as connection:
    connection.sendall(bytes(2_000_000))
"""


def test_rate_limits_how_fast_bytes_pass(lab: Lab) -> None:
    lab.netem("a", Quality(rate=1_000_000), one_way=True)
    receiver = lab.host("b")
    argv = receiver.exec_argv([sys.executable, "-c", _RECEIVE])
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "listening\n"
        lab.host("a").exec(sys.executable, "-c", _SEND, receiver.address, timeout=60)
        count, seconds = process.stdout.read().split()
    lab.heal()
    assert int(count) == 2_000_000
    assert 1.8 < float(seconds) < 20


def test_a_bad_link_stays_bad_over_power_off_and_on(lab: Lab) -> None:
    lab.netem("b", Quality(delay=0.03))
    lab.power_off("b")
    lab.start("b")
    assert round_trip_ms(lab, "a", "b") >= 60
    lab.heal()
    assert round_trip_ms(lab, "a", "b") < 30


def test_a_second_lab_gets_a_subnet_of_its_own(lab: Lab, make_lab: MakeLab) -> None:
    second = make_lab(hosts=1, daemons=False)
    assert second.spec.subnet != lab.spec.subnet
    second.down()
    assert second.leftovers() == []
    assert reaches(lab, "a", "b")


def test_the_machine_gets_one_interface_and_no_firewall_rule(make_lab: MakeLab) -> None:
    def machine() -> tuple[set[str], str, str]:
        rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True)
        routes = subprocess.run(["ip", "route"], capture_output=True, text=True).stdout
        ours = [line for line in routes.splitlines() if "dev sl-" not in line]
        names = {path.name for path in Path("/sys/class/net").iterdir()}
        return {n for n in names if not n.startswith("sl-")}, rules.stdout, "\n".join(ours)

    before = machine()
    lab = make_lab(hosts=2, daemons=False)
    assert machine() == before
    lab.down()
    assert machine() == before
    assert lab.leftovers() == []


@pytest.mark.parametrize("moment", [0.2, 0.35, 0.6, 1.2])
def test_down_leaves_nothing_behind_after_a_crash_of_up(
    moment: float, lab_names: Callable[[], str], demo_images: Path
) -> None:
    lab = Lab(lab_names())
    words = ["--no-daemons", "--image", str(demo_images), "--name", lab.name]
    up = subprocess.Popen(
        [*_SHOAL, "lab", "up", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(moment)
    up.send_signal(signal.SIGKILL)
    up.wait()
    lab.down()
    # What the dead tool was still starting may appear a moment later.
    time.sleep(0.5)
    lab.down()
    assert lab.leftovers() == []


def test_running_containers_do_not_keep_down_from_cleaning(make_lab: MakeLab) -> None:
    lab = make_lab(hosts=2, daemons=False, images_on="all")
    for host in lab.hosts:
        docker(host, "run", "--detach", "--memory", "32m", "busybox", "sleep", "1000")
    assert any(word.startswith("cgroup") for word in lab.leftovers())
    lab.down()
    assert lab.leftovers() == []
    with pytest.raises(LabError, match="there is no lab"):
        lab.status()
