"""Bodies of the native API: what programs read and write as JSON. Times are wall clock ns."""

from typing import Annotated

import msgspec

from shoal.api.docker.ports import outside
from shoal.api.docker.states import state_of, status_text
from shoal.core.effects import Happened
from shoal.model.container import ContainerView
from shoal.model.ids import short
from shoal.model.node import EngineInfo
from shoal.model.resources import Capacity, CpuClass, Load
from shoal.node.service import Member


class Problem(msgspec.Struct, frozen=True):
    """Body of every answer that is not a success."""

    message: str


class Port(msgspec.Struct, frozen=True):
    """A published port under the address where others reach it."""

    address: str
    host_port: int
    container_port: int
    protocol: str


class ContainerSummary(msgspec.Struct, frozen=True):
    """One line of a listing. `status` is for people, `state` for programs."""

    id: str
    name: str
    image: str
    image_id: str
    state: str  # creating, created, running, restarting, exited, dead, unknown
    status: str
    desired: str
    exit_code: int
    created: int
    started: int
    finished: int
    ports: tuple[Port, ...]
    labels: dict[str, str]
    node: str  # name, "" while it has none
    node_id: str
    node_address: str
    unreachable_since: int
    note: str
    stale: bool
    partial: bool


class ContainerListing(msgspec.Struct, frozen=True):
    """Containers of a vcluster; `stale` without its keeper, `partial` without any copy."""

    containers: tuple[ContainerSummary, ...]
    stale: bool
    partial: bool


class ActionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timeout`: seconds before SIGKILL, None for the container's own; `signal`: for kill."""

    timeout: Annotated[int, msgspec.Meta(ge=-1, le=86_400)] | None = None
    signal: str = ""


class NodeSummary(msgspec.Struct, frozen=True):
    """One line of the list of nodes; `since` is the last change of `state`."""

    id: str
    name: str
    address: str
    port: int
    site: str
    state: str
    since: int
    labels: dict[str, str]
    architecture: str
    cpu_class: CpuClass
    capacity: Capacity
    load: Load
    engine: EngineInfo
    images: int
    version: str
    admin: bool
    cordoned: bool  # gets no more containers
    draining: bool  # its containers are to run elsewhere
    here: bool  # the node that answered


class NodePatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Labels to set; null takes one away, and those that are not named stay."""

    labels: dict[str, str | None] = {}


class TenantLine(msgspec.Struct, frozen=True):
    """A container that a node holds; `why` says what keeps it there, "" for nothing."""

    id: str
    name: str
    vcluster: str
    running: bool
    why: str


class DrainReport(msgspec.Struct, frozen=True):
    """How far a node is on its way to being empty, by its own books: `moving` are still to run
    elsewhere or are about to be given up, `staying` will not move."""

    node: str
    name: str
    draining: bool
    moving: tuple[TenantLine, ...]
    staying: tuple[TenantLine, ...]


class EventLine(msgspec.Struct, frozen=True):
    """One line of the event stream."""

    time: int
    action: str
    id: str
    name: str
    image: str
    host: str  # name of the node
    node: str  # id of the node
    vcluster: str
    generation: str
    seq: int
    attributes: dict[str, str]


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ttl_seconds: Annotated[int, msgspec.Meta(ge=1, le=365 * 86_400)] = 3600


class TokenAnswer(msgspec.Struct, frozen=True):
    token: str
    expires: int


def summarize_container(view: ContainerView, now: int) -> ContainerSummary:
    spec, status = view.spec, view.status
    return ContainerSummary(
        id=view.id,
        name=view.name,
        image=spec.image,
        image_id=spec.image_id,
        state=_state(view),
        status=status_text(view, now),
        desired=view.desired,
        exit_code=status.exit_code,
        created=spec.created,
        started=status.started,
        finished=status.finished,
        ports=_ports(view),
        labels=spec.body.get("Labels") or {},
        node=view.node_name or short(view.node),
        node_id=view.node,
        node_address=view.node_address,
        unreachable_since=view.unreachable_since,
        note=_note(view),
        stale=view.stale,
        partial=view.partial,
    )


def _note(view: ContainerView) -> str:
    """Why it does not move is of interest only while its host is away."""
    if view.note or not view.unreachable_since:
        return view.note
    return view.spec.stays_because


def _state(view: ContainerView) -> str:
    """Docker's words, and two that it does not have: programs can tell these cases apart."""
    if view.unreachable_since:
        return "unknown"
    return view.status.phase if view.status.phase == "creating" else state_of(view)


def _ports(view: ContainerView) -> tuple[Port, ...]:
    """Each once: an engine binds IPv4 and IPv6, from outside both are one."""
    found = {
        (each.container_port, each.protocol, outside(view, each), each.host_port)
        for each in view.status.ports
    }
    return tuple(Port(address, outer, inner, kind) for inner, kind, address, outer in sorted(found))


def summarize_node(member: Member, *, here: str) -> NodeSummary:
    """`here` is the id of the node that answers."""
    info = member.info
    return NodeSummary(
        id=info.id,
        name=info.name,
        address=info.address,
        port=info.port,
        site=info.site,
        state=member.state,
        since=member.since,
        labels=info.labels,
        architecture=info.architecture,
        cpu_class=info.cpu_class,
        capacity=info.capacity,
        load=info.load,
        engine=info.engine,
        images=len(info.images),
        version=info.version,
        admin=info.admin,
        cordoned=info.cordoned,
        draining=info.draining,
        here=info.id == here,
    )


def event_line(event: Happened, host: str) -> EventLine:
    return EventLine(
        time=event.time,
        action=event.action,
        id=event.id,
        name=event.name,
        image=event.image,
        host=host,
        node=event.node,
        vcluster=event.vcluster,
        generation=event.generation.key,
        seq=event.seq,
        attributes=event.attributes,
    )
