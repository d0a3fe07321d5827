"""What happens to a node: the inputs of its cores."""

import msgspec

from shoal.core.effects import EngineAction
from shoal.model.container import Phase, PortBinding
from shoal.model.ids import Generation
from shoal.model.node import EngineInfo, ImageInfo, NodeChange
from shoal.model.ops import Operation
from shoal.model.resources import Capacity, HostPort


class Now(msgspec.Struct, frozen=True):
    """The time of a step, ns: `mono` for waiting (CLOCK_BOOTTIME), `wall` for people and stamps."""

    mono: int
    wall: int


class Request(msgspec.Struct, frozen=True, tag=True):
    """This node's API asks for an operation. `request` is a random id, 32 hex digits."""

    token: int
    request: str
    vcluster: str
    operation: Operation
    deadline: int  # monotonic, ns


class Received(msgspec.Struct, frozen=True, tag=True):
    sender: str
    payload: bytes


class PeerUp(msgspec.Struct, frozen=True, tag=True):
    """Membership sees a node alive. `epoch` names its run: a restart has a higher one."""

    node: str
    address: str
    port: int
    epoch: int


class PeerSuspect(msgspec.Struct, frozen=True, tag=True):
    node: str


class PeerDown(msgspec.Struct, frozen=True, tag=True):
    """Membership holds the node for dead, or (`left`) it said goodbye."""

    node: str
    left: bool = False


class EngineContainer(msgspec.Struct, frozen=True):
    """A container as the engine has it. `id` is Shoal's, "" for one that is not ours."""

    name: str  # engine-side
    id: str = ""
    vcluster: str = ""
    generation: Generation | None = None
    phase: Phase = "created"
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    paused: bool = False
    started: int = 0  # wall clock, ns
    finished: int = 0
    pid: int = 0
    ports: tuple[PortBinding, ...] = ()
    addresses: dict[str, str] = {}
    cpu_millis: int = 0  # limits of a container that is not ours
    memory: int = 0
    host_ports: tuple[HostPort, ...] = ()


class EngineResult(msgspec.Struct, frozen=True, tag=True):
    """Outcome of an EngineCall. On failure `status` is the engine's HTTP status (0: no answer,
    nobody knows whether it happened) and `error` its line."""

    call: int
    action: EngineAction
    id: str
    ok: bool
    status: int = 200
    error: str = ""
    container: EngineContainer | None = None  # as it is afterwards; None after remove


class EngineChanged(msgspec.Struct, frozen=True, tag=True):
    """The engine reported an event of one of our containers and this is its state now."""

    action: str
    container: EngineContainer
    time: int  # wall clock, ns
    attributes: dict[str, str] = {}


class EngineSnapshot(msgspec.Struct, frozen=True, tag=True):
    """All that the engine has, read at connect and every minute; or that it is away. `began`
    (monotonic ns) is when the reading began: what happened since is newer than it."""

    info: EngineInfo
    began: int = 0
    containers: tuple[EngineContainer, ...] = ()
    images: tuple[ImageInfo, ...] = ()
    capacity: Capacity | None = None
    architecture: str = ""


class Operator(msgspec.Struct, frozen=True, tag=True):
    """An operator asks something of this node. It is answered by a Reply to `token`."""

    token: int
    change: NodeChange


class Tick(msgspec.Struct, frozen=True, tag=True):
    """The deadline that the core asked for has come."""


Event = (
    Request
    | Received
    | PeerUp
    | PeerSuspect
    | PeerDown
    | EngineResult
    | EngineChanged
    | EngineSnapshot
    | Operator
    | Tick
)
