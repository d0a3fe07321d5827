"""From the flags of `shoal run` to the body of Docker's `containers/create`: pure.

The body is what Docker's own client sends for the same flags, without the fields that it sends
empty. Shoal's own flags travel as labels, as they do from any other client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shoal.cli import run_values as values
from shoal.model.errors import BadRequest

Body = dict[str, Any]
Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """Flags as given; field names are those of the flags."""

    image: str
    command: Words = ()
    detach: bool = False
    interactive: bool = False
    tty: bool = False
    rm: bool = False
    name: str = ""
    publish: Words = ()
    publish_all: bool = False
    expose: Words = ()
    volume: Words = ()
    mount: Words = ()
    tmpfs: Words = ()
    env: Words = ()
    env_file: Words = ()
    label: Words = ()
    workdir: str = ""
    user: str = ""
    entrypoint: str | None = None
    hostname: str = ""
    memory: str = ""
    memory_reservation: str = ""
    memory_swap: str = ""
    cpus: str = ""
    cpu_shares: int = 0
    cpuset_cpus: str = ""
    pids_limit: int = 0
    shm_size: str = ""
    ulimit: Words = ()
    restart: str = ""
    network: str = ""
    dns: Words = ()
    dns_search: Words = ()
    add_host: Words = ()
    privileged: bool = False
    cap_add: Words = ()
    cap_drop: Words = ()
    security_opt: Words = ()
    group_add: Words = ()
    device: Words = ()
    read_only: bool = False
    init: bool = False
    platform: str = ""
    stop_signal: str = ""
    stop_timeout: int | None = None
    pull: str = "missing"
    quiet: bool = False
    sig_proxy: bool = True
    cpu_class: str | None = None
    constraint: Words = ()
    placement: str | None = None
    node: str = ""


@dataclass(frozen=True, kw_only=True)
class Around:
    """What the client itself contributes: its directory, its environment, its terminal."""

    here: str
    environment: Mapping[str, str] = field(default_factory=dict)
    console: tuple[int, int] = (0, 0)  # rows, columns


def create_body(flags: RunFlags, around: Around) -> Body:
    """Body of `POST /containers/create`. Raises BadRequest naming the flag that is wrong."""
    if flags.rm and flags.restart not in ("", "no"):
        raise BadRequest("conflicting options: cannot specify both --restart and --rm")
    ports, bindings = values.ports(flags.publish)
    binds, anonymous = values.volumes(flags.volume, around.here)
    config = _filled(_config(flags, around))
    config |= _filled({"ExposedPorts": ports | values.exposed(flags.expose), "Volumes": anonymous})
    if flags.stop_timeout is not None:
        config["StopTimeout"] = flags.stop_timeout
    host = _filled({"PortBindings": bindings, "Binds": binds})
    host |= _filled({**_host(flags, around), **_limits(flags), **_rights(flags)})
    return {**config, "Image": flags.image, "HostConfig": host}


def _filled(fields: Body) -> Body:
    """Without what is empty; the engine reads both alike."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}


def _config(flags: RunFlags, around: Around) -> Body:
    attached = not flags.detach
    entrypoint = None if flags.entrypoint is None else [flags.entrypoint]
    return {
        "Hostname": flags.hostname,
        "User": flags.user,
        "AttachStdin": attached and flags.interactive,
        "AttachStdout": attached,
        "AttachStderr": attached,
        "Tty": flags.tty,
        "OpenStdin": flags.interactive,
        "StdinOnce": attached and flags.interactive,
        "Env": values.environment(flags.env_file, flags.env, around.environment),
        "Cmd": list(flags.command),
        "Entrypoint": entrypoint,
        "WorkingDir": flags.workdir,
        "Labels": _labels(flags),
        "StopSignal": flags.stop_signal,
    }


def _labels(flags: RunFlags) -> dict[str, str]:
    given = dict(map(values.pair, flags.label))
    own = {
        "shoal.cpu-class": flags.cpu_class,
        "shoal.constraint": ",".join(flags.constraint),
        "shoal.placement": flags.placement,
        "shoal.node": flags.node,
    }
    return given | {name: value for name, value in own.items() if value}


def _host(flags: RunFlags, around: Around) -> Body:
    return {
        "NetworkMode": flags.network or "default",
        "PublishAllPorts": flags.publish_all,
        "RestartPolicy": values.restart_policy(flags.restart) if flags.restart else None,
        "AutoRemove": flags.rm,
        "Mounts": [values.mount(text, around.here) for text in flags.mount],
        "Tmpfs": values.tmpfs(flags.tmpfs),
        "ConsoleSize": list(around.console) if any(around.console) else None,
        "Dns": list(flags.dns),
        "DnsSearch": list(flags.dns_search),
        "ExtraHosts": [values.extra_host(text) for text in flags.add_host],
        "Init": flags.init,
    }


def _limits(flags: RunFlags) -> Body:
    return {
        "Memory": _size("--memory", flags.memory),
        "MemoryReservation": _size("--memory-reservation", flags.memory_reservation),
        "MemorySwap": _swap(flags.memory_swap),
        "NanoCpus": values.nano_cpus(flags.cpus) if flags.cpus else 0,
        "CpuShares": flags.cpu_shares,
        "CpusetCpus": flags.cpuset_cpus,
        "PidsLimit": flags.pids_limit,
        "ShmSize": _size("--shm-size", flags.shm_size),
        "Ulimits": [values.ulimit(text) for text in flags.ulimit],
    }


def _size(flag: str, text: str) -> int:
    return values.size(flag, text) if text else 0


def _swap(text: str) -> int:
    """-1 is no limit."""
    return -1 if text == "-1" else _size("--memory-swap", text)


def _rights(flags: RunFlags) -> Body:
    return {
        "Privileged": flags.privileged,
        "CapAdd": [values.capability(text) for text in flags.cap_add],
        "CapDrop": [values.capability(text) for text in flags.cap_drop],
        "SecurityOpt": list(flags.security_opt),
        "GroupAdd": list(flags.group_add),
        "Devices": [values.device(text) for text in flags.device],
        "ReadonlyRootfs": flags.read_only,
    }
