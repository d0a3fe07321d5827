"""`shoal create`, `join` and `daemon`: options, tokens, background."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shoal.cli import main as command
from shoal.cli.client import Client
from shoal.cli.settings import load_options
from shoal.cli.times import point_ns, span_seconds
from shoal.model.errors import BadRequest, Conflict
from shoal.model.options import NodeOptions
from shoal.node.stored_options import store

#: A node that only says that it is ready; its name decides how it behaves.
FAKE_NODE = """
import http.server, os, socketserver, sys, time, types
from shoal.model.errors import Unauthorized

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"ready": true, "version": "0.1.0"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass

def serve(options, token=""):
    print("serving", options.name, token, flush=True)
    with open("/proc/self/cmdline") as words:
        print("argv", words.read().split(chr(0)), flush=True)
    if options.name == "refused":
        raise Unauthorized("the token has expired: make a new one with `shoal token create`")
    if options.name == "broken":
        raise RuntimeError("boom")
    os.makedirs(options.run_dir, exist_ok=True)
    with socketserver.UnixStreamServer(options.native_socket, Handler) as server:
        server.serve_forever()

sys.modules["shoal.node.main"] = types.SimpleNamespace(create=serve, join=serve, daemon=serve)
"""


@pytest.fixture
def directories(tmp_path: Path) -> list[str]:
    return ["--state-dir", str(tmp_path / "state"), "--run-dir", str(tmp_path / "run")]


def shoal(fake: Path, *words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with FAKE_NODE in place of the daemon."""
    fake.mkdir(exist_ok=True)
    (fake / "sitecustomize.py").write_text(FAKE_NODE)
    return subprocess.run(
        [sys.executable, "-m", "shoal", *words],
        env={**os.environ, "PYTHONPATH": str(fake)},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/exe").exists() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_detached_it_waits_until_ready_and_logs(tmp_path: Path, directories: list[str]) -> None:
    done = shoal(tmp_path / "fake", "create", "--name", "a", *directories, "--detach")
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    pid = int(words[words.index("process") + 1].rstrip(","))
    try:
        ready = Client(str(tmp_path / "run" / "shoal.sock")).call("GET", "/v1/status")
        assert ready["ready"] is True
        assert os.getsid(pid) == pid
        log = tmp_path / "state" / "log"
        assert log.read_text().startswith("serving a")
        assert log.stat().st_mode & 0o777 == 0o600
        again = shoal(tmp_path / "fake", "create", "--name", "b", *directories, "--detach")
        assert again.returncode == 1
        assert "a node runs here already" in again.stderr
    finally:
        end(pid)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("refused", "shoal: the token has expired: make a new one with `shoal token create`\n"),
        ("broken", "shoal: the node ended at once: see {state}/log\n"),
    ],
)
def test_what_goes_wrong_in_the_background_is_told(
    name: str, line: str, tmp_path: Path, directories: list[str]
) -> None:
    words = ["join", "--token-file", "-", "--name", name, *directories, "--detach"]
    done = shoal(tmp_path / "fake", *words, stdin="shoal1.secret\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == line.format(state=tmp_path / "state")


def test_a_token_given_as_an_argument_leaves_the_process_list(
    tmp_path: Path, directories: list[str]
) -> None:
    done = shoal(tmp_path / "fake", "join", "shoal1.secret", "--name", "refused", *directories)
    assert done.returncode == 1
    serving, argv = done.stdout.splitlines()
    assert serving == "serving refused shoal1.secret"
    assert "shoal1.secret" not in argv


def call(
    monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int | str | None, list[tuple[Any, ...]]]:
    """Exit code, and what the daemon's functions were called with."""
    calls: list[tuple[Any, ...]] = []
    fake = SimpleNamespace(
        create=lambda *given: calls.append(given),
        join=lambda *given: calls.append(given),
        daemon=lambda *given: calls.append(given),
    )
    monkeypatch.setitem(sys.modules, "shoal.node.main", fake)
    monkeypatch.setattr(sys, "argv", ["shoal", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    return ended.value.code, calls


def test_flags_become_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    words = "--name a --address fd53::2 --port 7450 --site rack --label disk=ssd --label gpu=no"
    words += " --discovery multiple"
    more = "--cpu-class fast --engine unix:///run/e.sock --state-dir state --run-dir /run/x"
    code, calls = call(monkeypatch, "create", *words.split(), *more.split())
    assert code == 0
    assert calls == [
        (
            NodeOptions(
                name="a",
                address="fd53::2",
                port=7450,
                site="rack",
                labels={"disk": "ssd", "gpu": "no"},
                cpu_class=1,
                engine="unix:///run/e.sock",
                state_dir=str(tmp_path / "state"),
                run_dir="/run/x",
            ),
            "multiple",
        )
    ]


def test_join_reads_the_token_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, directories: list[str]
) -> None:
    file = tmp_path / "token"
    file.write_text("shoal1.secret\n")
    code, calls = call(monkeypatch, "join", "--token-file", str(file), *directories)
    assert code == 0
    assert calls[0][1] == "shoal1.secret"


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["join"], 125, "either TOKEN or --token-file"),
        (["join", "t", "--token-file", "f"], 125, "either TOKEN or --token-file"),
        (["join", "--token-file", "/nowhere/t"], 1, "/nowhere/t: No such file"),
        (["create", "--address", "here"], 1, "--address: `here` is not"),
        (["create", "--address", "0.0.0.0"], 1, "cannot be dialled"),
        (["create", "--port", "70000"], 1, "--port: expected int <= 65535"),
        (["create", "--label", "ssd"], 1, "--label: `ssd` is not KEY=VALUE"),
        (["create", "--name", "a b"], 1, "name: `a b` is not"),
        (["create", "--engine", "tcp://x"], 1, "engine: `tcp://x` is not"),
        (["create", "--cpu-class", "3"], 125, "--cpu-class"),
    ],
)
def test_wrong_options_are_one_line(
    words: list[str],
    code: int,
    hint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended, calls = call(monkeypatch, *words)
    err = capsys.readouterr().err
    assert (ended, calls) == (code, [])
    assert hint in err
    assert err.startswith("shoal: ")
    assert err.count("\n") == 1


def test_an_error_of_the_node_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    directories: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(*_: object) -> None:
        raise Conflict("this machine is a node already: run it with `shoal daemon`")

    monkeypatch.setitem(sys.modules, "shoal.node.main", SimpleNamespace(create=refuse))
    monkeypatch.setattr(sys, "argv", ["shoal", "create", *directories])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    err = capsys.readouterr().err
    assert err == "shoal: this machine is a node already: run it with `shoal daemon`\n"


def test_flags_win_over_the_file_and_that_over_what_was_stored(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    made = {"name": "a", "site": "old", "port": 7777, "labels": {"x": "1", "y": "1"}}
    flags = {"state-dir": str(state), "run-dir": str(tmp_path)}
    store(load_options({**made, **flags}))
    file = tmp_path / "shoal.toml"
    file.write_text('site = "new"\nport = 7778\ncpu-class = "fast"\n[labels]\ny = "2"\n')
    options = load_options(
        {"state-dir": str(state), "port": 7779, "labels": {"z": "3"}}, config=str(file), again=True
    )
    assert (options.name, options.site, options.port) == ("a", "new", 7779)
    assert options.labels == {"x": "1", "y": "2", "z": "3"}
    assert (options.cpu_class, options.run_dir) == (1, str(tmp_path))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('port = "many"', "port: expected int, got str"),
        ('labels = ["a"]', "labels: expected object, got array"),
        ("[labels]\na = 1", "labels[...]: expected str, got int"),
        ("colour = 1", "unknown field `colour`"),
        ('cpu-class = "quick"', "cpu-class: `quick` is none of"),
        ('run-dir = "here"', "run-dir: `here` is not an absolute path"),
        ("state-dir = 3", "state-dir: expected str, got int"),
        ("port = = 3", "Invalid value"),
    ],
)
def test_a_wrong_file_is_named_with_the_field(text: str, hint: str, tmp_path: Path) -> None:
    file = tmp_path / "shoal.toml"
    file.write_text(text)
    with pytest.raises(BadRequest) as raised:
        load_options({}, config=str(file), again=True)
    assert raised.value.text.startswith(f"{file}: ")
    assert hint in raised.value.text


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no such file"):
        load_options({}, config=str(tmp_path / "none.toml"))


def test_without_root_everything_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    options = load_options({"name": "a"})
    assert options.native_socket == "/run/user/1000/shoal/shoal.sock"
    assert options.log_file == "/home/me/state/shoal/log"
    assert options.engine == "unix:///run/user/1000/docker.sock"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("7d", 604_800), ("1.5h", 5400), ("10", None), ("-1s", None)],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert span_seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("10m", 400_000_000_000),
        ("12.5", 12_500_000_000),
        ("1970-01-01T00:01:00Z", 60_000_000_000),
        ("1970-01-01T01:01:00.25+01:00", 60_250_000_000),
        ("yesterday", None),
    ],
)
def test_points_in_time(text: str, point: int | None) -> None:
    assert point_ns(text, 1_000_000_000_000) == point
