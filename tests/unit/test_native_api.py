"""The native API over a real unix socket, with a node of memory behind it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from native_fakes import (
    CLOUD,
    NODE_B,
    SECOND,
    FakeNode,
    happened,
    restarting,
    served,
)

from shoal.cli.client import Client
from shoal.model.errors import BadRequest, Conflict, EngineError, NotFound, ShoalError
from shoal.model.ids import vcluster_id
from shoal.model.ops import Operate, RemoveContainer

CONTAINERS = "/v1/vclusters/default/containers"
EVENTS = "/v1/vclusters/default/events"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FakeNode]:
    with served(tmp_path) as node:
        yield node


@pytest.fixture
def api(node: FakeNode) -> Client:
    return Client(str(node.socket))


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_status_tells_the_node_its_cloud_and_its_risks(api: Client) -> None:
    report = api.call("GET", "/v1/status")
    assert report["ready"] is True
    assert report["members"] == {"up": 1, "down": 1}
    assert report["risk"] == ["at risk: one copy only"]
    assert report["vclusters"][0]["keeper"] == "a"


def test_nodes_are_listed_and_found_by_name_id_or_unambiguous_beginning(api: Client) -> None:
    first, second = api.call("GET", "/v1/nodes")
    assert (first["name"], first["state"], first["here"]) == ("a", "up", True)
    assert (second["address"], second["here"], second["images"]) == ("fd53::3", False, 1)
    for ref in ("b", NODE_B, "abab"):
        assert api.call("GET", f"/v1/nodes/{ref}")["info"]["id"] == NODE_B
    with pytest.raises(NotFound, match="no such node: zebra"):
        api.call("GET", "/v1/nodes/zebra")


def test_an_ambiguous_beginning_of_a_node_id_is_refused(node: FakeNode, api: Client) -> None:
    node.service.members = lambda: [  # type: ignore[method-assign]
        each for each in type(node.service).members(node.service) for _ in range(2)
    ]
    with pytest.raises(BadRequest, match="several nodes"):
        api.call("GET", "/v1/nodes/abab")


def test_listing_shows_what_runs_in_dockers_words(api: Client) -> None:
    listing = api.call("GET", CONTAINERS)
    words = {each["name"]: each["status"] for each in listing["containers"]}
    assert words == {"web": "Up About a minute", "far": "Unknown (host b unreachable 12s)"}
    web = next(each for each in listing["containers"] if each["name"] == "web")
    port = {"address": "10.9.0.2", "host_port": 8080, "container_port": 80, "protocol": "tcp"}
    assert web["ports"] == [port]
    assert web["note"] == ""


def test_a_container_that_stays_on_its_lost_host_says_why(api: Client) -> None:
    (far,) = api.call("GET", CONTAINERS, query={"filter": ["name=far"]})["containers"]
    assert far["note"] == "it has a bind mount"


def test_a_container_between_two_runs_is_shown_as_restarting(node: FakeNode, api: Client) -> None:
    node.service.views = [restarting("loop")]
    (loop,) = api.call("GET", CONTAINERS)["containers"]
    assert (loop["state"], loop["status"]) == ("restarting", "Restarting (1) 2 seconds ago")


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], {"web", "job", "far"}),
        (["status=exited"], {"job"}),
        (["label=tier"], {"web", "job", "far"}),
        (["label=tier=web", "label=tier"], {"web"}),
        (["node=b"], {"far"}),
        (["name=w", "name=j"], {"web", "job"}),
        (["ancestor=demo/web"], {"web", "job", "far"}),
        (["ancestor=busybox"], set()),
        (["name=web", "status=exited"], set()),
    ],
)
def test_filters_hold_together(api: Client, filters: list[str], names: set[str]) -> None:
    listing = api.call("GET", CONTAINERS, query={"all": True, "filter": filters})
    assert {each["name"] for each in listing["containers"]} == names


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (CONTAINERS + "?filter=colour=red", "filter `colour=red` is not"),
        (CONTAINERS + "?all=maybe", "`all` is `maybe`"),
        (EVENTS + "?since=yesterday", "`since` is `yesterday`"),
    ],
)
def test_wrong_queries_are_named(api: Client, path: str, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        api.call("GET", path)


def test_one_container_is_shown_in_full(api: Client) -> None:
    view = api.call("GET", CONTAINERS + "/web")
    assert view["spec"]["body"]["Image"] == "demo/web"
    assert api.call("GET", CONTAINERS + "/web/why")["verdicts"][1]["filter"] == "ports"
    with pytest.raises(NotFound, match="No such container: nobody"):
        api.call("GET", CONTAINERS + "/nobody")


def test_operations_reach_the_vcluster_with_enough_time(node: FakeNode, api: Client) -> None:
    api.call("POST", CONTAINERS + "/web/stop", body={"timeout": 40})
    api.call("POST", CONTAINERS + "/web/kill")
    api.call("DELETE", CONTAINERS + "/web", query={"force": True})
    default = vcluster_id(CLOUD, "default")
    (stop, kill, remove) = node.service.executed
    assert stop == (default, Operate("web", "stop", 40), 100.0)
    assert kill[1] == Operate("web", "kill", signal="SIGKILL")
    assert remove[1] == RemoveContainer("web", force=True)


def test_errors_keep_their_status(api: Client) -> None:
    with pytest.raises(Conflict, match="is running"):
        api.call("DELETE", CONTAINERS + "/web")
    with pytest.raises(NotFound, match="no such vcluster: mine"):
        api.call("GET", "/v1/vclusters/mine/containers")
    with pytest.raises(NotFound, match="no such page"):
        api.call("GET", "/v2/status")
    with pytest.raises(EngineError, match="takes GET"):
        api.call("POST", "/v1/status")


def test_what_is_no_signal_is_refused(api: Client) -> None:
    with pytest.raises(BadRequest, match="invalid signal: WAVE"):
        api.call("POST", CONTAINERS + "/web/kill", body={"signal": "WAVE"})


@pytest.mark.parametrize("body", [{"timeout": "long"}, {"tiemout": 3}, [], {"timeout": 10**9}])
def test_wrong_bodies_are_refused(api: Client, body: Any) -> None:
    with pytest.raises(BadRequest, match="request body"):
        api.call("POST", CONTAINERS + "/web/stop", body=body)


def test_a_failure_of_the_node_is_an_answer_not_a_traceback(node: FakeNode, api: Client) -> None:
    node.service.views = None  # type: ignore[assignment]
    with pytest.raises(ShoalError, match="its log says why"):
        api.call("GET", CONTAINERS)


def test_tokens_are_made_with_their_lifetime(node: FakeNode, api: Client) -> None:
    answer = api.call("POST", "/v1/tokens", body={"ttl_seconds": 60})
    assert answer["token"] == "shoal1.token1"
    assert 0 < answer["expires"] - time.time_ns() <= 60 * SECOND
    assert node.admin.lifetimes == [60]
    with pytest.raises(BadRequest, match="ttl_seconds"):
        api.call("POST", "/v1/tokens", body={"ttl_seconds": 0})


def test_events_are_remembered_and_followed(node: FakeNode, api: Client) -> None:
    node.happen(happened("create", 1, at=5), happened("start", 2))
    eventually(lambda: len(list(api.lines("GET", EVENTS))) == 2)
    assert [each["action"] for each in api.lines("GET", EVENTS, query={"since": 6})] == ["start"]
    assert [each["action"] for each in api.lines("GET", EVENTS, query={"until": 6})] == ["create"]
    stream = api.lines("GET", EVENTS, query={"follow": True})
    assert [next(stream)["action"], next(stream)["action"]] == ["create", "start"]
    node.happen(happened("die", 3, node=NODE_B))
    last = next(stream)
    assert (last["action"], last["host"], last["attributes"]) == ("die", "b", {"exitCode": "0"})
    stream.close()  # type: ignore[attr-defined]


def test_following_ends_at_until(node: FakeNode, api: Client) -> None:
    until = time.time_ns() + SECOND // 2
    assert list(api.lines("GET", EVENTS, query={"follow": True, "until": until})) == []


def test_openapi_describes_every_route(api: Client) -> None:
    document = api.call("GET", "/v1/openapi.json")
    assert document["openapi"] == "3.1.0"
    why = document["paths"]["/v1/vclusters/{vcluster}/containers/{container}/why"]["get"]
    assert [each["name"] for each in why["parameters"]] == ["vcluster", "container"]
    schemas = document["components"]["schemas"]
    assert {"StatusReport", "ContainerSummary", "EventLine", "Problem"} <= set(schemas)
    names = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(names) == len(set(names))
    assert document["paths"]["/v1/nodes/{node}"]["get"]["responses"]["200"]
