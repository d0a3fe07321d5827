import pytest
from placement_nodes import GIB, id_of, needs, node, rules, view_of

from shoal.core.placement import ClusterView, PlacementRequest, explain
from shoal.model.container import PlacementRules
from shoal.model.node import EngineInfo
from shoal.model.resources import HostPort, Load, Resources

MIB = 1 << 20
NO_SSD = "constraint node.labels.disk==ssd"


def summary(view: ClusterView, request: PlacementRequest, **excluded: str) -> str:
    out = {id_of(name): reason for name, reason in excluded.items()}
    return explain(request, view, key="container", excluded=out).summary


def test_a_view_without_nodes_says_so() -> None:
    assert summary(ClusterView(), needs()) == "no node can run it: no node is known"


def test_the_line_names_the_filters_and_what_would_fit() -> None:
    ssd = {"disk": "ssd"}
    view = view_of(
        node("a", memory=2 * GIB, labels=ssd),
        node("b", memory=3277 * MIB, labels=ssd),
        node("c", memory=16 * GIB),
    )
    constraint = PlacementRules(constraints=("node.labels.disk==ssd",))
    assert summary(view, needs(0, 8 * GIB, rules=constraint)) == (
        "no node can run it: 2 of 3 lack memory (needs 8 GiB, most free: 3.2 GiB on b), "
        "1 fails constraint node.labels.disk==ssd; "
        "would fit with --memory 3277m or without the constraint node.labels.disk==ssd"
    )


def test_the_line_names_the_best_node_and_what_speaks_against_the_others() -> None:
    view = view_of(node("a", cpu=1000), node("b"), node("c", load=Load(cpu_millis=1000)))
    expected = "2 of 3 nodes can run it, best: b; 1 lacks cpu (needs 2.0 cpus, most free: 1.0 on a)"
    assert summary(view, needs(2000)) == expected
    assert summary(view, needs(500)) == "3 of 3 nodes can run it, best: b"


def test_verdicts_come_best_first_then_by_name() -> None:
    view = view_of(
        node("d", cpu=100), node("b", load=Load(cpu_millis=900)), node("c", cpu=50), node("a")
    )
    verdicts = explain(needs(1000), view, key="container").nodes
    assert [one.name for one in verdicts] == ["a", "b", "c", "d"]
    assert [one.eligible for one in verdicts] == [True, True, False, False]
    assert verdicts[0].score > verdicts[1].score


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (needs(8000), "with --cpus 4"),
        (needs(8000, 16 * GIB), "with --cpus 4 --memory 8192m"),
        (PlacementRequest(architecture="arm64"), "with an image for amd64"),
        (rules(cpu_class=1), "with --cpu-class slow"),
        (
            PlacementRequest(resources=Resources(ports=(HostPort(80),))),
            "with another host port than 80/tcp",
        ),
        (
            PlacementRequest(resources=Resources(pinned_cores=(0, 1))),
            "with --cpuset-cpus 1,2 on a",
        ),
        (rules(pins=((id_of("x"), "bind mount /data"),)), "without the bind mount /data"),
    ],
)
def test_one_change_that_would_help_is_named(request_: PlacementRequest, expected: str) -> None:
    busy = Load(ports=(HostPort(80),), pinned_cores=(0,))
    assert summary(view_of(node("a", load=busy)), request_).endswith(f"; would fit {expected}")


def test_waiting_for_a_host_is_named() -> None:
    view = view_of(node("a", engine=EngineInfo()), node("b"))
    view.update(node("b"), up=False)
    assert summary(view, needs()) == (
        "no node can run it: 1 of 2 has no container engine that answers, 1 is unreachable; "
        "would fit when host b is back or when the container engine of a answers"
    )


def test_flags_are_not_proposed_for_a_replacement() -> None:
    view = view_of(node("a", load=Load(cpu_millis=4000)), node("b"))
    view.update(node("b"), up=False)
    line = summary(view, needs(100, replacement=True))
    assert "--cpus" not in line
    assert line.endswith("would fit when host b is back")


def test_nothing_is_proposed_when_no_single_change_helps() -> None:
    view = view_of(node("a", cpu=100))
    line = summary(view, needs(1000, rules=PlacementRules(constraints=("node.site==rome",))))
    assert line == "no node can run it: 1 of 1 fails constraint node.site==rome"


def test_an_excluded_node_is_told_with_its_reason() -> None:
    view = view_of(node("a"))
    assert summary(view, needs(), a="suspect") == "no node can run it: 1 of 1 is left out (suspect)"


def test_a_pinned_host_is_named() -> None:
    view = view_of(node("a"), node("b"), node("c"))
    view.update(node("b"), up=False)
    line = summary(view, rules(pins=((id_of("b"), "bind mount /data"),)))
    assert line == (
        "no node can run it: 2 of 3 are not the host b that it is pinned to (bind mount /data), "
        "1 is unreachable; would fit without the bind mount /data or when host b is back"
    )


@pytest.mark.parametrize("in_flight", [False, True])
def test_what_a_container_takes_does_not_speak_against_its_own_host(in_flight: bool) -> None:
    wanted = Resources(3000, 6 * GIB, pinned_cores=(0,), ports=(HostPort(80),))
    request = PlacementRequest(resources=wanted)
    view = view_of(node("a"), node("b", cpu=1000))
    if in_flight:
        view.assume("container", id_of("a"), wanted)
    else:
        ports, cores = wanted.ports, wanted.pinned_cores
        view.update_load(id_of("a"), Load(3000, 6 * GIB, 1, ports, cores))
    assert explain(request, view, key="container").eligible == ()
    own = explain(request, view, key="container", hosted_by=id_of("a"))
    assert [one.name for one in own.eligible] == ["a"]
    assert explain(request, view, key="other").eligible == ()


def test_a_cordoned_host_is_told_with_the_command_that_opens_it() -> None:
    view = view_of(node("a", cordoned=True), node("b"))
    (b, a) = explain(needs(), view, key="container").nodes
    assert (b.name, a.filter) == ("b", "cordoned")
    assert a.reason == "it is cordoned: shoal node uncordon a"
    assert summary(view, rules(pins=((id_of("a"), "label shoal.node=a"),))) == (
        "no node can run it: 1 of 2 is cordoned (shoal node uncordon a), "
        "1 is not the host a that it is pinned to (label shoal.node=a); "
        "would fit without the label shoal.node=a or after `shoal node uncordon a`"
    )
