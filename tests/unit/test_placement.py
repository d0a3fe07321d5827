from collections import Counter
from typing import Any

import pytest
from placement_nodes import GIB, id_of, needs, node, rules, view_of

from shoal.core.placement import (
    ClusterView,
    PlacementRequest,
    explain,
    place_group,
    rank,
    request_of,
)
from shoal.model.container import ContainerSpec, PlacementRules, Strategy
from shoal.model.errors import BadRequest
from shoal.model.node import EngineInfo, ImageInfo, NodeInfo
from shoal.model.resources import (
    DEFAULT_CPU_MILLIS,
    DEFAULT_MEMORY,
    HostPort,
    Load,
    Resources,
)

BINPACK = PlacementRules(strategy="binpack")
IMAGE = "sha256:" + "1" * 64


def names(view: ClusterView, ids: list[str]) -> list[str]:
    found = [view.node(one) for one in ids]
    return [info.name for info in found if info is not None]


def ranked(view: ClusterView, request: PlacementRequest, **more: Any) -> list[str]:
    return names(view, rank(request, view, "container", **more))


def why(view: ClusterView, request: PlacementRequest, **more: Any) -> dict[str, tuple[str, str]]:
    """Name -> (filter, reason) of the nodes that cannot run it."""
    verdicts = explain(request, view, **more).nodes
    return {one.name: (one.filter, one.reason) for one in verdicts if not one.eligible}


def test_spread_prefers_the_emptiest_node() -> None:
    view = view_of(
        node("a", load=Load(cpu_millis=2000)),
        node("b", load=Load(memory=GIB)),
        node("c", load=Load(cpu_millis=1000)),
    )
    assert ranked(view, needs(500)) == ["b", "c", "a"]


def test_binpack_prefers_the_fullest_node_with_room() -> None:
    view = view_of(
        node("a", load=Load(cpu_millis=2000)),
        node("b", load=Load(cpu_millis=3800)),
        node("c", load=Load(cpu_millis=1000)),
    )
    request = needs(500, rules=PlacementRules(strategy="binpack"))
    assert ranked(view, request) == ["a", "c"]


def test_containers_without_sizes_are_spread() -> None:
    view = view_of(node("a"), node("b"), node("c"))
    for number in range(9):
        key = f"container {number}"
        view.assume(key, rank(PlacementRequest(), view, key)[0], Resources())
    assert [state.containers for state in view.states()] == [3, 3, 3]


def test_containers_without_sizes_are_packed_until_a_node_counts_as_full() -> None:
    view = view_of(node("a", cpu=1000), node("b", cpu=1000))
    chosen = place_group(rules(strategy="binpack"), view, [str(key) for key in range(12)])
    assert sorted(Counter(chosen).values()) == [2, 10]


def test_an_unsized_request_is_placed_even_when_all_is_full() -> None:
    view = view_of(node("a", load=Load(cpu_millis=5000, memory=9 * GIB)))
    assert ranked(view, PlacementRequest()) == ["a"]


def test_a_present_image_decides_between_about_equal_nodes() -> None:
    view = view_of(node("a"), node("b", images=(ImageInfo(IMAGE),)), node("c"))
    request = PlacementRequest(image_id=IMAGE)
    assert ranked(view, request)[0] == "b"
    view.update_load(id_of("b"), Load(cpu_millis=2000))
    assert ranked(view, request)[-1] == "b"


def test_equal_nodes_are_ordered_by_container_and_always_the_same_way() -> None:
    def orders() -> list[tuple[str, ...]]:
        view = view_of(*(node(f"n{number}") for number in range(5)))
        return [tuple(rank(PlacementRequest(), view, str(key))) for key in range(30)]

    assert orders() == orders()
    assert len({order[0] for order in orders()}) == 5


def test_the_order_does_not_depend_on_the_order_of_arrival() -> None:
    nodes = [node(f"n{number}") for number in range(8)]
    forth, back = view_of(*nodes), view_of(*reversed(nodes))
    assert ranked(forth, needs(100)) == ranked(back, needs(100))


@pytest.mark.parametrize(
    ("info", "request_", "expected"),
    [
        (
            node("a", engine=EngineInfo()),
            needs(),
            ("engine", "its container engine does not answer"),
        ),
        (node("a"), needs(4500), ("cpu", "needs 4.5 cpus, 4.0 free")),
        (node("a"), needs(0, 9 * GIB), ("memory", "needs 9 GiB of memory, 8 GiB free")),
        (node("a"), rules(cpu_class=1), ("cpu-class", "needs cpu class fast, it is slow")),
        (
            node("a"),
            rules(constraints=("node.name!=b", "node.labels.disk==ssd")),
            ("constraint", "constraint node.labels.disk==ssd not met"),
        ),
        (
            node("a"),
            PlacementRequest(architecture="arm64"),
            ("architecture", "needs arm64, it is amd64"),
        ),
        (
            node("a", load=Load(ports=(HostPort(8080),))),
            PlacementRequest(resources=Resources(ports=(HostPort(8080, ip="10.0.0.1"),))),
            ("port", "port 10.0.0.1:8080/tcp is taken"),
        ),
        (
            node("a", load=Load(pinned_cores=(2,))),
            PlacementRequest(resources=Resources(pinned_cores=(1, 2))),
            ("cores", "core 2 is pinned by another container"),
        ),
        (
            node("a"),
            PlacementRequest(resources=Resources(pinned_cores=(4,))),
            ("cores", "core 4 does not exist (it has 0-3)"),
        ),
        (
            node("a"),
            rules(pins=((id_of("bbbb"), "bind mount /data"),)),
            ("pin", "pinned to host bbbb: bind mount /data"),
        ),
    ],
)
def test_a_filter_says_why(
    info: NodeInfo, request_: PlacementRequest, expected: tuple[str, str]
) -> None:
    view = view_of(info, node("bbbb", engine=EngineInfo()))
    assert why(view, request_)["a"] == expected
    assert "a" not in ranked(view, request_)


def test_a_faster_node_serves_a_request_for_the_slow_class() -> None:
    view = view_of(node("a", cpu_class=1))
    assert ranked(view, rules(cpu_class=0)) == ["a"]


def test_a_node_that_is_down_comes_back() -> None:
    view = view_of(node("a"), node("b"))
    view.update(node("a"), up=False)
    assert ranked(view, needs(100)) == ["b"]
    assert why(view, needs(100)) == {"a": ("up", "unreachable")}
    view.update(node("a"), up=True)
    assert sorted(ranked(view, needs(100))) == ["a", "b"]


def test_excluded_nodes_are_left_out_with_their_reason() -> None:
    view = view_of(node("a"), node("b"))
    excluded = {id_of("b"): "refused: port 80/tcp is taken"}
    assert ranked(view, needs(), excluded=excluded) == ["a"]
    expected = {"b": ("excluded", "refused: port 80/tcp is taken")}
    assert why(view, needs(), excluded=excluded) == expected


def test_pins_that_disagree_leave_no_node() -> None:
    view = view_of(node("a"), node("b"))
    pins = ((id_of("b"), "bind mount /data"), (id_of("a"), "--node a"))
    assert ranked(view, rules(pins=pins[:1])) == ["b"]
    assert ranked(view, rules(pins=pins)) == []


def test_decisions_in_flight_count_until_they_are_released() -> None:
    view = view_of(node("a"))
    big = needs(4000, 8 * GIB)
    ports = Resources(ports=(HostPort(80),), pinned_cores=(0,))
    view.assume("x", id_of("a"), ports)
    assert ranked(view, PlacementRequest(resources=ports)) == []
    view.assume("x", id_of("a"), big.resources)
    assert ranked(view, needs(1)) == []
    view.release("x")
    view.release("x")
    assert ranked(view, big) == ["a"]


def test_a_decision_moves_when_it_is_taken_again() -> None:
    view = view_of(node("a"), node("b"))
    view.assume("x", id_of("a"), Resources(4000))
    view.assume("x", id_of("b"), Resources(4000))
    assert ranked(view, needs(4000)) == ["a"]


def test_older_news_of_a_node_are_ignored() -> None:
    view = view_of(node("a", revision=5))
    view.update(node("a", revision=4, labels={"disk": "ssd"}, cpu=9000), up=True)
    assert ranked(view, needs(9000)) == []
    view.update(node("a", revision=6, labels={"disk": "ssd"}, cpu=9000), up=True)
    assert ranked(view, rules(constraints=("node.labels.disk==ssd",))) == ["a"]


def test_a_changed_label_moves_a_node_in_and_out_of_a_constraint() -> None:
    request = rules(constraints=("node.labels.disk==ssd",))
    view = view_of(node("a"), node("b", labels={"disk": "ssd"}))
    assert ranked(view, request) == ["b"]
    view.update(node("a", labels={"disk": "ssd"}), up=True)
    view.update(node("b"), up=True)
    assert ranked(view, request) == ["a"]


def test_a_forgotten_node_is_gone_with_what_was_assumed_on_it() -> None:
    view = view_of(node("a"), node("b"))
    assert len(ranked(view, needs(100))) == 2
    view.assume("x", id_of("a"), Resources(100))
    view.forget(id_of("a"))
    view.forget(id_of("a"))
    view.release("x")
    assert ranked(view, needs(100)) == ["b"]
    assert len(view) == 1
    view.update(node("a"), up=True)
    assert len(ranked(view, needs(4000))) == 2


def test_nodes_are_found_by_name_and_id() -> None:
    view = view_of(node("a"), node("b"), node("c"))
    assert ranked(view, rules(constraints=("node.name==B",))) == ["b"]
    assert ranked(view, rules(constraints=("node.id==" + id_of("c"),))) == ["c"]
    assert ranked(view, rules(constraints=("node.id==" + id_of("c")[:8],))) == ["c"]
    assert ranked(view, rules(constraints=("node.name==b", "node.name==c"))) == []
    assert ranked(view, rules(constraints=("node.name==nobody",))) == []


def test_a_group_fills_nodes_and_says_when_there_is_no_more_room() -> None:
    view = view_of(node("a", cpu=2000), node("b", cpu=3000))
    chosen = place_group(needs(1000), view, [str(key) for key in range(7)])
    assert chosen[5:] == [None, None]
    assert sorted(names(view, [one for one in chosen if one])) == ["a", "a", "b", "b", "b"]


def test_a_group_with_a_host_port_takes_one_node_each() -> None:
    view = view_of(node("a"), node("b"))
    request = PlacementRequest(resources=Resources(ports=(HostPort(80),)))
    chosen = place_group(request, view, ["x", "y", "z"])
    assert chosen[2] is None
    assert len(set(chosen)) == 3


def many(count: int = 400) -> ClusterView:
    """More nodes than are ever all compared, all about half full, some fuller than others."""
    return view_of(
        *(node(f"n{one}", load=Load(cpu_millis=1900 + 10 * (one % 20))) for one in range(count))
    )


@pytest.mark.parametrize("strategy", ["spread", "binpack"])
def test_the_only_node_of_many_with_a_free_port_is_found(strategy: Strategy) -> None:
    view = many(2000)
    web = Resources(ports=(HostPort(80),))
    for state in view.states():
        if state.info.name != "n123":
            view.assume(state.info.name, state.info.id, web)
    request = PlacementRequest(web, PlacementRules(strategy))
    assert {rank(request, view, str(key))[0] for key in range(20)} == {id_of("n123")}


@pytest.mark.parametrize("strategy", ["spread", "binpack"])
def test_the_only_node_of_many_with_room_is_found_and_lost_again(strategy: Strategy) -> None:
    view = many()
    request = needs(3000, rules=PlacementRules(strategy))
    assert ranked(view, request) == []
    for name in ("n5", "n399", "n5"):
        view.update_load(id_of(name), Load(cpu_millis=1000))
        assert ranked(view, request) == [name]
        view.update_load(id_of(name), Load(cpu_millis=1001))
        assert ranked(view, request) == []


def test_a_few_of_many_nodes_with_the_image_are_compared_too() -> None:
    view = many()
    for name in ("n7", "n8"):
        load = Load(cpu_millis=2000)
        view.update(node(name, images=(ImageInfo(IMAGE),), load=load), up=True)
    assert sorted(ranked(view, PlacementRequest(image_id=IMAGE))[:2]) == ["n7", "n8"]


def test_having_the_image_does_not_replace_a_constraint() -> None:
    view = many()
    image, load = (ImageInfo(IMAGE),), Load(cpu_millis=2000)
    view.update(node("n7", images=image, load=load, labels={"disk": "hdd"}), up=True)
    constraint = PlacementRules(constraints=("node.labels.disk!=hdd",))
    assert "n7" not in ranked(view, PlacementRequest(rules=constraint, image_id=IMAGE))


def test_a_pool_follows_more_changes_than_are_kept() -> None:
    view = many(100)
    assert len(ranked(view, needs(100))) == 5
    view.update_load(id_of("n50"), Load(cpu_millis=3999))
    for number in range(5000):
        view.update_load(id_of("n51"), Load(cpu_millis=number % 4000))
    view.update_load(id_of("n51"), Load(cpu_millis=4000))
    packed = rank(needs(1, rules=BINPACK), view, "container", limit=100)
    assert names(view, packed)[0] == "n50"
    assert "n51" not in names(view, packed)


def test_among_many_nodes_the_emptiest_and_the_fullest_are_found() -> None:
    view = many()
    emptiest, fullest = ranked(view, needs(100)), ranked(view, needs(100, rules=BINPACK))
    assert {int(name[1:]) % 20 for name in emptiest} == {0}
    assert {int(name[1:]) % 20 for name in fullest} == {19}


def test_a_group_is_spread_over_many_nodes() -> None:
    view = many()
    chosen = place_group(needs(100), view, [str(key) for key in range(60)])
    assert max(Counter(chosen).values()) == 1


def test_a_replacement_never_counts_as_unsized() -> None:
    spec = ContainerSpec(image="app", image_id=IMAGE, body={})
    assert request_of(spec).resources == Resources()
    replacing = request_of(spec, replacing=True)
    assert replacing.resources == Resources(DEFAULT_CPU_MILLIS, DEFAULT_MEMORY)
    full = view_of(node("a", load=Load(cpu_millis=4000)))
    assert ranked(full, request_of(spec)) == ["a"]
    assert ranked(full, replacing) == []


def test_a_request_carries_what_the_spec_says() -> None:
    placement = PlacementRules(architecture="x86_64", constraints=("node.name==a",))
    spec = ContainerSpec(image="app", image_id=IMAGE, body={}, placement=placement)
    request = request_of(spec)
    assert (request.image_id, request.architecture) == (IMAGE, "amd64")
    assert request.rules == placement


@pytest.mark.parametrize(
    "spec",
    [
        ContainerSpec("app", IMAGE, {}, placement=PlacementRules(constraints=("nonsense",))),
        ContainerSpec("app", IMAGE, {}, Resources(ports=(HostPort(80), HostPort(80)))),
    ],
)
def test_an_impossible_spec_is_a_bad_request(spec: ContainerSpec) -> None:
    with pytest.raises(BadRequest):
        request_of(spec)
