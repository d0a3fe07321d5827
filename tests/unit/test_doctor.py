"""What the doctor says of given facts, and what it finds out about transports on loopback."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cloud_fixture import Node, cloud_of, run
from native_fakes import FakeNode, node_info, served, shoal

from shoal.model.errors import Unavailable
from shoal.model.node import EngineInfo, NodeInfo
from shoal.model.options import NodeOptions
from shoal.node.doctor.findings import Finding, examination, ok, problem, warning
from shoal.node.doctor.firewall import Dropping, dropping_chains
from shoal.node.doctor.machine import Disk, EngineFacts, Machine, look_at_engine, owns
from shoal.node.doctor.machine_rules import judge_machine
from shoal.node.doctor.peers import PeerFacts, Prober, Way
from shoal.node.doctor.peers_rules import judge_peer, judge_peers
from shoal.node.doctor.visit import visit_machine
from shoal.node.service import Member

replace = msgspec.structs.replace
GIB = 1 << 30
NOW = 1_000 * 1_000_000_000

WELL = Machine(
    engine=EngineFacts(
        "/var/run/docker.sock",
        version="28.2.2",
        api="1.50",
        oldest_api="1.24",
        cgroup_driver="systemd",
        cgroup_version="2",
    ),
    address="10.9.0.2",
    port=7440,
    owns_address=True,
    cgroup2=True,
    disks=(Disk("the node's records", "/var/lib/shoal", 50 * GIB, 100 * GIB),),
    firewall=(),
)
A, B = node_info("a" * 64, "a", "10.9.0.2"), node_info("b" * 64, "b", "10.9.0.3")
OPEN = Way(mtu=1500, clock=0)
GOOD = PeerFacts(B, "up", 0, there=OPEN, back=OPEN, heard_there=True, heard_back=True)


def levels(findings: list[Finding]) -> set[str]:
    return {finding.level for finding in findings}


def of(findings: list[Finding], check: str) -> Finding:
    """The one finding of a check that is not good news."""
    found = [each for each in findings if each.check == check and each.level != "ok"]
    assert len(found) == 1, findings
    assert found[0].fix or found[0].level == "warning"
    return found[0]


# -- this machine --------------------------------------------------------------------------------


def test_a_well_machine_has_good_news_only() -> None:
    assert levels(judge_machine(WELL)) == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "level", "words"),
    [
        ({"error": "the container engine at /x is away"}, "engine", "problem", "is away"),
        ({"api": "1.40", "version": "19.03"}, "engine", "problem", "up to 1.40, not 1.41"),
        ({"limits_memory": False}, "cgroups", "problem", "cannot limit memory"),
        ({"limits_cpu": False}, "cgroups", "problem", "cannot limit cpu"),
        ({"warnings": ("WARNING: No swap limit support",)}, "engine", "warning", "No swap limit"),
    ],
)
def test_what_is_wrong_with_an_engine_is_named(
    changes: dict[str, Any], check: str, level: str, words: str
) -> None:
    finding = of(judge_machine(replace(WELL, engine=replace(WELL.engine, **changes))), check)
    assert finding.level == level
    assert words in finding.text


def test_an_engine_on_cgroup_1_is_a_warning() -> None:
    old = replace(WELL, cgroup2=False, engine=replace(WELL.engine, cgroup_version="1"))
    assert of(judge_machine(old), "cgroups").level == "warning"


def test_an_address_of_another_machine_is_a_problem() -> None:
    finding = of(judge_machine(replace(WELL, owns_address=False)), "address")
    assert (finding.level, "10.9.0.2" in finding.text) == ("problem", True)
    assert "--address" in finding.fix


@pytest.mark.parametrize(
    ("free", "level"), [(50 * GIB, "ok"), (GIB, "warning"), (4 * GIB, "warning"), (1, "problem")]
)
def test_a_disk_is_judged_by_bytes_and_by_share(free: int, level: str) -> None:
    machine = replace(WELL, disks=(Disk("records", "/s", free, 100 * GIB),))
    finding = next(each for each in judge_machine(machine) if each.check == "disk")
    assert finding.level == level


def test_a_chain_that_drops_names_the_rules_that_are_missing() -> None:
    chain = Dropping("inet", "filter", "input", by_policy=True, accepts=("tcp 7440",))
    finding = of(judge_machine(replace(WELL, firewall=(chain,))), "firewall")
    assert "tcp 7442, udp 7442" in finding.text
    assert "`nft add rule inet filter input udp dport 7442 accept`" in finding.fix
    assert "7440" not in finding.fix


def test_an_unreadable_firewall_is_no_warning() -> None:
    assert levels(judge_machine(replace(WELL, firewall=None))) == {"ok"}


def ruleset(*rules: dict[str, Any], policy: str = "drop") -> bytes:
    where: dict[str, Any] = {"family": "inet", "table": "filter"}
    chain = {**where, "name": "input", "hook": "input", "type": "filter", "policy": policy}
    items = [{"chain": chain}, {"chain": {**where, "name": "other", "policy": "drop"}}]
    items += [
        {"rule": {**where, "chain": "input", "expr": [*rule["match"], rule["end"]]}}
        for rule in rules
    ]
    return json.dumps({"nftables": [{"metainfo": {}}, *items]}).encode()


def dport(protocol: str, right: Any) -> dict[str, Any]:
    left = {"payload": {"protocol": protocol, "field": "dport"}}
    return {"match": {"op": "==", "left": left, "right": right}}


def test_chains_on_input_are_read_with_ports_ranges_and_sets() -> None:
    rules = ruleset(
        {"match": [dport("tcp", {"set": [22, {"range": [7440, 7441]}]})], "end": {"accept": None}},
        {"match": [dport("udp", 7442)], "end": {"drop": None}},
        {"match": [dport("tcp", 80)], "end": {"accept": None}},
    )
    expected = Dropping(
        "inet", "filter", "input", by_policy=True, accepts=("tcp 7440",), drops=("udp 7442",)
    )
    assert dropping_chains(rules, 7440, 7442) == (expected,)
    assert dropping_chains(ruleset(policy="accept"), 7440, 7442) == ()
    for nonsense in (b"", b"[]", b'{"nftables": [{"chain": {"hook": "input"}}]}'):
        assert dropping_chains(nonsense, 7440, 7442) is None


def test_an_address_is_owned_or_not() -> None:
    assert owns("127.0.0.1") is True
    assert owns("192.0.2.77") is False
    assert owns("") is None


# -- peers ---------------------------------------------------------------------------------------


def judged(**changes: Any) -> list[Finding]:
    return judge_peer(A, replace(GOOD, **changes), None, NOW)


def test_a_peer_that_all_goes_well_with() -> None:
    assert levels(judged()) == {"ok"}
    assert any("both ways" in finding.text for finding in judged())


@pytest.mark.parametrize(
    ("changes", "words", "fix"),
    [
        (
            {"there": Way("no answer")},
            "TCP 7440 from this machine to b is blocked",
            "open TCP 7440 from 10.9.0.2 on b (10.9.0.3)",
        ),
        (
            {"back": Way("no answer")},
            "TCP 7440 from b to this machine is blocked",
            "open TCP 7440 from 10.9.0.3 on a (10.9.0.2)",
        ),
        ({"there": Way(membership="refused")}, "TCP 7442 from this machine to b", "open TCP 7442"),
        ({"heard_there": False}, "UDP 7442 from this machine to b", "from 10.9.0.2 on b"),
        ({"heard_back": False}, "UDP 7442 from b to this machine", "from 10.9.0.3 on a"),
    ],
)
def test_each_way_and_port_is_reported_with_where_to_open_it(
    changes: dict[str, Any], words: str, fix: str
) -> None:
    finding = of(judged(**changes), "ports")
    assert finding.level == "problem"
    assert words in finding.text
    assert fix in finding.fix
    assert finding.node == "b"


def test_what_is_not_known_is_not_called_blocked() -> None:
    finding = of(judged(back=None, heard_there=None, heard_back=None, unasked="too old"), "ports")
    assert (finding.level, "too old" in finding.text) == ("warning", True)


def test_mtus_are_compared_and_lost_packets_named() -> None:
    assert of(judged(back=replace(OPEN, mtu=9000)), "mtu").level == "warning"
    assert of(judged(there=replace(OPEN, mtu=900)), "mtu").level == "warning"
    lost = of(judged(back=replace(OPEN, large="no answer in time")), "mtu")
    assert (lost.level, "from b to this machine get lost" in lost.text) == ("problem", True)


@pytest.mark.parametrize(("seconds", "level"), [(0.2, "ok"), (-3, "warning"), (60, "problem")])
def test_clocks_by_what_peers_answer_else_by_what_was_heard(seconds: float, level: str) -> None:
    offset = int(seconds * 1e9)
    asked = judged(there=replace(OPEN, clock=offset))
    heard = judge_peer(A, replace(GOOD, there=replace(OPEN, clock=None)), offset, NOW)
    for findings in (asked, heard):
        assert [each.level for each in findings if each.check == "clock"] == [level]


def test_absent_peers_are_problems_and_those_that_answer_are_told_apart() -> None:
    gone = PeerFacts(B, "down", NOW - 7_000_000_000, there=Way("no answer", "no answer"))
    finding = of(judge_peer(A, gone, None, NOW), "members")
    assert "b (10.9.0.3:7440) is down since 7 s" in finding.text
    deaf = of(judge_peer(A, replace(gone, there=OPEN), None, NOW), "members")
    assert "membership holds it for dead" in deaf.text
    assert "UDP and TCP 7442" in deaf.fix


def test_a_peers_engine_that_is_away_is_a_problem() -> None:
    info = replace(B, engine=EngineInfo(up=False))
    assert of(judged(info=info), "engine").level == "problem"


def test_members_with_equal_names_other_versions_or_alone() -> None:
    twin = replace(GOOD, info=replace(B, name="a", version="0.2.0"))
    findings = judge_peers(A, [twin], {}, NOW)
    assert "same name: a" in of(findings, "names").text
    assert "0.1.0 on a; 0.2.0 on a" in of(findings, "versions").text
    assert of(judge_peers(A, [], {}, NOW), "members").level == "warning"
    assert levels(judge_peers(A, [GOOD], {}, NOW)) == {"ok"}


# -- looking -------------------------------------------------------------------------------------


class Datagrams:
    """Membership of one node: what is said reaches the others' probers, unless cut off."""

    def __init__(self, own: str, probers: dict[str, Prober]) -> None:
        self._own = own
        self._probers = probers
        self.cut = False

    async def say(self, node_id: str, data: bytes) -> None:
        if node_id not in self._probers:
            raise Unavailable("not there")
        if not self.cut:
            self._probers[node_id].heard(self._own, data)


def probers_of(nodes: list[Node]) -> tuple[dict[str, Prober], dict[str, Datagrams]]:
    infos = [
        NodeInfo(node.id, f"n{number}", node.endpoint.host, node.endpoint.port)
        for number, node in enumerate(nodes)
    ]
    probers: dict[str, Prober] = {}
    datagrams: dict[str, Datagrams] = {}
    for node in nodes:
        datagrams[node.id] = Datagrams(node.id, probers)
        probers[node.id] = Prober(
            node.id,
            transport=lambda node=node: node.transport,  # type: ignore[misc]
            membership=datagrams[node.id],
            members=lambda: [Member(info, "up", 0) for info in infos],
        )
        probers[node.id].register(node.methods)
    return probers, datagrams


def test_both_ways_are_dialled_over_connections_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as nodes:
            probers, datagrams = probers_of(nodes)
            here, peer = nodes
            (facts,) = await probers[here.id].examine()
            assert facts.there is not None
            assert facts.back is not None
            assert (facts.there.calls, facts.there.large) == ("", "")
            assert (facts.back.calls, facts.back.large) == ("", "")
            assert abs(facts.there.clock or 0) < 1_000_000_000
            assert facts.there.mtu > 1000
            assert (facts.heard_there, facts.heard_back) == (True, True)
            # Nobody listens at the port of membership here.
            assert "does not answer" in facts.there.membership

            datagrams[peer.id].cut = True
            (facts,) = await probers[here.id].examine()
            assert (facts.heard_there, facts.heard_back) == (True, False)

            await peer.transport.stop()
            (facts,) = await probers[here.id].examine()
            assert facts.there is not None
            assert facts.there.calls
            assert facts.unasked
            assert facts.back is None

    run(main())


def test_a_peer_of_an_older_version_is_not_called_blocked(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as nodes:
            here, peer = nodes
            info = NodeInfo(peer.id, "old", peer.endpoint.host, peer.endpoint.port)
            prober = Prober(
                here.id,
                transport=lambda: here.transport,
                membership=Datagrams(here.id, {}),
                members=lambda: [Member(info, "up", 0)],
            )
            (facts,) = await prober.examine()
            assert facts.there is not None
            assert (facts.there.calls, facts.there.large, facts.there.clock) == ("", "", None)
            assert "does not know the call" in facts.unasked
            (finding,) = [
                each
                for each in judge_peer(A, facts, None, NOW)
                if each.check == "ports" and "back" in each.text
            ]
            assert finding.level == "warning"

    run(main())


def test_an_engine_that_is_not_there_says_so(tmp_path: Path) -> None:
    facts = asyncio.run(look_at_engine(f"unix://{tmp_path}/no.sock"))
    assert "is away" in facts.error
    assert facts.root == ""


def test_a_machine_without_a_daemon_is_looked_at_alone(tmp_path: Path) -> None:
    options = NodeOptions(
        name="a",
        state_dir=str(tmp_path),
        run_dir=str(tmp_path),
        address="127.0.0.1",
        engine=f"unix://{tmp_path}/no.sock",
    )
    for is_node, level in ((True, "problem"), (False, "warning")):
        visit = asyncio.run(visit_machine(options, is_node=is_node, reason="nobody answers"))
        daemon = next(finding for finding in visit.findings if finding.check == "daemon")
        assert (visit.node, daemon.level, visit.well) == ("", level, False)
        assert {finding.check for finding in visit.findings} >= {"engine", "address", "disk"}


# -- the command ---------------------------------------------------------------------------------


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with served(tmp_path) as node:
        monkeypatch.setenv("SHOAL_HOST", f"unix://{node.socket}")
        yield node


def test_the_command_ends_with_1_for_a_problem_only(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    node.admin.findings = [ok("engine", "answers"), warning("disk", "only 1 GiB", "free some")]
    assert shoal(monkeypatch, "doctor") == 0
    out = capfd.readouterr().out
    assert out.splitlines()[-1] == "node a is well; 1 warning(s)"
    assert "-> free some" in out

    node.admin.findings.append(problem("ports", "UDP is blocked", "open UDP", node="b"))
    assert shoal(monkeypatch, "doctor", "--json") == 1
    report = json.loads(capfd.readouterr().out)
    assert [each["level"] for each in report["findings"]] == ["problem", "warning", "ok"]
    assert report["findings"][0]["node"] == "b"


def test_the_command_looks_at_the_machine_where_no_daemon_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "shoal.toml"
    config.write_text(f'engine = "unix://{tmp_path}/no.sock"\naddress = "127.0.0.1"\n')
    words = ["doctor", "--config", str(config), "--state-dir", str(tmp_path / "state")]
    assert shoal(monkeypatch, "-H", f"unix://{tmp_path}/none.sock", *words) == 1
    out = capfd.readouterr().out
    assert "this machine is no node yet" in out
    assert "is away" in out


def test_an_examination_begins_with_the_worst() -> None:
    visit = examination("a", [ok("x", "fine"), problem("y", "bad", "mend it"), ok("z", "fine")])
    assert [finding.check for finding in visit.findings] == ["y", "x", "z"]
    assert not visit.well
