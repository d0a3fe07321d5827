"""What of Docker's API only several hosts can show, with the stock client and raw HTTP."""

import os
import pty
import select
import time

import pytest
from cloud import Cloud, eventually

pytestmark = pytest.mark.lab

DEADLINE = 60.0


@pytest.mark.parametrize("on", ["a", "b"])
def test_a_terminal_reaches_a_container_on_any_host(cloud: Cloud, on: str) -> None:
    where = ("--label", f"shoal.constraint=node.name=={on}")
    words = cloud.docker_argv("a", "run", "-it", "--rm", *where, "busybox", "sh")
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(words[0], words)
    expect(terminal, b"# ")
    os.write(terminal, b"echo $((20+22)); sleep 1000\n")
    expect(terminal, b"42")
    os.write(terminal, b"\x03")
    expect(terminal, b"# ")
    os.write(terminal, b"exit 9\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    os.close(terminal)


def test_a_short_run_gives_its_exit_code_every_time(cloud: Cloud) -> None:
    """The container is gone before most of the client's questions arrive."""
    for number in range(6):
        via = cloud.names[number % len(cloud.names)]
        words = ("run", "--rm", "busybox", "sh", "-c", f"echo {number}; exit {number + 1}")
        done = cloud.docker(via, *words, check=False)
        assert (done.stdout, done.returncode) == (f"{number}\n", number + 1)


def test_inspect_is_in_the_users_words_through_every_host(cloud: Cloud) -> None:
    name = cloud.sleeper("a", "--restart", "always", "-v", "data:/data", "-l", "a=b", on="b")
    for via in cloud.names:
        document = cloud.inspect(via, name)
        assert document["Name"] == f"/{name}"
        assert document["Config"]["Hostname"] == document["Id"][:12]
        assert document["Config"]["Labels"]["a"] == "b"
        assert not {"shoal.id", "shoal.cloud"} & document["Config"]["Labels"].keys()
        assert document["HostConfig"]["RestartPolicy"]["Name"] == "always"
        assert [mount["Name"] for mount in document["Mounts"]] == ["data"]
        assert document["Node"]["Name"] == "b"


def test_a_container_of_a_dead_host_can_be_inspected_but_its_logs_cannot(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="c")
    cloud.lab.power_off("c")
    eventually("a knows", lambda: cloud.knows_gone("a", "c"))
    assert cloud.inspect("a", name)["Node"]["Name"] == "c"
    done = cloud.docker("a", "logs", name, check=False)
    assert done.returncode == 1
    assert "c" in done.stderr
    assert "unreachable" in done.stderr
    row = cloud.docker("a", "ps", "--filter", f"name={name}", "--format", "{{.Status}}").stdout
    assert row.startswith("Unknown (host c unreachable ")
    cloud.lab.start("c")


def test_info_counts_the_whole_cloud(cloud: Cloud) -> None:
    cloud.sleeper("a", on="b")
    _, info = cloud.raw("c", "GET", "/info")
    single = cloud.native("a", "/v1/nodes")[0]["capacity"]["cpu_millis"] // 1000
    assert (info["Name"], info["NCPU"]) == ("c", 3 * single)
    assert info["ContainersRunning"] == 1
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert [row[0].strip() for row in info["DriverStatus"]] == ["Nodes", "a", "b", "c"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/containers/create", 400),
        ("POST", "/containers/nobody/start", 404),
        ("GET", "/networks", 501),
        ("GET", "/v9.99/info", 400),
        ("GET", "/nonsense", 404),
    ],
)
def test_trouble_has_dockers_shape_through_every_host(
    cloud: Cloud, method: str, path: str, status: int
) -> None:
    for via in cloud.names:
        got, document = cloud.raw(via, method, path)
        assert (got, list(document)) == (status, ["message"])


def expect(terminal: int, text: bytes) -> None:
    """Read a terminal until it shows the text."""
    seen = b""
    deadline = time.monotonic() + DEADLINE
    while text not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)
