"""What Docker does within one container, through hosts that do not have it."""

import hashlib
import io
import json
import os
import pty
import re
import subprocess
import tarfile
import termios
import threading
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, eventually, new_name
from test_docker_api import expect

from shoal.lab.http import call

pytestmark = pytest.mark.lab

SIZE = 64 << 20
#: What a daemon may grow by while files pass through it, bytes.
GROWTH = 20 << 20


def test_commands_run_in_a_container_of_another_host(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    done = cloud.docker("a", "exec", name, "sh", "-c", "echo 1; echo 2 >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "1\n", "2\n")
    words = ("-e", "WORD=x y", "-w", "/etc", "-u", "12:34", name)
    done = cloud.docker("c", "exec", *words, "sh", "-c", 'echo "$WORD" $PWD $(id -u) $(id -g)')
    assert done.stdout == "x y /etc 12 34\n"
    cloud.docker("a", "exec", "--detach", name, "touch", "/done")
    eventually("the command ran", lambda: _is_there(cloud, name, "/done"))
    missing = cloud.docker("a", "exec", name, "no-such-command", check=False)
    assert missing.returncode in {126, 127}


def test_input_of_a_command_ends_before_its_output(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    sent = "line\n" * 100_000
    done = subprocess.run(
        cloud.docker_argv("a", "exec", "-i", name, "sh", "-c", "cat; echo end; exit 3"),
        input=sent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (3, f"{sent}end\n")


def test_a_command_has_a_terminal_of_the_clients_size(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    words = cloud.docker_argv("a", "exec", "-it", name, "sh")
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(words[0], words)
    expect(terminal, b"# ")
    termios.tcsetwinsize(terminal, (33, 77))
    os.write(terminal, b"until stty size | grep '33 77'; do sleep 0.1; done\n")
    expect(terminal, b"\n33 77")
    os.write(terminal, b"exit 9\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    os.close(terminal)


def test_an_exec_is_known_to_every_host(cloud: Cloud) -> None:
    name = cloud.sleeper("a", on="b")
    body = {"Cmd": ["sh", "-c", "exit 5"]}
    _, made = cloud.raw("a", "POST", f"/containers/{name}/exec", body=body)
    assert re.fullmatch("[0-9a-f]+", made["Id"])
    status, _ = cloud.raw("c", "POST", f"/exec/{made['Id']}/start", body={"Detach": True})
    assert status == 200

    def ended() -> Any:
        document = cloud.raw("b", "GET", f"/exec/{made['Id']}/json")[1]
        return None if document["Running"] else document

    document = eventually("the command ended", ended)
    assert (document["ID"], document["ExitCode"]) == (made["Id"], 5)
    assert document["ContainerID"] == cloud.inspect("c", name)["Id"]


def test_files_go_both_ways_through_a_third_host_and_nothing_piles_up(
    cloud: Cloud, tmp_path: Path
) -> None:
    name = cloud.sleeper("a", on="b")
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(SIZE))
    with _Growth(cloud, "c") as growth:
        cloud.docker("c", "cp", str(there), f"{name}:/big")
        cloud.docker("c", "cp", f"{name}:/big", str(back))
    assert _digest(back) == _digest(there)
    assert growth.bytes < GROWTH


def test_a_container_shows_what_it_does_through_every_host(cloud: Cloud, tmp_path: Path) -> None:
    name = cloud.sleeper("a", on="b")
    cloud.docker("a", "exec", name, "touch", "/made")
    for via in cloud.names:
        assert "sleep 100000" in cloud.docker(via, "top", name).stdout
        assert "A /made" in cloud.docker(via, "diff", name).stdout.splitlines()
    form = ("--no-stream", "--format", "{{.Name}} {{.ID}} {{.PIDs}}")
    identifier = cloud.inspect("c", name)["Id"]
    assert cloud.docker("c", "stats", *form, name).stdout == f"{name} {identifier[:12]} 1\n"
    packed = tmp_path / "all.tar"
    cloud.docker("c", "export", "--output", str(packed), name)
    with tarfile.open(packed) as tar:
        assert {"made", "bin/busybox"} <= set(tar.getnames())


def test_prune_removes_what_does_not_run_on_any_host(cloud: Cloud) -> None:
    runs, ended = cloud.sleeper("a", on="b"), cloud.sleeper("a", on="c", name=new_name("ended"))
    cloud.docker("a", "exec", ended, "sh", "-c", "head -c 5000 /dev/zero > /big")
    cloud.docker("a", "stop", "--time", "0", ended)
    identifier = cloud.inspect("a", ended)["Id"]
    kept = cloud.docker("b", "container", "prune", "--force", "--filter", "until=1h")
    assert "Total reclaimed space: 0B" in kept.stdout
    done = cloud.docker("b", "container", "prune", "--force")
    assert done.stdout == f"Deleted Containers:\n{identifier}\n\nTotal reclaimed space: 5kB\n"
    assert list(cloud.ps("c")) == [runs]


_NOBODY = "nobody-of-this-name"

_MISSING: tuple[tuple[str, str, object], ...] = (
    ("POST", f"/containers/{_NOBODY}/exec", {"Cmd": ["true"]}),
    ("POST", f"/containers/{_NOBODY}/exec", {}),
    ("GET", f"/exec/{'0' * 64}/json", None),
    ("POST", f"/exec/{'0' * 64}/start", {"Detach": True}),
    ("POST", f"/exec/{'0' * 64}/resize?h=1&w=1", None),
    ("GET", f"/containers/{_NOBODY}/archive?path=/", None),
    ("HEAD", f"/containers/{_NOBODY}/archive?path=/", None),
    ("PUT", f"/containers/{_NOBODY}/archive?path=/", None),
    ("GET", f"/containers/{_NOBODY}/top", None),
    ("GET", f"/containers/{_NOBODY}/changes", None),
    ("GET", f"/containers/{_NOBODY}/stats?stream=0", None),
    ("GET", f"/containers/{_NOBODY}/export", None),
)


def test_what_is_not_there_is_missed_as_the_plain_engine_does(cloud: Cloud) -> None:
    for method, path, body in _MISSING:
        got = _answer(cloud, "api", method, path, body)
        assert got == _answer(cloud, "engine", method, path, body), (method, path)


def test_a_stopped_container_is_refused_as_the_plain_engine_does(cloud: Cloud) -> None:
    plain, ours = cloud.sleeper("a", on="a"), cloud.sleeper("a", on="b")
    cloud.docker("a", "stop", "--time", "0", plain, ours)
    identifier = cloud.inspect("a", ours)["Id"]
    one = next(one for one in cloud.engine("a") if "shoal.id" in one["Labels"])
    engine_name = one["Names"][0].removeprefix("/")
    for method, what, body in (
        ("POST", "exec", {"Cmd": ["true"]}),
        ("GET", "top", None),
        ("GET", "archive?path=/no", None),
        ("GET", "archive", None),
    ):
        status, text = _answer(cloud, "engine", method, f"/containers/{engine_name}/{what}", body)
        expected = text.replace(engine_name, ours).replace(one["Id"], identifier)
        got = _answer(cloud, "api", method, f"/containers/{ours}/{what}", body)
        assert got == (status, expected)


def _answer(cloud: Cloud, side: str, method: str, path: str, body: object) -> tuple[int, str]:
    """Status and message of the plain engine, or of Shoal through another host."""
    host = cloud.host("a")
    socket = host.api_socket if side == "api" else host.engine_socket
    data = json.dumps(body).encode() if body is not None else b""
    headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
    status, answer = call(
        socket, method, f"/v1.41{path}", body=io.BytesIO(data), headers=headers, timeout=30
    )
    return status, json.loads(answer)["message"] if answer else ""


def _is_there(cloud: Cloud, name: str, path: str) -> bool:
    return cloud.docker("c", "exec", name, "test", "-e", path, check=False).returncode == 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Growth:
    """By how much a host's daemon grows meanwhile, at most, in bytes."""

    def __init__(self, cloud: Cloud, name: str) -> None:
        self._statuses = [
            Path(f"/proc/{one.pid}/status") for one in cloud.host(name).daemon_processes()
        ]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._before = self._now()
        self._most = self._before

    @property
    def bytes(self) -> int:
        return self._most - self._before

    def __enter__(self) -> "_Growth":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self._most = max(self._most, self._now())

    def _now(self) -> int:
        lines = [line for one in self._statuses for line in one.read_text().splitlines()]
        return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))
