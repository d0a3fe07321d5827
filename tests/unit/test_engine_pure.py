"""Names, times, references and translation: the pure half of the engine layer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.core.effects import EngineCall
from shoal.engine import names
from shoal.engine.observe import bound_ports, container_of, cpu_limit
from shoal.engine.times import NEVER, format_time, parse_time
from shoal.engine.translate import bind_volume, create_body, engine_words
from shoal.model.container import PortBinding
from shoal.model.ids import Generation
from shoal.model.reference import parse_reference

ID = "c" * 64
GENERATION = Generation(2, 99, "b" * 64)


def create(body: dict[str, Any]) -> dict[str, Any]:
    call = EngineCall(
        call=1,
        action="create",
        id=ID,
        generation=GENERATION,
        name="shoal-default-cccccccccccc-g2",
        vcluster="default",
        container_name="web",
        body=body,
        image="busybox:latest",
        image_id="sha256:1",
    )
    return create_body(call, cloud="cloud", node="node")


@given(st.integers(0, 10**6), st.integers(0, 2**53), st.text("0123456789abcdef", min_size=1))
def test_generations_survive_their_label(counter: int, stamp: int, writer: str) -> None:
    generation = Generation(counter, stamp, writer)
    assert names.parse_generation(names.generation_label(generation)) == generation


def test_a_label_that_is_not_ours_is_no_generation() -> None:
    assert names.parse_generation("") is None
    assert names.parse_generation("abc") is None


@given(st.integers(1, 2**62))
def test_times_survive_their_text(nanos: int) -> None:
    assert parse_time(format_time(nanos)) == nanos


def test_times_as_engines_write_them() -> None:
    assert parse_time("2026-01-01T00:00:00.5+01:00") == parse_time("2025-12-31T23:00:00.500Z")
    assert parse_time(NEVER) == 0
    assert format_time(0) == NEVER
    with pytest.raises(ValueError, match="not a timestamp"):
        parse_time("yesterday")


def test_what_shoal_decides_is_replaced_and_the_rest_passes() -> None:
    body = create(
        {
            "Image": "busybox",
            "Env": ["A=1"],
            "Labels": {"mine": "1"},
            "HostConfig": {
                "RestartPolicy": {"Name": "always"},
                "AutoRemove": True,
                "ShmSize": 5,
                "Binds": ["data:/data:ro", "/srv:/srv", "/anonymous"],
                "Mounts": [
                    {"Type": "volume", "Source": "data", "Target": "/d"},
                    {"Type": "volume", "Target": "/e"},
                    {"Type": "bind", "Source": "/srv", "Target": "/f"},
                ],
            },
        }
    )
    host = body["HostConfig"]
    assert (body["Image"], body["Env"], body["Hostname"]) == ("sha256:1", ["A=1"], ID[:12])
    assert body["Labels"] == {
        "mine": "1",
        "shoal.cloud": "cloud",
        "shoal.node": "node",
        "shoal.vcluster": "default",
        "shoal.id": ID,
        "shoal.generation": names.generation_label(GENERATION),
        "shoal.name": "web",
    }
    assert names.visible_labels(body["Labels"]) == {"mine": "1"}
    assert (host["RestartPolicy"]["Name"], host["AutoRemove"], host["ShmSize"]) == ("no", False, 5)
    assert host["Binds"] == ["shoal-default-data:/data:ro", "/srv:/srv", "/anonymous"]
    assert [mount.get("Source") for mount in host["Mounts"]] == [
        "shoal-default-data",
        None,
        "/srv",
    ]


def test_a_request_is_not_changed_by_its_translation() -> None:
    body: dict[str, Any] = {"HostConfig": {"Binds": ["data:/data"]}, "Labels": {"a": "b"}}
    create(body)
    assert body == {"HostConfig": {"Binds": ["data:/data"]}, "Labels": {"a": "b"}}


def test_a_shared_host_name_is_left_alone() -> None:
    assert "Hostname" not in create({"HostConfig": {"NetworkMode": "host"}})
    assert create({"Hostname": "mine"})["Hostname"] == "mine"


def test_volumes_carry_their_vcluster() -> None:
    tenant = "0123456789abcdef" * 2
    assert names.volume_name(tenant, "data") == "shoal-01234567-data"
    assert names.user_volume(tenant, "shoal-01234567-data") == "data"
    assert names.user_volume(tenant, "shoal-default-data") == "shoal-default-data"
    assert [bind_volume(bind) for bind in ("d:/d", "/d:/d", "/d")] == ["d", "", ""]


def test_errors_speak_of_what_the_user_named() -> None:
    call = EngineCall(
        call=1,
        action="start",
        id=ID,
        generation=GENERATION,
        name="shoal-default-cccccccccccc-g2",
        container_name="web",
        image="busybox:latest",
        image_id="sha256:1",
    )
    text = "No such image: sha256:1 for\n/shoal-default-cccccccccccc-g2"
    assert engine_words(text, call) == "No such image: busybox:latest for /web"
    text = f"Container {'e' * 64} is not running"
    assert engine_words(text, call) == f"Container {ID} is not running"


def test_ports_and_limits_of_strangers_are_read() -> None:
    inspect = {
        "Name": "/x",
        "State": {"Status": "running", "Pid": 5, "StartedAt": "2026-01-01T00:00:00Z"},
        "Config": {"Labels": {"shoal.id": ID, "shoal.cloud": "another"}},
        "HostConfig": {"CpuQuota": 150000, "Memory": 7 << 20},
        "NetworkSettings": {
            "Ports": {
                "80/tcp": [
                    {"HostIp": "0.0.0.0", "HostPort": "8080"},
                    {"HostIp": "::", "HostPort": "8080"},
                ],
                "81/tcp": None,
                "53/udp": [{"HostIp": "10.0.0.1", "HostPort": "53"}],
            }
        },
    }
    container = container_of(inspect, "cloud")
    assert (container.id, container.cpu_millis, container.memory) == ("", 1500, 7 << 20)
    assert [str(port) for port in container.host_ports] == ["10.0.0.1:53/udp", "8080/tcp"]
    assert bound_ports(inspect)[0] == PortBinding(53, "udp", "10.0.0.1", 53)
    assert container_of(inspect, "another").id == ID
    assert cpu_limit({"NanoCpus": 10**8}) == 100


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("busybox", "busybox:latest"),
        ("docker.io/library/busybox:1", "busybox:1"),
        ("docker.io/me/app", "me/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("registry.example/a/b:v1.2", "registry.example/a/b:v1.2"),
        ("a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
    ],
)
def test_references_are_read_as_docker_reads_them(text: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert reference is not None
    assert reference.familiar == familiar


@pytest.mark.parametrize("text", ["", "Upper", "a:", "a b", "sha256:" + "0" * 64, "-a", "a//b"])
def test_ids_and_nonsense_are_no_references(text: str) -> None:
    assert parse_reference(text) is None
