"""The stock docker command over our API and a real engine."""

import asyncio
import os
import pty
import re
import select
import shutil
import signal
import socket as socket_module
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvloop
from aiohttp import web
from fake_service import FakeService
from real_engine import IMAGE, can_run, docker, private_engine

from shoal.api.docker.app import make_app
from shoal.engine.docker import DockerEngine

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(can_run()), reason=can_run() or "an engine can run"),
]

#: Every client on this machine: their protocols differ in detail.
CLIENTS = sorted(
    path for path in ("/usr/bin/docker", "/usr/local/bin/docker") if os.access(path, os.X_OK)
) or [shutil.which("docker") or "docker"]
DEADLINE = 60
NO_NETWORK = ("--network", "none")


@contextmanager
def serving(engine: str, loop_factory: object) -> Iterator[str]:
    """Socket of the API, served by a loop in a thread."""
    root = tempfile.mkdtemp(prefix="shoal-api-", dir="/tmp")
    socket = f"{root}/docker.sock"
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        service = FakeService(DockerEngine(engine, cloud="0" * 32, node="a" * 64))
        await service.start()
        runner = web.AppRunner(make_app(service, vcluster="default", node_name="a"))
        await runner.setup()
        await web.UnixSite(runner, socket).start()
        ready.set()
        await asyncio.to_thread(stop.wait)
        await runner.cleanup()
        await service.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:  # type: ignore[arg-type]
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(DEADLINE)
        yield socket
    finally:
        stop.set()
        thread.join(DEADLINE)
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with private_engine() as socket:
        yield socket


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def api(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    with serving(engine, loops[request.param]) as socket:
        yield socket


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, api: str) -> Iterator["Client"]:
    yield Client(request.param, api)
    names = docker(api, "ps", "-aq").split()
    if names:
        docker(api, "rm", "-f", *names)


class Client:
    """One docker command and the socket that it speaks to."""

    def __init__(self, command: str, socket: str) -> None:
        self.words = [command, "-H", f"unix://{socket}"]

    def __call__(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Its output (stdout, then stderr); fails the test on another exit code."""
        done = subprocess.run(
            [*self.words, *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        output = done.stdout + done.stderr
        assert done.returncode == code, f"docker {' '.join(words)}: {done.returncode}: {output}"
        return output

    def run(self, *words: str, **options: object) -> str:
        return self("run", *NO_NETWORK, *words, **options)  # type: ignore[arg-type]

    def spawn(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.words, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )


def read_until(process: "subprocess.Popen[str]", words: str) -> str:
    """Lines of a process up to one that holds the words."""
    assert process.stdout is not None
    seen = ""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        seen += line
        if words in line:
            return seen
        if not line:
            break
    pytest.fail(f"{words!r} never came: {seen}")


def test_a_foreground_run_gives_output_and_exit_code(client: Client) -> None:
    script = "echo out; echo err >&2; exit 7"
    assert client.run("--rm", IMAGE, "sh", "-c", script, code=7) == "out\nerr\n"
    assert client("ps", "-aq") == ""


def test_standard_input_reaches_the_container_and_its_end_too(client: Client) -> None:
    text = "line\n" * 50_000
    assert client.run("--rm", "-i", IMAGE, "cat", stdin=text) == text


def test_much_output_arrives_whole(client: Client) -> None:
    output = client.run("--rm", IMAGE, "seq", "200000")
    assert output.splitlines()[-1] == "200000"
    assert len(output.splitlines()) == 200_000


def test_a_detached_container_is_listed_logged_inspected_and_removed(client: Client) -> None:
    identifier = client.run(
        "-d", "--name", "web", "-l", "a=b", IMAGE, "sh", "-c", "echo 1; sleep 60"
    )
    identifier = identifier.strip()
    row = client("ps", "--no-trunc", "--format", "{{.ID}} {{.Image}} {{.Names}} {{.Status}}")
    assert re.fullmatch(rf"{identifier} {IMAGE} web Up .*\n", row)
    assert client("logs", "web") == "1\n"
    shape = "{{.Id}} {{.Name}} {{.Config.Hostname}} {{.Config.Labels}} {{.State.Status}}"
    assert client("inspect", "-f", shape, "web") == (
        f"{identifier} /web {identifier[:12]} map[a:b] running\n"
    )
    assert "is already in use" in client.run("--name", "web", IMAGE, code=125)
    client("stop", "-t", "0", "web")
    assert client("wait", "web") == "137\n"
    assert "Exited (137)" in client("ps", "-a", "--format", "{{.Status}}")
    client("start", "web")
    assert "running container" in client("rm", "web", code=1)
    client("restart", "-t", "0", "web")
    client("kill", "web")
    client("rm", "web")
    assert "No such" in client("inspect", "web", code=1)


def test_logs_follow_until_the_container_ends(client: Client) -> None:
    client.run(
        "-d", "--name", "web", IMAGE, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.3; done"
    )
    assert client("logs", "-f", "web") == "1\n2\n3\n"
    assert client("logs", "--tail", "1", "web") == "3\n"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\S+Z 3\n", client("logs", "-t", "--tail", "1", "web"))


def test_ctrl_c_and_sigterm_reach_the_container(client: Client) -> None:
    script = "trap 'echo caught; exit 5' INT; echo ready; while true; do sleep 0.1; done"
    process = client.spawn("run", *NO_NETWORK, "--name", "fg", IMAGE, "sh", "-c", script)
    read_until(process, "ready")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=DEADLINE)
    assert "caught" in output
    assert process.returncode == 5


def test_a_terminal_works_with_its_keys(client: Client) -> None:
    words = [*client.words, "run", "-it", "--rm", *NO_NETWORK, IMAGE, "sh"]
    child, terminal = pty.fork()
    if child == 0:
        os.execv(words[0], words)
    seen = b""

    def expect(text: bytes, press: bytes = b"") -> None:
        """Wait for a text; press a key after each second of silence."""
        nonlocal seen
        deadline = time.monotonic() + DEADLINE
        while text not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([terminal], [], [], 1)[0]:
                seen += os.read(terminal, 4096)
            else:
                os.write(terminal, press)
        seen = b""

    expect(b"# ")
    os.write(terminal, b"echo $((20+22)); sleep 1000\n")
    expect(b"42")
    # The shell may just be starting `sleep`: then Ctrl-C reaches neither.
    os.write(terminal, b"\x03")
    expect(b"# ", press=b"\x03")
    os.write(terminal, b"exit 9\n")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    os.close(terminal)


def test_attach_joins_a_running_container(client: Client) -> None:
    client.run("-d", "--name", "web", IMAGE, "sh", "-c", "sleep 1; echo late; exit 4")
    assert client("attach", "web", code=4) == "late\n"


def test_events_of_a_run_are_told_with_their_host(client: Client) -> None:
    process = client.spawn(
        "events", "--filter", "container=web", "--format", "{{.Action}} {{.Actor.Attributes.node}}"
    )
    time.sleep(1)  # the client says nothing when it begins to listen
    client.run("--name", "web", IMAGE, "true")
    seen = read_until(process, "die a")
    process.kill()
    process.communicate()
    assert [line for line in seen.splitlines() if "attach" not in line] == [
        "create a",
        "start a",
        "die a",
    ]


def test_images_are_listed_and_a_missing_one_is_pulled_for(client: Client) -> None:
    assert IMAGE in client("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert "sha256:" in client("image", "inspect", "-f", "{{.Id}}", IMAGE)
    output = client("run", "localhost:1/nothing", code=125)
    assert "Unable to find image 'localhost:1/nothing:latest' locally" in output
    assert "Error response from daemon" in output


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a registry on this machine."""
    command = shutil.which("docker-registry")
    if command is None:
        pytest.skip("needs docker-registry")
    root = tmp_path_factory.mktemp("registry")
    with socket_module.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (root / "config.yml").write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n"
        f"http: {{addr: '{address}'}}\nlog: {{level: error}}\n"
    )
    process = subprocess.Popen(
        [command, "serve", str(root / "config.yml")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield address
    process.terminate()
    process.wait(DEADLINE)


def test_an_image_that_no_host_has_is_pulled(client: Client, engine: str, registry: str) -> None:
    image = f"{registry}/demo/app:1"
    docker(engine, "tag", IMAGE, image)
    deadline = time.monotonic() + DEADLINE
    while "digest" not in docker(engine, "push", image, check=False):
        assert time.monotonic() < deadline
    for pull in (("pull", image), ("run", "--rm", *NO_NETWORK, image, "echo", "pulled")):
        docker(engine, "rmi", image)
        while image in client("images", "--format", "{{.Repository}}:{{.Tag}}"):
            assert time.monotonic() < deadline
        assert "Pulling from demo/app" in client(*pull)
    assert image in client("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert "manifest unknown" in client("pull", f"{registry}/demo/app:2", code=1)
    docker(engine, "rmi", image)


def test_what_is_not_there_yet_is_named(client: Client) -> None:
    client.run("-d", "--name", "web", IMAGE, "sleep", "60")
    assert "commit: not there yet" in client("commit", "web", code=1)
    assert "networks: not there yet" in client("network", "ls", code=1)
    assert "did you mean 256m?" in client.run("-m", "256", IMAGE, code=125)
