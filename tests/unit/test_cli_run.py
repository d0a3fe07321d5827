"""`shoal run` and `logs` against an engine that only acts its part of Docker's API."""

import contextlib
import http.server
import json
import os
import re
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shoal.cli import streams
from shoal.cli.run import _split_reference, start_failure

ID = "e" * 64


def frame(kind: int, data: bytes) -> bytes:
    return bytes((kind, 0, 0, 0)) + len(data).to_bytes(4) + data


class Engine:
    """What the container does is set by the test; what was asked is noted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.started, self.ended = threading.Event(), threading.Event()
        self.exit_code = 0
        self.output = frame(1, b"out\n") + frame(2, b"err\n")
        self.input = b""
        self.images = {"busybox"}
        self.start_error = ""
        self.waits_for_signal = False
        self.signals: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: Engine

    def log_message(self, *_: Any) -> None:
        return

    def _json(self, status: int, value: Any) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body:
            self.wfile.write(body)

    def do_GET(self) -> None:
        self.engine.asked.append(self.path)
        if self.path.endswith("/json"):
            self._json(200, {"Id": ID, "Config": {"Tty": False}})
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.engine.output)))
        self.end_headers()
        self.wfile.write(self.engine.output)

    def do_DELETE(self) -> None:
        self.engine.asked.append("DELETE")
        self._json(204, None)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        name = re.sub(r"\?.*", "", self.path).rpartition("/")[2]
        self.engine.asked.append(name)
        {
            "create": self._create,
            "attach": self._attach,
            "wait": self._wait,
            "start": self._start,
            "kill": self._kill,
        }[name](body)

    def _create(self, body: bytes) -> None:
        if self.path.startswith("/images"):
            self.engine.images.add("web:1")
            self._json(200, {"status": "pulled", "id": "abc"})
            return
        wanted = json.loads(body)
        if wanted["Image"] not in self.engine.images:
            self._json(404, {"message": f"No such image: {wanted['Image']}"})
            return
        self.engine.bodies.append(wanted)
        self._json(201, {"Id": ID, "Warnings": ["swap is not limited"]})

    def _attach(self, _: bytes) -> None:
        engine = self.engine
        self.wfile.write(
            b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            b"Content-Type: application/vnd.docker.multiplexed-stream\r\n\r\n"
        )
        assert engine.started.wait(20)
        if "stdin=true" in self.path:
            while data := self.connection.recv(65536):
                engine.input += data
        if not engine.waits_for_signal or engine.ended.wait(20):
            self.wfile.write(engine.output)
        self.close_connection = True
        engine.ended.set()

    def _wait(self, _: bytes) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        if self.engine.ended.wait(20):
            with contextlib.suppress(BrokenPipeError):  # who waited for a failed start has left
                self.wfile.write(json.dumps({"StatusCode": self.engine.exit_code}).encode())

    def _start(self, _: bytes) -> None:
        if self.engine.start_error:
            self._json(400, {"message": self.engine.start_error})
            return
        self.engine.started.set()
        self._json(204, None)

    def _kill(self, _: bytes) -> None:
        self.engine.signals.append(self.path.partition("signal=")[2])
        self.engine.exit_code = 130
        self.engine.ended.set()
        self._json(204, None)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = Engine()
    handler = type("Bound", (Handler,), {"engine": engine})
    with socketserver.ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield engine
        engine.started.set()
        engine.ended.set()
        server.shutdown()
        thread.join(20)


def start(directory: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "shoal", *words],
        env={**os.environ, "SHOAL_HOST": str(directory)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def shoal(directory: Path, *words: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    process = start(directory, *words)
    out, err = process.communicate(stdin, timeout=60)
    return process.returncode, out, err


def test_in_the_foreground_it_attaches_and_waits_before_it_starts(
    engine: Engine, tmp_path: Path
) -> None:
    engine.exit_code = 7
    code, out, err = shoal(tmp_path, "run", "--rm", "busybox", "true")
    assert (code, out) == (7, b"out\n")
    assert err == b"shoal: swap is not limited\nerr\n"
    assert engine.asked == ["create", "attach", "wait", "start"]
    assert engine.bodies[0]["HostConfig"]["AutoRemove"] is True


def test_input_reaches_the_container_up_to_its_end(engine: Engine, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    code, out, _ = shoal(tmp_path, "run", "-i", "busybox", "cat", stdin=data)
    assert (code, out) == (0, b"out\n")
    assert engine.input == data


def test_detached_it_prints_the_id_only(engine: Engine, tmp_path: Path) -> None:
    code, out, _ = shoal(tmp_path, "run", "-d", "--name", "web", "busybox")
    assert (code, out) == (0, ID.encode() + b"\n")
    assert engine.asked == ["create", "start"]


def test_a_missing_image_is_pulled_unless_never(engine: Engine, tmp_path: Path) -> None:
    code, out, err = shoal(tmp_path, "run", "-d", "--pull", "never", "web:1")
    assert (code, out, err) == (125, b"", b"shoal: No such image: web:1\n")
    code, _, err = shoal(tmp_path, "run", "-d", "web:1")
    assert code == 0
    assert b"no node has web:1: pulling it\nabc: pulled\n" in err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ('exec: "nope": executable file not found in $PATH', 127),
        ('exec: "/bin": permission denied', 126),
        ("port is already allocated", 125),
    ],
)
def test_what_does_not_start_has_dockers_exit_code_and_is_removed(
    error: str, code: int, engine: Engine, tmp_path: Path
) -> None:
    engine.start_error = error
    ended, out, err = shoal(tmp_path, "run", "--rm", "busybox")
    assert (ended, out) == (code, b"")
    assert err.endswith(f"shoal: {error}\n".encode())
    assert engine.asked[-1] == "DELETE"
    assert start_failure(error) == code


def test_a_signal_goes_to_the_container(engine: Engine, tmp_path: Path) -> None:
    engine.waits_for_signal = True
    process = start(tmp_path, "run", "busybox", "sleep", "100")
    assert engine.started.wait(30)
    deadline = time.monotonic() + 30
    while not engine.signals and time.monotonic() < deadline:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"out\n")
    assert engine.signals[0] == "SIGHUP"


def test_wrong_flags_and_no_node_are_dockers_125(tmp_path: Path) -> None:
    code, _, err = shoal(tmp_path, "run", "-m", "lots", "busybox")
    assert (code, err.count(b"\n")) == (125, 1)
    code, _, err = shoal(tmp_path, "run", "busybox")
    assert code == 125
    assert err.startswith(b"shoal: no node answers at ")
    code, _, err = shoal(tmp_path, "run", "-it", "busybox")
    assert (code, err) == (125, b"shoal: the input device is not a TTY\n")


def test_logs_ask_for_the_lines_that_are_wanted(engine: Engine, tmp_path: Path) -> None:
    words = ["logs", "--tail", "5", "--since", "12.5", "--timestamps", "web"]
    assert shoal(tmp_path, *words) == (0, b"out\n", b"err\n")
    query = engine.asked[-1]
    assert "tail=5" in query
    assert "since=12.500000000" in query
    assert "timestamps=true" in query
    assert "follow" not in query


@pytest.mark.parametrize("size", [1, 3, 8, 11, 1000])
def test_frames_may_be_cut_anywhere(size: int, capfd: pytest.CaptureFixture[str]) -> None:
    data = frame(1, b"one\n") + frame(2, b"two\n") + frame(1, b"") + frame(1, b"three\n")
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    streams.copy_output(lambda: pieces.pop(0) if pieces else b"", raw=False)
    assert capfd.readouterr() == ("one\nthree\n", "two\n")


@pytest.mark.parametrize(
    ("reference", "name", "tag"),
    [
        ("busybox", "busybox", "latest"),
        ("host:5000/a/b", "host:5000/a/b", "latest"),
        ("host:5000/b:1", "host:5000/b", "1"),
        ("b@sha256:12", "b", "sha256:12"),
    ],
)
def test_references_are_split_for_pulling(reference: str, name: str, tag: str) -> None:
    assert _split_reference(reference) == (name, tag)
