"""How containers look to Docker's clients: states, ports, filters, inspect, events."""

from typing import Any

import msgspec
import pytest

from shoal.api.docker.durations import human_duration, short_duration
from shoal.api.docker.events import event_document, matches, moment
from shoal.api.docker.filters import parse_filters, select
from shoal.api.docker.inspection import from_engine, from_view
from shoal.api.docker.later import refusal
from shoal.api.docker.listing import shown_command, summary
from shoal.api.docker.ports import port_map
from shoal.api.docker.states import state_of, status_text
from shoal.core.effects import Happened
from shoal.engine.times import NANOS
from shoal.model.container import (
    ContainerSpec,
    ContainerView,
    PortBinding,
    RestartPolicy,
    Status,
)
from shoal.model.errors import BadRequest, NotFound, NotSupported
from shoal.model.ids import Generation

NODE = "b" * 64
NOW = 1_800_000_000 * NANOS
BODY = {
    "Image": "busybox",
    "Labels": {"tier": "front"},
    "ExposedPorts": {"80/tcp": {}, "9/udp": {}},
    "HostConfig": {"NetworkMode": "default", "Binds": ["data:/data", "/srv:/srv:ro"]},
}


def view(number: int = 1, **fields: Any) -> ContainerView:
    status = {"phase": "running", "started": NOW - 3 * NANOS, **fields.pop("status", {})}
    spec = {
        "image": "busybox",
        "image_id": "sha256:abcdef",
        "body": BODY,
        "created": NOW - (10 - number) * NANOS,
        "command": ("sh", "-c", "echo a b"),
        **fields.pop("spec", {}),
    }
    defaults: dict[str, Any] = {
        "id": f"{number:x}" * 64,
        "name": f"web{number}",
        "desired": "running",
        "generation": Generation(1, 1, NODE),
        "node": NODE,
        "node_name": "b",
        "node_address": "10.9.0.2",
    }
    return ContainerView(
        **{**defaults, **fields}, spec=ContainerSpec(**spec), status=Status(**status)
    )


@pytest.mark.parametrize(
    ("fields", "state", "text"),
    [
        ({}, "running", "Up 3 seconds"),
        ({"status": {"phase": "creating"}}, "created", "Created"),
        ({"status": {"phase": "created"}}, "created", "Created"),
        (
            {"status": {"phase": "exited", "finished": NOW - 120 * NANOS}, "desired": "stopped"},
            "exited",
            "Exited (0) 2 minutes ago",
        ),
        (
            {
                "status": {"phase": "exited", "exit_code": 1, "finished": NOW - NANOS},
                "spec": {"restart": RestartPolicy("on-failure", 2)},
            },
            "restarting",
            "Restarting (1) 1 second ago",
        ),
        (
            {
                "status": {"phase": "exited", "exit_code": 1, "finished": NOW, "restarts": 2},
                "spec": {"restart": RestartPolicy("on-failure", 2)},
            },
            "exited",
            "Exited (1) Less than a second ago",
        ),
        (
            {"unreachable_since": NOW - 12 * NANOS},
            "running",
            "Unknown (host b unreachable 12s)",
        ),
        ({"status": {"phase": "dead"}}, "dead", "Dead"),
    ],
)
def test_states_are_told_as_docker_tells_them(fields: Any, state: str, text: str) -> None:
    container = view(**fields)
    assert (state_of(container), status_text(container, NOW)) == (state, text)


def test_durations_are_worded_as_dockers() -> None:
    minute, hour = 60 * NANOS, 3600 * NANOS
    assert [human_duration(d) for d in (0, NANOS, 59 * NANOS, minute, 2 * minute, hour)] == [
        "Less than a second",
        "1 second",
        "59 seconds",
        "About a minute",
        "2 minutes",
        "About an hour",
    ]
    assert [human_duration(d * 24 * hour) for d in (1, 3, 20, 100, 1000)] == [
        "24 hours",
        "3 days",
        "2 weeks",
        "3 months",
        "2 years",
    ]
    assert [short_duration(d) for d in (0, 119 * NANOS, 3 * minute, 3 * hour)] == [
        "0s",
        "119s",
        "3m",
        "3h",
    ]


BOUND = (
    PortBinding(80, "tcp", "0.0.0.0", 8080),
    PortBinding(80, "tcp", "::", 8080),
    PortBinding(53, "udp", "127.0.0.1", 53),
)


def test_ports_are_shown_at_the_hosts_address() -> None:
    container = view(status={"ports": BOUND})
    assert summary(container, NOW)["Ports"] == [
        {"IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
        {"IP": "10.9.0.2", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 9, "Type": "udp"},
    ]
    assert port_map(container) == {
        "80/tcp": [{"HostIp": "10.9.0.2", "HostPort": "8080"}],
        "9/udp": None,
        "53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}],
    }


def test_an_entry_of_the_list_is_dockers_with_the_node_added() -> None:
    entry = summary(view(), NOW)
    assert entry["Names"] == ["/web1"]
    assert entry["Command"] == "sh -c 'echo a b'"
    assert entry["Node"] == {"Name": "b", "ID": NODE, "Addr": "10.9.0.2"}
    assert [(m["Type"], m["Destination"], m["RW"]) for m in entry["Mounts"]] == [
        ("volume", "/data", True),
        ("bind", "/srv", False),
    ]
    assert shown_command(()) == ""


def chosen(text: str, *, everything: bool = True, limit: int = 0) -> list[str]:
    views = [
        view(1),
        view(2, status={"phase": "exited", "exit_code": 3}, desired="stopped"),
        view(3, status={"ports": BOUND}, node_name="c", spec={"image": "nginx:1"}),
    ]
    found = select(views, parse_filters(text), everything=everything, limit=limit)
    return [container.name for container in found]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["web3", "web2", "web1"]),
        ('{"name": ["eb[12]"]}', ["web2", "web1"]),
        ('{"name": {"^/web3$": true, "web1": false}}', ["web3"]),
        ('{"name": ["("]}', []),
        ('{"id": ["11"]}', ["web1"]),
        ('{"label": ["tier", "tier=front"], "status": ["running"]}', ["web3", "web1"]),
        ('{"label": ["tier=back"]}', []),
        ('{"status": ["exited", "dead"]}', ["web2"]),
        ('{"exited": ["3"]}', ["web2"]),
        ('{"ancestor": ["nginx:1"]}', ["web3"]),
        ('{"ancestor": ["docker.io/library/busybox:latest"]}', ["web2", "web1"]),
        ('{"ancestor": ["abcdef"]}', ["web3", "web2", "web1"]),
        ('{"before": ["web2"]}', ["web1"]),
        ('{"since": ["web2"]}', ["web3"]),
        ('{"publish": ["8000-9000/tcp"]}', ["web3"]),
        ('{"expose": ["9/udp"]}', ["web3", "web2", "web1"]),
        ('{"volume": ["data"]}', ["web3", "web2", "web1"]),
        ('{"network": ["bridge"]}', ["web3", "web2", "web1"]),
        ('{"node": ["c"]}', ["web3"]),
        ('{"is-task": ["true"]}', []),
        ('{"is-task": ["false"]}', ["web3", "web2", "web1"]),
    ],
)
def test_filters_choose_as_dockers_do(text: str, names: list[str]) -> None:
    assert chosen(text) == names


def test_only_live_ones_unless_asked_for_more() -> None:
    assert chosen("", everything=False) == ["web3", "web1"]
    assert chosen("", everything=False, limit=2) == ["web3", "web2"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", BadRequest),
        ('{"colour": ["red"]}', BadRequest),
        ('{"status": ["odd"]}', BadRequest),
        ('{"exited": ["x"]}', BadRequest),
        ('{"publish": ["x"]}', BadRequest),
        ('{"name": 3}', BadRequest),
        ("[]", BadRequest),
        ('{"before": ["nobody"]}', NotFound),
        ('{"health": ["healthy"]}', NotSupported),
    ],
)
def test_wrong_filters_are_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        chosen(text)


ENGINE_ID, ENGINE_NAME = "e" * 64, "shoal-default-111111111111-g1"
DOCUMENT = {
    "Id": ENGINE_ID,
    "Name": f"/{ENGINE_NAME}",
    "Image": "sha256:abcdef",
    "LogPath": f"/var/lib/docker/containers/{ENGINE_ID}/{ENGINE_ID}-json.log",
    "State": {"Status": "running", "Running": True, "Pid": 5},
    "Mounts": [{"Type": "volume", "Name": "shoal-default-data", "Destination": "/data"}],
    "HostConfig": {
        "Binds": ["shoal-default-data:/data"],
        "RestartPolicy": {"Name": "no"},
        "ShmSize": 64,
    },
    "Config": {
        "Hostname": "111111111111",
        "Image": "sha256:abcdef",
        "Labels": {
            "tier": "front",
            "maintainer": "x",
            "shoal.id": "1",
            "shoal.vcluster": "default",
        },
    },
    "NetworkSettings": {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "7/tcp": None}
    },
}


def test_an_engines_inspect_is_told_in_the_users_words() -> None:
    spec = {"restart": RestartPolicy("always"), "auto_remove": False}
    document = from_engine(view(spec=spec), msgspec.json.encode(DOCUMENT))
    text = msgspec.json.encode(document).decode()
    assert ENGINE_ID not in text
    assert "shoal" not in text
    assert (document["Id"], document["Name"]) == ("1" * 64, "/web1")
    assert document["Config"]["Image"] == "busybox"
    assert document["Config"]["Labels"] == {"tier": "front", "maintainer": "x"}
    assert document["HostConfig"]["RestartPolicy"] == {"Name": "always", "MaximumRetryCount": 0}
    assert document["HostConfig"]["Binds"] == ["data:/data", "/srv:/srv:ro"]
    assert document["HostConfig"]["ShmSize"] == 64
    assert document["Mounts"][0]["Name"] == "data"
    assert document["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "10.9.0.2", "HostPort": "8080"}
    ]
    assert "7/tcp" in document["NetworkSettings"]["Ports"]
    assert document["Node"]["Name"] == "b"


def test_a_container_of_an_absent_host_can_still_be_inspected() -> None:
    document = from_view(view(unreachable_since=NOW))
    assert (document["Path"], document["Args"]) == ("sh", ["-c", "echo a b"])
    assert document["State"]["Running"] is True
    assert document["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert document["Config"]["Hostname"] == "1" * 12
    assert "HostConfig" not in document["Config"]


EVENT = Happened(
    vcluster="v",
    id="1" * 64,
    name="web",
    image="busybox",
    generation=Generation(1, 1, NODE),
    seq=1,
    action="health_status: healthy",
    time=NOW + 5,
    node=NODE,
    attributes={"tier": "front"},
)


def test_an_event_is_dockers_with_the_node_as_attribute() -> None:
    document = event_document(EVENT, "b")
    assert (document["time"], document["timeNano"]) == (NOW // NANOS, NOW + 5)
    assert document["Actor"]["Attributes"] == {
        "tier": "front",
        "image": "busybox",
        "name": "web",
        "node": "b",
    }


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("", True),
        ('{"event": ["health_status"], "type": ["container"]}', True),
        ('{"event": ["start"]}', False),
        ('{"container": ["web"], "node": ["b"]}', True),
        ('{"container": ["1111"]}', True),
        ('{"container": ["2"]}', False),
        ('{"image": ["busybox"]}', True),
        ('{"image": ["busybox:2"]}', False),
        ('{"label": ["tier=front"]}', True),
        ('{"label": ["tier=back"]}', False),
        ('{"type": ["image"]}', False),
        ('{"network": ["x"]}', False),
        ('{"scope": ["swarm"]}', False),
    ],
)
def test_events_are_filtered_as_dockers(text: str, passes: bool) -> None:
    assert matches(event_document(EVENT, "b"), parse_filters(text)) is passes


def test_moments_are_seconds_or_dates() -> None:
    assert moment("", "until") == 0
    assert moment("12.5", "until") == 12_500_000_000
    assert moment("1970-01-01T00:00:01Z", "until") == NANOS
    with pytest.raises(BadRequest, match="invalid value for until: soon"):
        moment("soon", "until")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "commit", 501, "commit: not there yet"),
        ("GET", "networks", 501, "networks"),
        ("GET", "networks/x", 404, "No such network: x"),
        ("POST", "images/a/b/push", 501, "push"),
        ("DELETE", "images/a/b", 501, "removing images"),
        ("GET", "containers/x/nonsense", 404, "page not found"),
        ("GET", "nonsense", 404, "page not found"),
    ],
)
def test_what_is_missing_is_named(method: str, path: str, status: int, words: str) -> None:
    error = refusal(method, path)
    assert error.status == status
    assert words in error.text
