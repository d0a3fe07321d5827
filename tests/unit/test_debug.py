"""`shoal debug bundle`: everything that helps is in it, and nothing that must not leave."""

import base64
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from native_fakes import FakeNode, container, happened, served

from shoal.cli import main as command
from shoal.cli import redaction
from shoal.cli.client import Client
from shoal.model.errors import NotFound
from shoal.model.ops import Why
from shoal.node.doctor.findings import ok
from shoal.node.own_log import last_lines
from shoal.node.tokens import create_token

SECRET = "hunter2-is-the-word"
KEY = base64.b64encode(bytes(range(32))).decode()
TOKEN = str(create_token(("10.9.0.2:7440",), bytes(32), now=0, lifetime=0)[0])
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with served(tmp_path) as node:
        monkeypatch.setenv("SHOAL_HOST", f"unix://{node.socket}")
        yield node


def bundle(monkeypatch: pytest.MonkeyPatch, file: Path) -> dict[str, str]:
    monkeypatch.setattr("sys.argv", ["shoal", "debug", "bundle", str(file)])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    with tarfile.open(file) as archive:
        found = {}
        for member in archive.getmembers():
            part = archive.extractfile(member)
            assert part is not None
            found[member.name.removeprefix("shoal-debug/")] = part.read().decode()
        return found


def test_it_has_what_helps(node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node.admin.findings = [ok("engine", "answers")]
    parts = bundle(monkeypatch, tmp_path / "out.tar.gz")
    assert set(parts) == {
        "versions.json",
        "status.json",
        "doctor.json",
        "nodes.json",
        "containers.json",
        "stories.json",
        "events.json",
        "metrics.txt",
        "log.txt",
    }
    assert json.loads(parts["status.json"])["members"] == {"up": 1, "down": 1}
    assert json.loads(parts["doctor.json"])["findings"][0]["text"] == "answers"
    assert {one["name"] for one in json.loads(parts["containers.json"])} == {"web", "job", "far"}
    assert json.loads(parts["stories.json"])["web"]["history"] == ["placed"]
    assert "event=ready" in parts["log.txt"]
    assert os.stat(tmp_path / "out.tar.gz").st_mode & 0o077 == 0


def test_no_secret_leaves_wherever_a_user_or_a_node_has_put_it(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = container("web", note=f"the engine said: password={SECRET}")
    body: dict[str, Any] = {
        "Image": "demo/web",
        "Env": [f"DB_PASSWORD={SECRET}"],
        "Cmd": ["serve", "--key", SECRET],
        "Labels": {"auth": SECRET, "shoal.node": "a"},
    }
    view = msgspec.structs.replace(view, spec=msgspec.structs.replace(view.spec, body=body))
    node.service.views = [view]
    conflict = f"conflict: b's spec {json.dumps({'Env': [SECRET]})} lost to a later one"
    why = Why(view, f"runs; secret: {SECRET}", (), ("placed", conflict))
    execute = node.service.execute

    async def answer(vcluster: str, operation: Any, *, timeout: float = 15.0) -> Any:
        if type(operation).__name__ == "WhyContainer":
            return why
        return await execute(vcluster, operation, timeout=timeout)

    monkeypatch.setattr(node.service, "execute", answer)
    event = msgspec.structs.replace(
        happened("die", 1), attributes={"auth": SECRET, "exitCode": "3"}
    )
    node.happen(event)
    client = Client(str(node.socket))
    deadline = time.monotonic() + 20
    while not list(client.lines("GET", "/v1/vclusters/default/events")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    node.admin.log_lines = [f"joined with {TOKEN}", f"key {KEY} read", *PEM.splitlines(), "end"]

    parts = bundle(monkeypatch, tmp_path / "out.tar.gz")
    for name, text in parts.items():
        for secret in (SECRET, TOKEN, KEY, "MC4CAQAwBQYDK2VwBCIEIA"):
            assert secret not in text, name
    assert json.loads(parts["containers.json"])[0]["labels"] == {
        "auth": redaction.HIDDEN,
        "shoal.node": "a",
    }
    assert json.loads(parts["events.json"])[0]["attributes"] == {"exitCode": "3"}
    history = json.loads(parts["stories.json"])["web"]["history"]
    assert history == ["placed", "conflict: b's spec"]
    assert parts["log.txt"].splitlines()[-1] == "end"


def test_what_cannot_be_had_is_said(
    node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_log(lines: int) -> list[str]:
        raise NotFound("the daemon's log is no file")

    monkeypatch.setattr(node.admin, "log", no_log)
    parts = bundle(monkeypatch, tmp_path / "out.tar.gz")
    assert "log.txt" not in parts
    assert parts["errors.txt"] == "log.txt: the daemon's log is no file\n"


@pytest.mark.parametrize(
    "text",
    [
        f"token={SECRET}",
        f'"Password": "{SECRET}"',
        f"Authorization: {SECRET}",
        f"api_key='{SECRET}'",
    ],
)
def test_text_that_names_a_secret_loses_it(text: str) -> None:
    assert SECRET not in redaction.text(f"before {text} after")


def test_text_keeps_ids_and_words() -> None:
    line = f"event=keeper vcluster={'ab' * 16} node={'f' * 64} partial=false"
    assert redaction.text(line) == line


def test_the_log_is_read_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    file.write_text("".join(f"line {number}\n" for number in range(100)))
    with file.open() as log:
        assert last_lines(3, log.fileno()) == ["line 97", "line 98", "line 99"]
    reading, writing = os.pipe()
    try:
        with pytest.raises(NotFound, match="is no file"):
            last_lines(3, writing)
    finally:
        os.close(reading)
        os.close(writing)
