"""What operators ask of nodes and tokens: the native API, the `shoal` command, and who is asked."""

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from native_fakes import CLOUD, NODE_A, NODE_B, SECOND, FakeNode, container, node_info, served

from shoal.api.native.ports import TokenSummary
from shoal.cli import main as command
from shoal.cli.client import Client
from shoal.cli.times import span_words
from shoal.core.effects import Put, Reply
from shoal.core.events import Now, Operator
from shoal.core.node import NodeCore
from shoal.model.errors import BadRequest, NotFound, ShoalError, Unavailable
from shoal.model.node import NodeChange, NodeInfo, Tenancy, Tenant
from shoal.model.ops import Done
from shoal.node.operating import Operating
from shoal.node.rpc import Unreachable

VCLUSTER = "v" * 32
Shoal = Callable[..., tuple[int, str, str]]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with served(tmp_path) as node:
        monkeypatch.setenv("SHOAL_HOST", f"unix://{node.socket}")
        yield node


@pytest.fixture
def api(node: FakeNode) -> Client:
    return Client(str(node.socket))


@pytest.fixture
def shoal(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shoal:
    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["shoal", *words])
        with pytest.raises(SystemExit) as end:
            command.main()
        out, err = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, out, err

    return call


def tenant(name: str, *, stays: str = "") -> Tenant:
    identifier = container(name).id
    return Tenant(identifier, name, VCLUSTER, running=True, moves=not stays, stays_because=stays)


# -- the native API ------------------------------------------------------------------------------


def test_what_is_asked_of_a_node_goes_to_the_node_that_is_named(
    node: FakeNode, api: Client
) -> None:
    answer = api.call("POST", "/v1/nodes/abab/cordon")
    assert (answer["name"], answer["cordoned"], answer["draining"]) == ("b", True, False)
    answer = api.call("POST", "/v1/nodes/a/drain")
    assert (answer["here"], answer["cordoned"], answer["draining"]) == (True, True, True)
    api.call("POST", "/v1/nodes/a/uncordon")
    labels = {"disk": "ssd", "old": None}
    answer = api.call("PATCH", "/v1/nodes/a", body={"labels": labels})
    assert answer["labels"] == {"disk": "ssd"}
    assert node.admin.changes == [
        (NODE_B, NodeChange(cordoned=True)),
        (NODE_A, NodeChange(draining=True)),
        (NODE_A, NodeChange(cordoned=False)),
        (NODE_A, NodeChange(labels=labels)),
    ]


def test_wrong_nodes_and_labels_are_refused(node: FakeNode, api: Client) -> None:
    with pytest.raises(NotFound, match="no such node: zebra"):
        api.call("POST", "/v1/nodes/zebra/drain")
    with pytest.raises(BadRequest, match="`a b` is no name of a label"):
        api.call("PATCH", "/v1/nodes/a", body={"labels": {"a b": "1"}})
    node.admin.unreachable = True
    with pytest.raises(Unavailable, match="node b is down"):
        api.call("POST", "/v1/nodes/b/cordon")
    assert node.admin.changes == []


def test_a_drain_is_told_with_what_keeps_each_container(node: FakeNode, api: Client) -> None:
    waiting = "waits for room elsewhere: no node can run it"
    node.service.views = [container("web", note=waiting)]
    stays = "it has a bind mount"
    node.admin.tenancies = [Tenancy(True, (tenant("web"), tenant("db", stays=stays)))]
    report = api.call("GET", "/v1/nodes/a/drain")
    assert (report["name"], report["draining"]) == ("a", True)
    assert [(one["name"], one["why"]) for one in report["moving"]] == [("web", waiting)]
    assert [(one["name"], one["why"]) for one in report["staying"]] == [("db", stays)]
    assert node.service.executed[0][0] == VCLUSTER


def test_tokens_are_listed_without_secrets_and_removed_by_their_beginning(
    node: FakeNode, api: Client
) -> None:
    node.admin.kept.append(TokenSummary("1e" * 6, 1, 2, "b"))
    assert [set(each) for each in api.call("GET", "/v1/tokens")] == (
        [{"id", "created", "expires", "made_on"}] * 2
    )
    with pytest.raises(BadRequest, match="several tokens"):
        api.call("DELETE", "/v1/tokens/1")
    with pytest.raises(NotFound, match="no such token: 77"):
        api.call("DELETE", "/v1/tokens/77")
    assert api.call("DELETE", "/v1/tokens/1e")["id"] == "1e" * 6
    assert [each.id for each in node.admin.kept] == ["1f" * 6]


# -- the command ---------------------------------------------------------------------------------


def test_cordon_and_labels_by_command(node: FakeNode, shoal: Shoal) -> None:
    code, out, err = shoal("node", "cordon", "a", "zebra", "b")
    assert (code, out, err) == (1, "a\nb\n", "shoal: no such node: zebra\n")
    assert shoal("node", "uncordon", "a")[0] == 0
    code, out, _ = shoal("node", "update", "a", "--label", "disk=ssd", "--label-rm", "old")
    assert (code, out) == (0, "a\n")
    assert node.admin.changes[-1][1] == NodeChange(labels={"disk": "ssd", "old": None})
    assert shoal("node", "update", "a")[0] == 125
    assert "is not KEY=VALUE" in shoal("node", "update", "a", "--label", "disk")[2]


def test_the_list_of_nodes_tells_what_was_asked_of_them(node: FakeNode, shoal: Shoal) -> None:
    members = node.service.members()
    changed = [
        (NodeChange(draining=True), "up, draining"),
        (NodeChange(cordoned=True), "down, cordoned"),
    ]
    for number, (change, _) in enumerate(changed):
        info = asyncio.run(node.admin.change_node(members[number].info.id, change))
        members[number] = type(members[number])(info, members[number].state, 1)
    node.service.members = lambda: members  # type: ignore[method-assign]
    rows = shoal("node", "ls")[1].splitlines()[1:]
    assert [re.split(" {3,}", row)[2] for row in rows] == [words for _, words in changed]


def test_drain_shows_progress_until_nothing_is_left_that_moves(
    node: FakeNode, shoal: Shoal
) -> None:
    stays = tenant("db", stays="it has a bind mount")
    node.admin.tenancies = [
        Tenancy(True, (tenant("web"), tenant("job"), stays)),
        Tenancy(True, (tenant("web"), stays)),
        Tenancy(True, (stays,)),
    ]
    code, out, err = shoal("node", "drain", "a")
    assert (code, err) == (0, "")
    *progress, head, row, last = out.splitlines()
    assert progress == ["0 of 2 moved", "1 of 2 moved", "2 of 2 moved"]
    assert "WHY IT IS STILL ON a" in head
    assert re.split(" {3,}", row)[1:] == ["db", "yes", "it has a bind mount"]
    assert last == "a is drained but for 1 that stay"
    assert node.admin.changes == [(NODE_A, NodeChange(draining=True))]


def test_drain_that_does_not_end_in_time_tells_what_is_left(node: FakeNode, shoal: Shoal) -> None:
    node.service.views = [container("web", note="waits for room elsewhere: none")]
    node.admin.tenancies = [Tenancy(True, (tenant("web"),))]
    code, out, err = shoal("node", "drain", "a", "--timeout", "0")
    assert code == 1
    assert "waits for room elsewhere: none" in out
    assert err.startswith("shoal: 1 not moved yet: the drain goes on; `shoal node uncordon a`")
    code, out, _ = shoal("node", "drain", "a", "--timeout", "0", "--json")
    assert code == 1
    assert json.loads(out)["moving"][0]["name"] == "web"


def test_drain_that_somebody_ends_says_so(node: FakeNode, shoal: Shoal) -> None:
    node.admin.tenancies = [Tenancy(False, (tenant("web"),))]
    code, _, err = shoal("node", "drain", "a")
    assert (code, err) == (1, "shoal: the drain of a was ended with `shoal node uncordon`\n")


def hear_interrupts() -> None:
    """For a child process: tests that run in the background ignore SIGINT, and children would."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_command_leaves_the_drain_going_on(node: FakeNode) -> None:
    node.admin.tenancies = [Tenancy(True, (tenant("web"),))]
    with subprocess.Popen(
        [sys.executable, "-m", "shoal", "node", "drain", "a"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    ) as drain:
        deadline = time.monotonic() + 30
        while not node.admin.changes:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.2)  # until it waits; interrupted before, it ends in the same way
        drain.send_signal(signal.SIGINT)
        _, err = drain.communicate(timeout=30)
    assert drain.returncode == 130
    assert "the drain of a goes on; `shoal node uncordon a` ends it" in err


def test_token_ls_and_rm(node: FakeNode, shoal: Shoal) -> None:
    node.admin.kept.append(TokenSummary("1e" * 6, 1, 2, "b"))
    soon = time.time_ns() + 7300 * SECOND
    node.admin.kept.append(TokenSummary("2e" * 6, 1, soon, "b"))
    rows = [re.split(" {3,}", row) for row in shoal("token", "ls")[1].splitlines()]
    assert rows[0] == ["TOKEN", "CREATED", "EXPIRES", "MADE ON"]
    assert rows[1] == ["1f" * 6, "5m ago", "never", "a"]
    assert (rows[2][2], rows[3][2]) == ("expired", "in 2h")
    assert shoal("token", "rm", "1f", "2e", "77") == (
        (1, "1f\n2e\n", "shoal: no such token: 77: `shoal token ls` shows those there are\n")
    )
    assert len(json.loads(shoal("token", "ls", "--json")[1])) == 1


def test_lengths_of_time_are_told_in_their_largest_unit() -> None:
    lengths = [0, 59, 60, 3599, 3600, 86_400 * 8]
    assert [span_words(one * SECOND) for one in lengths] == ["0s", "59s", "1m", "59m", "1h", "8d"]


# -- the node ------------------------------------------------------------------------------------


def core_of(stored: list[tuple[str, str, bytes]]) -> NodeCore:
    own = node_info(NODE_A, "a", "10.9.0.2")
    return NodeCore(Now(1, SECOND), CLOUD, own, stored, founder=True)


def test_a_node_keeps_what_was_asked_of_it_before_it_answers() -> None:
    core = core_of([])
    change = NodeChange(draining=True, labels={"disk": "ssd"})
    effects = core.handle(Now(2, SECOND), Operator(7, change))
    assert Reply(7, Done(NODE_A)) in effects
    stored = [(one.space, one.key, one.value) for one in effects if isinstance(one, Put)]
    own = core_of(stored).members.own
    assert (own.cordoned, own.draining, own.labels) == (True, True, {"disk": "ssd"})


class Wire:
    """A transport whose one answer is given."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def call(self, node: str, method: str, args: object, **_: Any) -> Any:
        if isinstance(self.answer, ShoalError):
            raise self.answer
        return self.answer


def operating(core: NodeCore, wire: Wire) -> Operating:
    async def feed(_: object) -> Done:
        return Done()

    return Operating(core=lambda: core, feed=feed, transport=lambda: wire)  # type: ignore[arg-type,return-value]


def test_the_node_that_was_asked_knows_at_once_what_the_other_did() -> None:
    core = core_of([])
    core.learn(node_info(NODE_B, "b", "10.9.0.3"))
    core.members.up(NODE_B, "10.9.0.3", 7440)
    news = NodeInfo(id=NODE_B, name="b", address="10.9.0.3", revision=5, cordoned=True)
    change = operating(core, Wire(news)).change(NODE_B, NodeChange(cordoned=True))
    assert asyncio.run(change) == news
    assert core.members.peers[NODE_B].info.cordoned


def test_a_node_that_cannot_be_asked_is_told_as_such() -> None:
    core = core_of([])
    core.learn(node_info(NODE_B, "b", "10.9.0.3"))
    lost = Wire(Unreachable("node b (10.9.0.3:7440) did not answer"))
    for words in ("^node b is down: what operators ask", "^node b .* did not answer; what"):
        with pytest.raises(Unavailable, match=words):
            asyncio.run(operating(core, lost).tenancy(NODE_B))
        core.members.up(NODE_B, "10.9.0.3", 7440)
