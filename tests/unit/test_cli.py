"""The `shoal` command against a node of memory, as a user calls it."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from native_fakes import NODE_A, SECOND, FakeNode, container, happened, lost, served

from shoal.cli import main as command
from shoal.cli.lazy import LazyGroup
from shoal.model.ops import Operate, RemoveContainer


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


Shoal = Callable[..., Done]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with served(tmp_path) as node:
        monkeypatch.setenv("SHOAL_HOST", f"unix://{node.socket}")
        yield node


@pytest.fixture
def shoal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shoal:
    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["shoal", *words])
        with pytest.raises(SystemExit) as end:
            command.main()
        out, err = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return Done(end.value.code, out, err)

    return call


def test_ps_is_a_table_of_the_whole_cloud(node: FakeNode, shoal: Shoal) -> None:
    node.service.views = [container("web")]
    head, row = shoal("ps").out.splitlines()
    assert re.split(" {3,}", head) == ["CONTAINER ID", "IMAGE", "STATUS", "PORTS", "NAMES", "NODE"]
    identifier = node.service.views[0].id[:12]
    assert re.split(" {3,}", row) == (
        [identifier, "demo/web", "Up About a minute", "10.9.0.2:8080->80/tcp", "web", "a"]
    )
    assert head.index("NODE") == row.rindex("a")


def test_ps_notes_only_what_is_worth_a_note(node: FakeNode, shoal: Shoal) -> None:
    assert "NOTE" in shoal("ps").out
    node.service.views = [container("web")]
    assert "NOTE" not in shoal("ps").out
    node.service.views.append(lost("far"))
    head, *rows = shoal("ps").out.splitlines()
    (far,) = (row for row in rows if "Unknown (host b unreachable 12s)" in row)
    assert far[head.index("NOTE") :] == "it has a bind mount"


def test_ps_for_programs_and_scripts(node: FakeNode, shoal: Shoal) -> None:
    names = [each["name"] for each in json.loads(shoal("ps", "-a", "--json").out)]
    assert sorted(names) == ["far", "job", "web"]
    assert len(shoal("ps", "-aq").out.split()) == 3
    assert shoal("ps", "-q", "--filter", "name=web", "--no-trunc").out.strip().isalnum()
    assert shoal("ps", "-q").out == shoal("container", "ls", "-q").out


def test_ps_says_when_it_may_be_old_or_incomplete(node: FakeNode, shoal: Shoal) -> None:
    assert shoal("ps").err == ""
    node.service.stale = True
    assert "what its copies knew last" in shoal("ps").err
    node.service.partial = True
    assert "no copy of the records" in shoal("ps").err


def test_actions_print_what_worked_and_fail_for_the_rest(node: FakeNode, shoal: Shoal) -> None:
    done = shoal("stop", "-t", "3", "web", "nobody", "job")
    assert (done.code, done.out) == (1, "web\njob\n")
    assert done.err == "shoal: No such container: nobody\n"
    assert node.service.executed[0][1] == Operate("web", "stop", 3)
    assert shoal("kill", "-s", "HUP", "web").code == 0
    assert node.service.executed[-1][1] == Operate("web", "kill", signal="HUP")
    assert shoal("container", "start", "job").out == "job\n"


def test_rm_refuses_what_runs_and_forced_forgives_what_is_gone(
    node: FakeNode, shoal: Shoal
) -> None:
    refused = shoal("rm", "web")
    assert refused.code == 1
    assert "is running" in refused.err
    forced = shoal("rm", "-f", "-v", "web", "nobody")
    assert (forced.code, forced.out) == (0, "web\nnobody\n")
    assert node.service.executed[-2][1] == RemoveContainer("web", force=True, volumes=True)


def test_why_tells_node_by_node(node: FakeNode, shoal: Shoal) -> None:
    out = shoal("why", "web").out
    assert out.startswith("runs on a: most free memory\n")
    assert re.search(r"^b +no +ports: 8080/tcp is taken$", out, re.MULTILINE)
    assert re.search(r"^a +yes +70$", out, re.MULTILINE)
    assert json.loads(shoal("why", "web", "--json").out)["summary"]


def test_status_and_nodes(node: FakeNode, shoal: Shoal) -> None:
    status = shoal("status").out
    assert "1 up, 1 down" in status
    assert "keeper a, copies b" in status
    assert "at risk: one copy only" in status
    assert "\x1b" not in status
    head, first, second = shoal("node", "ls").out.splitlines()
    assert first.startswith("a *")
    assert "[fd53::3]:7440" in second
    assert "0.5/4" in first
    assert "512MiB/8GiB" in first
    assert head.split()[:3] == ["NODE", "ID", "STATE"]
    assert json.loads(shoal("node", "ls", "--json").out)[0]["id"] == NODE_A
    assert json.loads(shoal("node", "inspect", "a").out)[0]["info"]["name"] == "a"


def test_a_token_is_all_that_token_create_prints(node: FakeNode, shoal: Shoal) -> None:
    assert shoal("token", "create", "--ttl", "90m").out == "shoal1.token1\n"
    assert node.admin.lifetimes == [5400]
    assert shoal("token", "create", "--ttl", "soon").code == 125


def test_events_end_unless_followed(node: FakeNode, shoal: Shoal) -> None:
    node.happen(happened("create", 1, at=5 * SECOND), happened("die", 2))
    deadline = time.monotonic() + 20
    while len(shoal("events").out.splitlines()) < 2:
        assert time.monotonic() < deadline
    last = shoal("events", "--since", "1h").out
    assert re.search(r" a container die web d{12} \(image=demo/web, exitCode=0\)$", last)
    assert json.loads(shoal("events", "--until", "6", "--json").out)["action"] == "create"


def test_version_works_with_and_without_a_node(
    node: FakeNode, shoal: Shoal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert json.loads(shoal("version", "--json").out)["node"] == "0.1.0"
    monkeypatch.setenv("SHOAL_HOST", "/nowhere/shoal.sock")
    assert "no node answers" in shoal("version").out


def test_no_node_is_one_line_that_says_what_to_do(shoal: Shoal) -> None:
    done = shoal("-H", "unix:///nowhere/shoal.sock", "ps")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "shoal: no node answers at unix:///nowhere/shoal.sock: "
        "start one with `shoal create` or name one with -H\n"
    )
    assert "not unix:///path" in shoal("ps", "-H", "tcp://10.0.0.1:2375").err


def test_wrong_usage_exits_as_dockers_client_does(shoal: Shoal) -> None:
    for words in (["ps", "--colour"], ["stop"], ["frobnicate"], ["token", "create", "--ttl", "x"]):
        done = shoal(*words)
        assert done.code == 125
        assert done.err.startswith("shoal: ")
        assert done.err.count("\n") == 1


def test_unknown_vclusters_are_refused(node: FakeNode, shoal: Shoal) -> None:
    assert "no such vcluster: mine" in shoal("ps", "--vcluster", "mine").err
    assert "default" in shoal("--vcluster", "system", "inspect", "web").err
    assert shoal("--vcluster", "system", "ps").code == 0


def test_either_socket_and_the_directory_name_the_node(node: FakeNode, shoal: Shoal) -> None:
    directory = node.socket.parent
    for host in (f"unix://{directory}/docker.sock", str(directory), f"{directory}/"):
        assert shoal("ps", "-q", "-H", host).code == 0


def test_a_lab_answers_when_there_is_no_node_here(
    node: FakeNode, shoal: Shoal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOAL_HOST")
    monkeypatch.setattr("shoal.cli.target.RUN_DIR", str(tmp_path / "none"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("SHOAL_LAB_RUN", str(tmp_path / "labs"))
    assert "none/shoal.sock" in shoal("ps").err
    for host in ("a", "b", "c"):
        (tmp_path / "labs" / "lab" / host).mkdir(parents=True)
    os.link(node.socket, tmp_path / "labs" / "lab" / "c" / "shoal.sock")
    assert shoal("ps", "-q").code == 0


def test_sockets_with_very_long_paths_are_reached(
    node: FakeNode, shoal: Shoal, tmp_path: Path
) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    os.link(node.socket, deep / "shoal.sock")
    assert shoal("-H", str(deep), "ps", "-q").code == 0


def test_completion_is_printed_for_each_shell(shoal: Shoal) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_SHOAL_COMPLETE" in shoal("completion", shell).out


def test_every_entry_leads_to_a_command_of_that_name() -> None:
    group = command.cli
    assert isinstance(group, LazyGroup)
    context = group.make_context("shoal", ["version"])
    for name in group.entries:
        found = group.get_command(context, name)
        assert found is not None
        assert found.name == name


def test_help_lists_all_commands(shoal: Shoal) -> None:
    done = shoal("--help")
    assert done.code == 0
    assert {"create", "join", "run", "ps", "why", "lab"} <= set(done.out.split())


@pytest.mark.parametrize("words", [["--help"], ["ps"]])
def test_listing_commands_import_nothing_heavy(node: FakeNode, words: list[str]) -> None:
    heavy = "aiohttp, asyncio, msgspec, rich, shoal.lab, shoal.node, cryptography"
    script = (
        "import sys; from shoal.cli.main import main\n"
        f"sys.argv = ['shoal', *{words!r}]\n"
        "try: main()\n"
        f"finally: assert not set({heavy.split(', ')!r}) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, capture_output=True)
