"""A request of Docker's API as a ContainerSpec: pure."""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from shoal.api.docker.fields import CreateFields, HostFields
from shoal.engine.translate import bind_volume
from shoal.model.container import ContainerSpec, PlacementRules, RestartPolicy, Strategy
from shoal.model.errors import BadRequest
from shoal.model.resources import CpuClass, HostPort, Resources

_CPU_CLASSES: dict[str, CpuClass] = {"0": 0, "slow": 0, "low": 0, "1": 1, "fast": 1, "high": 1}
_STRATEGIES: dict[str, Strategy] = {"spread": "spread", "binpack": "binpack"}
_RESCHEDULE = "on-node-failure"
_ANY_ADDRESS = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - read, not bound
_PORT_KEY = re.compile(r"(\d{1,5})(?:/(tcp|udp|sctp))?\Z")
_RANGE = re.compile(r"\d{1,5}-\d{1,5}\Z")
_DEFAULT_PERIOD = 100_000  # microseconds, the kernel's
_LAST_CORE = 8191

T = TypeVar("T")


class Surroundings(msgspec.Struct, frozen=True):
    """Where the request came in. `nodes` maps names and ids of nodes to ids."""

    here: str  # id of the node that was asked
    nodes: dict[str, str]
    node_names: dict[str, str]  # id -> name
    now: int  # wall clock, ns


class ImageFacts(msgspec.Struct, frozen=True):
    """What is known of the image that the request resolved to."""

    id: str
    architecture: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()


def spec_of(
    body: dict[str, Any],
    fields: CreateFields,
    image: ImageFacts,
    around: Surroundings,
    *,
    architecture: str = "",
) -> ContainerSpec:
    """The container asked for; `architecture` as the request's platform names it. Raises
    BadRequest."""
    restart = restart_policy(fields.host)
    rules = placement(fields, around, architecture or image.architecture)
    reason = _why_it_stays(fields, restart, rules)
    return ContainerSpec(
        image=fields.image,
        image_id=image.id,
        body=body,
        resources=resources(fields.host),
        placement=rules,
        restart=restart,
        movable=not reason,
        stays_because=reason,
        auto_remove=fields.host.auto_remove,
        volumes=named_volumes(fields.host),
        created=around.now,
        command=command(fields, image),
    )


def command(fields: CreateFields, image: ImageFacts) -> tuple[str, ...]:
    """What will run: as with Docker, an entrypoint of one's own drops the image's command."""
    entrypoint, cmd = _words(fields.entrypoint), _words(fields.cmd)
    if entrypoint:
        return entrypoint + cmd
    return image.entrypoint + (cmd or image.cmd)


def restart_policy(host: HostFields) -> RestartPolicy:
    policy = host.restart_policy
    match policy.name if policy is not None else "":
        case "always" | "unless-stopped" as name:
            return RestartPolicy(name)
        case "on-failure" if policy is not None:
            return RestartPolicy("on-failure", policy.maximum_retry_count)
    return RestartPolicy()


def resources(host: HostFields) -> Resources:
    """Millicores, bytes, pinned cores and host ports. Raises BadRequest."""
    cores = parse_cores(host.cpuset_cpus)
    if host.nano_cpus > 0:
        cpu, cores = math.ceil(host.nano_cpus / 10**6), ()
    elif host.cpu_quota > 0:
        cpu, cores = math.ceil(host.cpu_quota * 1000 / (host.cpu_period or _DEFAULT_PERIOD)), ()
    else:
        cpu = 1000 * len(cores)
    return Resources(
        cpu_millis=cpu,
        memory=host.memory_reservation or host.memory,
        pinned_cores=cores,
        ports=host_ports(host),
    )


def parse_cores(text: str) -> tuple[int, ...]:
    """Numbers that a cpuset such as `0-2,5` names, in order. Raises BadRequest."""
    cores: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = part.partition("-")
        last = last if dash else first
        numbers = first.isdecimal() and last.isdecimal()
        if not numbers or int(first) > int(last) or int(last) > _LAST_CORE:
            raise BadRequest(f"Invalid value {text} for cpuset cpus")
        cores.update(range(int(first), int(last) + 1))
    return tuple(sorted(cores))


def host_ports(host: HostFields) -> tuple[HostPort, ...]:
    """Ports of the host that must be free. Those that the engine chooses itself (any, or one of
    a range) are not among them. Raises BadRequest."""
    found: list[HostPort] = []
    for key, targets in (host.port_bindings or {}).items():
        match = _PORT_KEY.match(key)
        if match is None or not 0 < int(match.group(1)) < 65536:
            raise BadRequest(f"invalid port specification: {key}")
        for target in targets or ():
            number = _host_port(target.host_port)
            address = "" if target.host_ip in _ANY_ADDRESS else target.host_ip
            if number:
                found.append(HostPort(number, match.group(2) or "tcp", address))
    if host.network_mode in {"host", "none"}:
        return ()
    return tuple(sorted(set(found)))


def _host_port(text: str) -> int:
    if not text or _RANGE.match(text):
        return 0
    if not text.isdecimal() or int(text) > 65535:
        raise BadRequest(f"invalid port specification: {text}")
    return int(text)


def placement(fields: CreateFields, around: Surroundings, architecture: str) -> PlacementRules:
    """Where it may run. Raises BadRequest."""
    labels = fields.labels or {}
    constraints = tuple(
        part.strip() for part in labels.get("shoal.constraint", "").split(",") if part.strip()
    )
    pins: tuple[tuple[str, str], ...] = ()
    wanted = labels.get("shoal.node", "")
    binds = _bind_mounts(fields.host)
    if wanted:
        pins = ((_node(wanted, around), f"label shoal.node={wanted}"),)
    elif binds and not constraints:
        pins = ((around.here, f"bind mount {binds[0]}"),)
    return PlacementRules(
        strategy=_chosen(labels, "shoal.placement", _STRATEGIES, "spread"),
        constraints=constraints,
        cpu_class=_chosen(labels, "shoal.cpu-class", _CPU_CLASSES, None),
        architecture=architecture,
        pins=pins,
    )


def _chosen(labels: dict[str, str], label: str, known: Mapping[str, T], otherwise: T) -> T:
    text = labels.get(label)
    if text is None:
        return otherwise
    if text not in known:
        raise BadRequest(f"{label}={text}: there are {', '.join(known)}")
    return known[text]


def _node(wanted: str, around: Surroundings) -> str:
    try:
        return around.nodes[wanted]
    except KeyError:
        names = ", ".join(sorted(around.node_names.values()))
        raise BadRequest(f"shoal.node={wanted}: no such node; there are {names}") from None


def _why_it_stays(fields: CreateFields, restart: RestartPolicy, rules: PlacementRules) -> str:
    """What keeps it from starting elsewhere when its host dies, in words; "" for nothing."""
    reschedule = (fields.labels or {}).get("shoal.reschedule")
    if reschedule not in {None, _RESCHEDULE}:
        raise BadRequest(f"shoal.reschedule={reschedule}: there is {_RESCHEDULE}")
    ties = _ties(fields) + [reason for _, reason in rules.pins]
    if ties:
        return ties[0]
    if reschedule or restart.name in {"always", "unless-stopped"}:
        return ""
    return f"restart policy is {restart.name}"


def _ties(fields: CreateFields) -> list[str]:
    """What exists on one machine only."""
    host = fields.host
    ties = [f"bind mount {path}" for path in _bind_mounts(host)]
    ties += [f"volume {name}" for name in named_volumes(host)]
    ties += [
        f"volume {mount.target}"
        for mount in host.mounts or ()
        if mount.type == "volume" and not mount.source
    ]
    anonymous = [bind for bind in host.binds or () if ":" not in bind]
    ties += [f"volume {path}" for path in [*anonymous, *(fields.volumes or {})]]
    ties += [f"device {device.path_on_host}" for device in host.devices or ()]
    return ties


def named_volumes(host: HostFields) -> tuple[str, ...]:
    """Names of the volumes it uses, each once."""
    names = [name for name in map(bind_volume, host.binds or ()) if name]
    names += [m.source for m in host.mounts or () if m.type == "volume" and m.source]
    return tuple(dict.fromkeys(names))


def _bind_mounts(host: HostFields) -> list[str]:
    sources = [bind.partition(":")[0] for bind in host.binds or () if ":" in bind]
    sources = [source for source in sources if source.startswith(("/", "~", "."))]
    return sources + [mount.source for mount in host.mounts or () if mount.type == "bind"]


def _words(value: list[str] | str | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def platform_architecture(platform: str) -> str:
    """Architecture of `os[/architecture[/variant]]`; "" for any. Raises BadRequest."""
    if not platform:
        return ""
    system, _, rest = platform.partition("/")
    if system != "linux":
        if not rest and re.fullmatch(r"[a-z0-9_]+", system):
            return system  # `--platform arm64`
        raise BadRequest(f'"{platform}": unknown operating system or architecture')
    return rest.partition("/")[0]
