"""A container as the user asked for it, and as it is."""

from typing import Any, Literal

import msgspec

from shoal.model.ids import Generation
from shoal.model.resources import CpuClass, Resources

Strategy = Literal["spread", "binpack"]
#: `creating` until an engine has it; `lost` is derived by readers, never stored.
Phase = Literal["creating", "created", "running", "exited", "dead"]
Desired = Literal["created", "running", "stopped"]


class RestartPolicy(msgspec.Struct, frozen=True):
    """Docker's restart policy; `retries` counts only for on-failure (0: without limit)."""

    name: Literal["no", "always", "unless-stopped", "on-failure"] = "no"
    retries: int = 0


class PlacementRules(msgspec.Struct, frozen=True):
    """Where a container may run. `pins` are (node id, reason) pairs that all must hold;
    `constraints` are expressions such as `node.labels.disk==ssd` or `node.name!=b`."""

    strategy: Strategy = "spread"
    constraints: tuple[str, ...] = ()
    cpu_class: CpuClass | None = None
    architecture: str = ""
    pins: tuple[tuple[str, str], ...] = ()


class ContainerSpec(msgspec.Struct, frozen=True):
    """What was asked for. `body` is the request of Docker's `containers/create`, passed on to
    the engine but for what Shoal decides itself."""

    image: str  # as the user wrote it
    image_id: str  # what it stood for at that moment
    body: dict[str, Any]
    resources: Resources = Resources()
    placement: PlacementRules = PlacementRules()
    restart: RestartPolicy = RestartPolicy()
    movable: bool = False  # starts elsewhere when its host dies
    stays_because: str = ""  # why not, in words for `shoal ps`
    auto_remove: bool = False
    volumes: tuple[str, ...] = ()  # named volumes: their data is on one host
    created: int = 0  # wall clock, ns
    command: tuple[str, ...] = ()  # what runs: entrypoint and arguments, the image's included


class PortBinding(msgspec.Struct, frozen=True, array_like=True):
    """A port as the engine really bound it."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


class Status(msgspec.Struct, frozen=True):
    """What the host says of one generation of a container; times are wall clock ns, 0 = never."""

    phase: Phase = "creating"
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    paused: bool = False  # it runs, and its processes are frozen
    started: int = 0
    finished: int = 0
    pid: int = 0
    restarts: int = 0
    ports: tuple[PortBinding, ...] = ()
    addresses: dict[str, str] = {}  # network name -> address
    exits: int = 0  # how often it has ended under this id, so that a waiter misses none
    done: int = 0  # stamp of the last wish (start, stop, ...) carried out or failed at
    error_status: int = 0  # HTTP status if that wish failed; `error` says why
    engine_name: str = ""  # under which its host's engine has it; never leaves the node's API


class ContainerView(msgspec.Struct, frozen=True):
    """One container as a keeper (or, cut off, a host) knows it."""

    id: str
    name: str
    spec: ContainerSpec
    desired: Desired
    status: Status
    generation: Generation | None = None
    node: str = ""  # id of the host, "" while it has none
    node_name: str = ""
    node_address: str = ""
    unreachable_since: int = 0  # wall clock, ns; 0 = the host is there
    note: str = ""  # what keeps it from running or moving, in words
    pending: bool = False  # its host has not carried out yet what was asked last
    stale: bool = False  # read from copies without their keeper
    partial: bool = False  # this side of a partition holds no copy of the records
