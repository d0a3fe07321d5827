"""Ranking, explaining and updating in place must never disagree, whatever the cluster."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.placement import ClusterView, PlacementRequest, explain, place_group, rank, ranking
from shoal.model.container import PlacementRules
from shoal.model.node import EngineInfo, ImageInfo, NodeInfo
from shoal.model.resources import Capacity, HostPort, Load, Resources

MIB = 1 << 20
IMAGES = ("sha256:1", "sha256:2")


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


names = st.integers(0, 11).map(lambda number: f"n{number}")
ports = st.lists(
    st.builds(HostPort, st.sampled_from((0, 80, 81)), ip=st.sampled_from(("", "10.0.0.1"))),
    max_size=2,
).map(tuple)
cores = st.sets(st.integers(0, 4), max_size=2).map(lambda found: tuple(sorted(found)))
# Few values, so that requests often fit exactly or fail by one.
amounts = st.sampled_from((0, 1000, 1001, 2000))
memories = st.sampled_from((0, 512, 1024, 1025)).map(lambda count: count * MIB)
loads = st.builds(Load, amounts, memories, st.integers(0, 30), ports, cores)
mostly = st.integers(0, 9).map(lambda number: number < 9)
labels = st.dictionaries(st.just("disk"), st.sampled_from(("ssd", "hdd")))


@st.composite
def nodes(draw: st.DrawFn) -> NodeInfo:
    name = draw(names)
    return NodeInfo(
        id=id_of(name),
        name=draw(st.sampled_from((name, "twin"))),
        address="10.0.0.1",
        labels=draw(labels),
        architecture=draw(st.sampled_from(("amd64", "arm64"))),
        cpu_class=draw(st.sampled_from((0, 1))),
        capacity=Capacity(
            draw(st.sampled_from((2000, 2001, 4000, 32000, 0))),
            draw(st.sampled_from((1, 2, 64, 0))) << 30,
        ),
        load=draw(loads),
        engine=EngineInfo(up=draw(mostly)),
        cordoned=not draw(mostly),
        images=tuple(ImageInfo(one) for one in draw(st.sets(st.sampled_from(IMAGES)))),
    )


resources = st.builds(Resources, amounts, memories, cores, ports)
constraints = st.lists(
    st.sampled_from(
        (
            "node.labels.disk==ssd",
            "node.labels.disk!=hdd",
            "node.name==n3",
            "node.name!=twin",
            "node.id==" + id_of("n1")[:2],
            "node.id==" + id_of("n2"),
        )
    ),
    max_size=2,
).map(tuple)
rules = st.builds(
    PlacementRules,
    strategy=st.sampled_from(("spread", "binpack")),
    constraints=constraints,
    cpu_class=st.sampled_from((None, 0, 1)),
    pins=st.lists(st.tuples(names.map(id_of), st.just("bind mount /data")), max_size=1).map(tuple),
)
requests = st.builds(
    PlacementRequest,
    resources=resources,
    rules=rules,
    image_id=st.sampled_from(("", *IMAGES)),
    architecture=st.sampled_from(("", "amd64")),
    replacement=st.booleans(),
)
simple_requests = st.builds(
    PlacementRequest,
    resources=resources,
    rules=st.builds(PlacementRules, strategy=st.sampled_from(("spread", "binpack"))),
)
excluded = st.dictionaries(names.map(id_of), st.just("suspect"), max_size=2)
first_nodes = st.lists(st.tuples(st.just("update"), nodes(), mostly), min_size=1, max_size=12)
later_changes = st.lists(
    st.one_of(
        st.tuples(st.just("update"), nodes(), mostly),
        st.tuples(st.just("load"), names, loads),
        st.tuples(st.just("assume"), st.sampled_from("xyz"), names, resources),
        st.tuples(st.just("release"), st.sampled_from("xyz")),
        st.tuples(st.just("forget"), names),
        st.tuples(st.just("rank"), st.one_of(simple_requests, requests)),
    ),
    max_size=20,
)
changes = st.tuples(first_nodes, later_changes).map(lambda both: [*both[0], *both[1]])
Change = tuple[Any, ...]


@contextmanager
def tiny_samples() -> Iterator[None]:
    """Take the path of big clusters with few nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "COMPARE_ALL", 0)
        patch.setattr(ranking, "COMPARED", 1)
        patch.setattr(ranking, "HOLDERS_COMPARED", 1)
        patch.setattr("shoal.core.placement.pool._LOOKS", 1)
        patch.setattr("shoal.core.placement.ranking.LEAST_PER_SHELF", 1)
        yield


def apply(view: ClusterView, change: Change) -> None:
    match change:
        case "update", NodeInfo() as node, bool(up):
            view.update(node, up=up)
        case "load", str(name), Load() as load:
            view.update_load(id_of(name), load)
        case "assume", str(key), str(name), Resources() as wanted:
            if id_of(name) in view:
                view.assume(key, id_of(name), wanted)
        case "release", str(key):
            view.release(key)
        case "forget", str(name):
            view.forget(id_of(name))
        case "rank", PlacementRequest() as request:
            rank(request, view, "warm the pool")


def built(some_changes: list[Change], request: PlacementRequest) -> ClusterView:
    """A view in which the request's pool has had to follow the changes."""
    view = ClusterView()
    for number, change in enumerate(some_changes):
        apply(view, change)
        if number % 4 == 0:
            rank(request, view, "warm the pool")
    return view


def anew(view: ClusterView) -> ClusterView:
    """The same cluster without a past."""
    fresh = ClusterView()
    for state in view.states():
        fresh.update(state.info, up=state.up)
        fresh.update_load(state.info.id, state.load)
    for state in view.states():
        for key, wanted in state.pending.items():
            fresh.assume(key, state.info.id, wanted)
    return fresh


any_request = st.one_of(simple_requests, requests)


@given(changes, any_request, excluded)
def test_rank_and_explain_agree_on_every_node(
    some_changes: list[Change],
    request: PlacementRequest,
    out: dict[str, str],
) -> None:
    view = built(some_changes, request)
    ranked = rank(request, view, "container", excluded=out, limit=100)
    explanation = explain(request, view, key="container", excluded=out)
    assert ranked == [verdict.node for verdict in explanation.eligible]
    assert len(explanation.nodes) == len(view)
    assert all(one.filter and one.reason for one in explanation.nodes if not one.eligible)
    assert "\n" not in explanation.summary


@given(changes, any_request, excluded)
def test_a_sample_holds_only_eligible_nodes_and_misses_none_when_there_is_one(
    some_changes: list[Change],
    request: PlacementRequest,
    out: dict[str, str],
) -> None:
    view = built(some_changes, request)
    eligible = {one.node for one in explain(request, view, excluded=out).eligible}
    with tiny_samples():
        ranked = rank(request, view, "container", excluded=out)
    assert set(ranked) <= eligible
    assert len(set(ranked)) == len(ranked)
    assert bool(ranked) == bool(eligible)


@given(changes, any_request)
def test_a_view_updated_in_place_equals_one_built_anew(
    some_changes: list[Change],
    request: PlacementRequest,
) -> None:
    view = built(some_changes, request)
    fresh = anew(view)
    assert rank(request, view, "c", limit=100) == rank(request, fresh, "c", limit=100)
    assert explain(request, view) == explain(request, fresh)


@settings(max_examples=50)
@given(changes, any_request, st.booleans())
def test_a_group_is_placed_as_one_by_one_until_no_node_has_room(
    some_changes: list[Change],
    request: PlacementRequest,
    sampled: bool,
) -> None:
    view = built(some_changes, request)
    check = anew(view)
    keys = [f"member {number}" for number in range(12)]
    if sampled:
        with tiny_samples():
            nodes = place_group(request, view, keys)
    else:
        nodes = place_group(request, view, keys)
    for key, node in zip(keys, nodes, strict=True):
        eligible = {one.node for one in explain(request, check).eligible}
        if node is None:
            assert not eligible
        else:
            assert node in eligible
            check.assume(key, node, request.resources)
