"""Flags of `shoal run` become what Docker's own client sends for them."""

import http.server
import json
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from shoal.cli.run_flags import Around, RunFlags, create_body
from shoal.cli.run_options import takes_run_options
from shoal.cli.run_values import size
from shoal.model.errors import BadRequest

AROUND = Around(here="/home/me", environment={"HOME": "/home/me"})


@click.command(context_settings={"allow_interspersed_args": False})
@takes_run_options
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def _parser(**given: Any) -> dict[str, Any]:
    return create_body(RunFlags(**given), AROUND)


def body_of(*words: str) -> dict[str, Any]:
    body = _parser.main(list(words), standalone_mode=False)
    assert isinstance(body, dict)
    return body


def test_a_bare_run_is_attached_to_output_only() -> None:
    assert body_of("busybox") == {
        "Image": "busybox",
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"NetworkMode": "default"},
    }


def test_words_after_the_image_are_the_command_whatever_they_look_like() -> None:
    assert body_of("-d", "busybox", "ls", "-l", "--rm")["Cmd"] == ["ls", "-l", "--rm"]


def test_interactive_input_ends_with_the_client_that_was_attached() -> None:
    attached = body_of("-it", "busybox")
    assert {"AttachStdin", "OpenStdin", "StdinOnce"} <= set(attached)
    detached = body_of("-dit", "busybox")
    assert {"OpenStdin", "Tty"} <= set(detached)
    assert not {"AttachStdin", "AttachStdout", "StdinOnce"} & set(detached)


def test_shoals_own_flags_travel_as_labels() -> None:
    words = "--cpu-class fast --constraint node.name!=b --constraint node.labels.x==1"
    body = body_of(*words.split(), "--placement", "binpack", "--node", "c", "-l", "a=b", "x")
    assert body["Labels"] == {
        "a": "b",
        "shoal.cpu-class": "fast",
        "shoal.constraint": "node.name!=b,node.labels.x==1",
        "shoal.placement": "binpack",
        "shoal.node": "c",
    }


def test_environment_comes_from_files_flags_and_around(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("\ufeff# comment\n\nA=1\n  B=two words\nHOME\nABSENT\n", encoding="utf-8")
    body = body_of("--env-file", str(file), "-e", "A=2", "-e", "HOME", "-e", "NONE", "x")
    assert body["Env"] == ["A=1", "B=two words", "HOME=/home/me", "A=2", "HOME=/home/me"]


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("256", 256), ("1k", 1024), ("1.5g", 1536 << 20), ("64MiB", 64 << 20), ("2GB", 2 << 30)],
)
def test_sizes_are_dockers(text: str, size_bytes: int) -> None:
    assert size("-m", text) == size_bytes


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("-m lots", "lots` for --memory"),
        ("--cpus many", "many` for --cpus"),
        ("--cpus=-1", "0 or more"),
        ("-p 80:http", "for --publish"),
        ("-p 0:80", "1 to 65535"),
        ("-p 1-2:80-82", "unequal"),
        ("-p 70000", "1 to 65535"),
        ("-v a:b:c:d", "for --volume"),
        ("--mount type=bind", "target is required"),
        ("--mount type=npipe,target=/x", "bind, volume or tmpfs"),
        ("--mount type=bind,target=/x,colour=red", "no colour"),
        ("--mount type=bind,target=/x,ro=perhaps", "not true or false"),
        ("--mount type=tmpfs,target=/x,tmpfs-mode=9", "mode"),
        ("--restart sometimes", "for --restart"),
        ("--restart always:3", "for --restart"),
        ("--rm --restart always", "both --restart and --rm"),
        ("--device /a:/b:/c:rw", "for --device"),
        ("--ulimit nofile=many", "for --ulimit"),
        ("--add-host nowhere", "for --add-host"),
        ("-e =x", "no name"),
        ("--env-file /nowhere/at/all", "No such file"),
    ],
)
def test_wrong_values_name_their_flag(words: str, hint: str) -> None:
    with pytest.raises(BadRequest, match=hint):
        body_of(*words.split(), "busybox")


CASES = [
    "-d",
    "--rm --name n -h box -w /w -u 1:2 --init --privileged --read-only -P",
    "-di --entrypoint sh -e A=1 -l k=v -l bare --stop-signal TERM --stop-timeout 0",
    "-d -p 8080:80 -p 127.0.0.1:53:53/udp -p 9000-9001:9000-9001 -p 70-75:70 -p 99 --expose 98",
    "-d -p [::1]:80:80 --expose 5000-5002/udp",
    "-d -v /a:/b:ro -v ./rel:/c -v vol:/d:rw -v /anonymous",
    "-d --mount type=bind,source=/x,target=/y,readonly,bind-propagation=rslave",
    "-d --mount src=vol,dst=/v,volume-nocopy",
    "-d --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700",
    "-d -m 256m --memory-reservation 64m --memory-swap 1g --cpus 1.5 --cpuset-cpus 0-1,3 -c 512",
    "-d --pids-limit 7 --shm-size 64m --ulimit nofile=10:20 --ulimit nproc=5 --memory-swap -1",
    "-d --restart on-failure:3 --dns 1.1.1.1 --dns-search example.org --add-host a:1.2.3.4",
    "-d --restart unless-stopped --add-host b=10.0.0.1 --network host",
    "-d --cap-add NET_ADMIN --cap-drop ALL --security-opt label=disable --group-add 5",
    "-d --tmpfs /t:size=1m --tmpfs /u --device /dev/null:/dev/n:rw --device /dev/zero",
]


class _Engine(http.server.BaseHTTPRequestHandler):
    """Just enough of an engine for `docker run` to send its request."""

    bodies: list[dict[str, Any]]

    def _answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        answer, status = b"{}", 200
        if "/containers/create" in self.path:
            self.bodies.append(json.loads(data))
            answer, status = b'{"message": "enough"}', 500
        self.send_response(status)
        self.send_header("Api-Version", "1.44")
        self.send_header("Ostype", "linux")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815 (names that http.server looks for)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def _engine(socket: Path) -> Iterator[list[dict[str, Any]]]:
    bodies: list[dict[str, Any]] = []
    handler = type("Handler", (_Engine,), {"bodies": bodies})
    with socketserver.ThreadingUnixStreamServer(str(socket), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield bodies
        finally:
            server.shutdown()
            thread.join(20)


def _significant(value: Any) -> Any:
    """Without what an engine reads as if it were not there, and order where there is none."""
    if isinstance(value, dict):
        inner = {key: _significant(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each not in (None, "", 0, [])}
    if isinstance(value, list):
        return [_significant(each) for each in value]
    return value


def _without_dockers_own(body: dict[str, Any]) -> dict[str, Any]:
    """Defaults that Docker's client spells out."""
    kept = _significant(body)
    kept.pop("NetworkingConfig")
    host = kept["HostConfig"]
    host = {key: value for key, value in host.items() if value != {}}
    if host.get("RestartPolicy") == {"Name": "no"}:
        del host["RestartPolicy"]
    if host.get("MemorySwappiness") == -1:
        del host["MemorySwappiness"]
    host.pop("LogConfig", None)
    host.pop("ConsoleSize", None)
    for mount in host.get("Mounts", []):
        mount.get("VolumeOptions", {}).pop("DriverConfig", None)
    return {**{key: value for key, value in kept.items() if value != {}}, "HostConfig": host}


@pytest.mark.skipif(not shutil.which("docker"), reason="needs Docker's client to compare with")
@pytest.mark.parametrize("words", CASES)
def test_the_body_is_that_of_dockers_client(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = [*words.split(), "busybox", "echo", "hi"]
    with _engine(tmp_path / "d.sock") as bodies:
        subprocess.run(
            ["docker", "-H", f"unix://{tmp_path}/d.sock", "run", *command],
            env={"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin"},
            timeout=60,
            check=False,
            capture_output=True,
        )
    assert bodies, "docker sent no request"
    theirs = _without_dockers_own(bodies[0])
    given = _parser.main(command, standalone_mode=False, obj=None)
    ours = _significant(given)
    binds = ours["HostConfig"].get("Binds")
    if binds:
        ours["HostConfig"]["Binds"] = [each.replace("/home/me/", f"{tmp_path}/") for each in binds]
    for host in (ours["HostConfig"], theirs["HostConfig"]):
        for name in ("Binds", "Ulimits"):  # docker's client keeps them in a map without order
            host[name] = sorted(host.get(name, ()), key=str)
    assert ours == theirs
