"""What an engine says of a container, read into the model: pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shoal.core.events import EngineContainer
from shoal.engine import names
from shoal.engine.times import NANOS, parse_time
from shoal.model.container import Phase, PortBinding
from shoal.model.resources import HostPort

_PHASES: dict[str, Phase] = {
    "created": "created",
    "initialized": "created",  # Podman's word between create and start
    "configured": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "stopping": "running",
    "exited": "exited",
    "stopped": "exited",
    "removing": "dead",
    "dead": "dead",
}
DEFAULT_PERIOD = 100_000  # microseconds, the kernel's default for CpuQuota


def container_of(inspect: Mapping[str, Any], cloud: str) -> EngineContainer:
    """An engine's inspect document as EngineContainer; those of our cloud are known by their
    labels, all others take part of the machine from us."""
    state = inspect.get("State") or {}
    config = inspect.get("Config") or {}
    host = inspect.get("HostConfig") or {}
    labels = config.get("Labels") or {}
    ours = names.ID in labels and labels.get(names.CLOUD) == cloud
    if not ours:
        labels = {}
    phase = _PHASES.get(state.get("Status", ""), "dead")
    return EngineContainer(
        name=str(inspect.get("Name", "")).removeprefix("/"),
        id=labels.get(names.ID, ""),
        vcluster=labels.get(names.VCLUSTER, ""),
        generation=names.parse_generation(labels.get(names.GENERATION, "")),
        phase=phase,
        exit_code=int(state.get("ExitCode") or 0),
        error=state.get("Error") or "",
        oom_killed=bool(state.get("OOMKilled")),
        paused=state.get("Status") == "paused",
        started=_time(state.get("StartedAt")),
        finished=_time(state.get("FinishedAt")),
        pid=int(state.get("Pid") or 0),
        ports=bound_ports(inspect),
        addresses=addresses(inspect),
        cpu_millis=0 if ours else cpu_limit(host),
        memory=0 if ours else int(host.get("Memory") or 0),
        host_ports=() if ours else tuple(sorted(set(_held_ports(inspect, phase)))),
    )


def cpu_limit(host: Mapping[str, Any]) -> int:
    """Millicores that a HostConfig limits a container to; 0 without limit."""
    if host.get("NanoCpus"):
        return int(host["NanoCpus"]) * 1000 // NANOS
    quota = int(host.get("CpuQuota") or 0)
    period = int(host.get("CpuPeriod") or 0) or DEFAULT_PERIOD
    return quota * 1000 // period if quota > 0 else 0


def bound_ports(inspect: Mapping[str, Any]) -> tuple[PortBinding, ...]:
    """Ports that the engine has bound, in a stable order."""
    settings = inspect.get("NetworkSettings") or {}
    found: list[PortBinding] = []
    for key, bindings in (settings.get("Ports") or {}).items():
        number, _, protocol = key.partition("/")
        found.extend(
            PortBinding(
                container_port=int(number),
                protocol=protocol or "tcp",
                host_ip=binding.get("HostIp") or "",
                host_port=int(binding["HostPort"]),
            )
            for binding in bindings or ()
            if binding.get("HostPort")
        )
    return tuple(sorted(found, key=lambda port: (port.container_port, port.protocol, port.host_ip)))


def addresses(inspect: Mapping[str, Any]) -> dict[str, str]:
    """Network name -> address, IPv4 before IPv6, "" where the network gives none."""
    networks = (inspect.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        name: (network or {}).get("IPAddress") or (network or {}).get("GlobalIPv6Address") or ""
        for name, network in networks.items()
    }


def after_event(
    container: EngineContainer, action: str, time: int, attributes: Mapping[str, str]
) -> EngineContainer:
    """The container as it was when the event happened: by the time we look, a container that
    died may be running again or be gone."""
    if action == "die":
        if container.phase == "running":  # the next run: when the one that ended began is unknown
            container = msgspec.structs.replace(container, started=0)
        code = attributes.get("exitCode", "")
        return msgspec.structs.replace(
            container,
            phase="exited",
            exit_code=int(code) if code.lstrip("-").isdigit() else container.exit_code,
            finished=container.finished if container.phase == "exited" else time,
            paused=False,
            pid=0,
            ports=(),
        )
    if action == "destroy":
        return msgspec.structs.replace(container, phase="dead", pid=0, ports=())
    return container


def from_attributes(attributes: Mapping[str, str]) -> EngineContainer:
    """What an event alone says of a container of ours that is gone already."""
    return EngineContainer(
        name=attributes.get("name", ""),
        id=attributes.get(names.ID, ""),
        vcluster=attributes.get(names.VCLUSTER, ""),
        generation=names.parse_generation(attributes.get(names.GENERATION, "")),
        phase="dead",
    )


def _held_ports(inspect: Mapping[str, Any], phase: Phase) -> list[HostPort]:
    """Host ports that a foreign container takes from us: those bound now."""
    if phase != "running":
        return []
    return [
        HostPort(port.host_port, port.protocol, _specific(port.host_ip))
        for port in bound_ports(inspect)
    ]


def _specific(address: str) -> str:
    return "" if address in {"0.0.0.0", "::"} else address  # noqa: S104 - compared, not bound


def _time(text: str | None) -> int:
    try:
        return parse_time(text) if text else 0
    except ValueError:
        return 0
