"""Docker's create request, read: what it asks for, what ties it down, what is refused."""

from typing import Any

import pytest

from shoal.api.docker.create import (
    ImageFacts,
    Surroundings,
    parse_cores,
    platform_architecture,
    spec_of,
)
from shoal.api.docker.fields import read_body, read_fields
from shoal.api.docker.refusals import check, check_name, check_signal
from shoal.model.container import ContainerSpec, RestartPolicy
from shoal.model.errors import BadRequest, NotSupported, ShoalError
from shoal.model.resources import HostPort

HERE, THERE = "a" * 64, "b" * 64
AROUND = Surroundings(
    here=HERE,
    nodes={"a": HERE, "b": THERE, HERE: HERE, THERE: THERE},
    node_names={HERE: "a", THERE: "b"},
    now=7,
)
IMAGE = ImageFacts("sha256:1", "amd64", entrypoint=("/init",), cmd=("serve", "it"))


def create(host: dict[str, Any] | None = None, **body: Any) -> ContainerSpec:
    document = {"Image": "busybox", "HostConfig": host, **body}
    fields = read_fields(document)
    check(fields)
    return spec_of(document, fields, IMAGE, AROUND)


def labelled(**labels: str) -> ContainerSpec:
    return create(Labels={f"shoal.{key.replace('_', '-')}": value for key, value in labels.items()})


def test_an_empty_request_is_best_effort_and_stays_where_it_is() -> None:
    spec = create()
    assert (spec.image, spec.image_id, spec.created) == ("busybox", "sha256:1", 7)
    assert (spec.resources.cpu_millis, spec.resources.memory) == (0, 0)
    assert (spec.movable, spec.stays_because) == (False, "restart policy is no")
    assert spec.placement.architecture == "amd64"


@pytest.mark.parametrize(
    ("host", "cpu", "cores"),
    [
        ({"NanoCpus": 500_000_000}, 500, ()),
        ({"NanoCpus": 1}, 1, ()),
        ({"CpuQuota": 50_000}, 500, ()),
        ({"CpuQuota": 50_000, "CpuPeriod": 200_000}, 250, ()),
        ({"CpusetCpus": "0-1,3"}, 3000, (0, 1, 3)),
        ({"CpusetCpus": "0-1", "NanoCpus": 500_000_000}, 500, ()),
    ],
)
def test_cpu_is_what_docker_calls_it(host: Any, cpu: int, cores: tuple[int, ...]) -> None:
    resources = create(host).resources
    assert (resources.cpu_millis, resources.pinned_cores) == (cpu, cores)


def test_memory_is_the_reservation_or_else_the_limit() -> None:
    assert create({"Memory": 64 << 20}).resources.memory == 64 << 20
    both = {"Memory": 64 << 20, "MemoryReservation": 32 << 20}
    assert create(both).resources.memory == 32 << 20


def test_host_ports_of_all_kinds_are_read() -> None:
    bindings = {
        "80/tcp": [{"HostPort": "8080"}, {"HostIp": "10.0.0.1", "HostPort": "80"}],
        "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
        "81": [{"HostIp": "", "HostPort": ""}],
        "82/tcp": [{"HostPort": "9000-9010"}],
        "83/tcp": None,
    }
    assert create({"PortBindings": bindings}).resources.ports == (
        HostPort(53, "udp"),
        HostPort(80, "tcp", "10.0.0.1"),
        HostPort(8080, "tcp"),
    )
    assert create({"PortBindings": bindings, "NetworkMode": "host"}).resources.ports == ()


@pytest.mark.parametrize("port", ["x", "70000", "-1"])
def test_impossible_ports_are_refused(port: str) -> None:
    with pytest.raises(BadRequest, match="invalid port specification"):
        create({"PortBindings": {"80/tcp": [{"HostPort": port}]}})


def test_what_runs_is_known_with_the_image() -> None:
    assert create().command == ("/init", "serve", "it")
    assert create(Cmd=["x"]).command == ("/init", "x")
    assert create(Entrypoint=["sh"]).command == ("sh",)
    assert create(Entrypoint="sh", Cmd=["-c", "a b"]).command == ("sh", "-c", "a b")


def test_labels_say_what_docker_has_no_flag_for() -> None:
    rules = labelled(
        cpu_class="high", constraint="node.site==x, node.labels.disk!=hdd", placement="binpack"
    ).placement
    assert (rules.cpu_class, rules.strategy) == (1, "binpack")
    assert rules.constraints == ("node.site==x", "node.labels.disk!=hdd")
    assert labelled(cpu_class="0").placement.cpu_class == 0
    assert labelled(node="b").placement.pins == ((THERE, "label shoal.node=b"),)


@pytest.mark.parametrize(
    ("label", "value", "words"),
    [
        ("cpu_class", "quick", "there are 0, slow"),
        ("placement", "tight", "there are spread, binpack"),
        ("node", "z", "no such node; there are a, b"),
        ("reschedule", "always", "there is on-node-failure"),
        ("colour", "red", "unknown label shoal.colour"),
    ],
)
def test_wrong_labels_say_what_there_is(label: str, value: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        labelled(**{label: value})


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_restarting_container_may_move(policy: str) -> None:
    assert create({"RestartPolicy": {"Name": policy}}).movable
    spec = create({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})
    assert (spec.movable, spec.restart) == (False, RestartPolicy("on-failure", 3))
    assert labelled(reschedule="on-node-failure").movable


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({"Binds": ["/data:/data"]}, "bind mount /data"),
        ({"Binds": ["data:/data"]}, "volume data"),
        ({"Binds": ["/anonymous"]}, "volume /anonymous"),
        ({"Mounts": [{"Type": "bind", "Source": "/x", "Target": "/y"}]}, "bind mount /x"),
        ({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/y"}]}, "volume v"),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/y"}]}, ""),
        ({"Devices": [{"PathOnHost": "/dev/kvm"}]}, "device /dev/kvm"),
    ],
)
def test_what_exists_on_one_machine_ties_a_container_to_it(host: Any, reason: str) -> None:
    spec = create({**host, "RestartPolicy": {"Name": "always"}})
    assert (spec.movable, spec.stays_because) == (not reason, reason)


def test_a_bind_mount_pins_to_the_asked_node_unless_something_else_says_where() -> None:
    host = {"Binds": ["/data:/data:ro"]}
    assert create(host).placement.pins == ((HERE, "bind mount /data"),)
    constrained = create(host, Labels={"shoal.constraint": "node.name==b"})
    assert constrained.placement.pins == ()
    pinned = create(host, Labels={"shoal.node": "b"})
    assert pinned.placement.pins == ((THERE, "label shoal.node=b"),)
    assert create({"Binds": ["data:/data"]}).placement.pins == ()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"Memory": 256}, r"did you mean 256m\?"),
        ({"MemoryReservation": 256}, r"did you mean 256m\?"),
        ({"Memory": 5 << 20}, "allowed is 6MB"),
        ({"Memory": -1}, "cannot be negative"),
        ({"Memory": 8 << 20, "MemoryReservation": 9 << 20}, "can not be less"),
        ({"RestartPolicy": {"Name": "sometimes"}}, "unknown policy 'sometimes'"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 1}}, "only be used with"),
        ({"RestartPolicy": {"Name": "always"}, "AutoRemove": True}, "can't create 'AutoRemove'"),
        ({"CpusetCpus": "2-1"}, "Invalid value 2-1 for cpuset cpus"),
        ({"CpusetCpus": "x"}, "Invalid value x for cpuset cpus"),
        ({"Memory": "256m"}, r"invalid JSON: .*HostConfig\.Memory"),
    ],
)
def test_wrong_requests_are_refused_in_dockers_words(host: Any, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        create(host)


@pytest.mark.parametrize(
    ("host", "feature"),
    [
        ({"NetworkMode": "mine"}, "user-defined networks"),
        ({"NetworkMode": "container:x"}, "sharing a network"),
        ({"PidMode": "container:x"}, "sharing namespaces"),
        ({"IpcMode": "container:x"}, "sharing namespaces"),
        ({"Links": ["a:b"]}, "links"),
        ({"VolumesFrom": ["a"]}, "volumes-from"),
        ({"DeviceRequests": [{"Count": -1}]}, "GPU"),
    ],
)
def test_what_is_not_there_yet_is_named(host: Any, feature: str) -> None:
    with pytest.raises(NotSupported, match=feature):
        create(host)


def test_endpoints_and_groups_are_not_there_yet() -> None:
    empty = {"EndpointsConfig": {"default": {"IPAMConfig": None, "Aliases": None}}}
    assert create(NetworkingConfig=empty).image_id
    wrong: list[dict[str, Any]] = [{"mine": {}}, {"bridge": {"Aliases": ["x"]}}]
    for endpoints in wrong:
        with pytest.raises(NotSupported, match="network endpoints"):
            create(NetworkingConfig={"EndpointsConfig": endpoints})
    with pytest.raises(NotSupported, match=r"shoal\.group"):
        labelled(group="g")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "EOF"),
        (b"{", "invalid JSON"),
        (b"null", "config cannot be empty"),
        (b"[]", "expected an object"),
    ],
)
def test_bodies_that_are_no_request_are_refused(raw: bytes, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        read_body(raw)


def test_an_image_is_needed() -> None:
    with pytest.raises(BadRequest, match="no image"):
        create(Image="")


def test_names_and_signals_are_dockers() -> None:
    check_name("web-1.a_b")
    for signal in ("9", "KILL", "SIGTERM", "sigint", "RTMIN+3"):
        check_signal(signal)
    with pytest.raises(BadRequest):
        check_name("-a")
    with pytest.raises(BadRequest):
        check_signal("STOPIT")


def test_platforms_name_an_architecture() -> None:
    assert [platform_architecture(p) for p in ("", "linux/arm64/v8", "arm64", "linux")] == [
        "",
        "arm64",
        "arm64",
        "",
    ]
    with pytest.raises(ShoalError):
        platform_architecture("windows/amd64")


def test_cpusets_are_read() -> None:
    assert parse_cores("") == ()
    assert parse_cores("3, 0-1,1") == (0, 1, 3)
