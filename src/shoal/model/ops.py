"""Operations on a vcluster: what an entry node asks a keeper, and what it gets back.

Every operation is idempotent under its `request` id, so that an entry node may send it again
to whoever is keeper next.
"""

from typing import Any, Literal

import msgspec

from shoal.model.container import ContainerSpec, ContainerView

Action = Literal["start", "stop", "kill", "restart"]


class CreateContainer(msgspec.Struct, frozen=True, tag="create"):
    """Create a container under an id that the entry node minted. Answer: Created."""

    id: str
    name: str  # never empty: the entry node invents one
    spec: ContainerSpec


class Operate(msgspec.Struct, frozen=True, tag="operate"):
    """Start, stop, kill or restart. Answer: Done."""

    ref: str
    action: Action
    timeout: int | None = None  # seconds before SIGKILL; None: the container's own, or 10
    signal: str = ""


class RemoveContainer(msgspec.Struct, frozen=True, tag="remove"):
    """Remove the container and free its name. Answer: Done."""

    ref: str
    force: bool = False
    volumes: bool = False


class RenameContainer(msgspec.Struct, frozen=True, tag="rename"):
    """Give a container another name. Answer: Done."""

    ref: str
    name: str


class GetContainer(msgspec.Struct, frozen=True, tag="get"):
    """One container by id, name or unambiguous prefix of its id. Answer: ContainerView."""

    ref: str


class GetRemoved(msgspec.Struct, frozen=True, tag="get-removed"):
    """What is kept of a removed container: its name and exit code. Answer: Objects."""

    id: str


class ListContainers(msgspec.Struct, frozen=True, tag="list"):
    """All containers of the vcluster. Answer: Listing."""


class WhyContainer(msgspec.Struct, frozen=True, tag="why"):
    """Why the container is where it is, or nowhere. Answer: Why."""

    ref: str


class TagImage(msgspec.Struct, frozen=True, tag="tag-image"):
    """Let a reference stand for an image id from now on. Answer: Done."""

    reference: str
    image_id: str


class GetImage(msgspec.Struct, frozen=True, tag="get-image"):
    """The image id that a reference stands for. Answer: ImageTag."""

    reference: str


class WriteObject(msgspec.Struct, frozen=True, tag="write"):
    """Set fields of one record of an object that is not a container (tokens, keys, labels).
    `value` None removes the object. Answer: Done."""

    object: str
    concern: str
    value: dict[str, Any] | None


class ReadObjects(msgspec.Struct, frozen=True, tag="read"):
    """All living records of one concern. Answer: Objects."""

    concern: str


Operation = (
    CreateContainer
    | Operate
    | RemoveContainer
    | RenameContainer
    | GetContainer
    | GetRemoved
    | ListContainers
    | WhyContainer
    | TagImage
    | GetImage
    | WriteObject
    | ReadObjects
)


class Created(msgspec.Struct, frozen=True, tag="created"):
    id: str
    warnings: tuple[str, ...] = ()


class Done(msgspec.Struct, frozen=True, tag="done"):
    """`changed` is false where there was nothing to do (Docker's 304)."""

    id: str = ""
    changed: bool = True


class Listing(msgspec.Struct, frozen=True, tag="listing"):
    containers: tuple[ContainerView, ...]
    stale: bool = False
    partial: bool = False


class View(msgspec.Struct, frozen=True, tag="view"):
    container: ContainerView


class NodeVerdict(msgspec.Struct, frozen=True):
    """What placement says of one node: eligible with a score, or the filter that dropped it."""

    node: str  # name
    eligible: bool
    score: int = 0
    filter: str = ""
    reason: str = ""


class Why(msgspec.Struct, frozen=True, tag="why-answer"):
    """The story of a container's place."""

    container: ContainerView
    summary: str
    verdicts: tuple[NodeVerdict, ...] = ()
    history: tuple[str, ...] = ()


class ImageTag(msgspec.Struct, frozen=True, tag="image-tag"):
    image_id: str  # "" when there is no such record


class Objects(msgspec.Struct, frozen=True, tag="objects"):
    records: dict[str, dict[str, Any]]  # object id -> value


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A ShoalError on its way: `status` as in HTTP."""

    status: int
    text: str


Answer = Created | Done | Listing | View | Why | ImageTag | Objects | Failed
