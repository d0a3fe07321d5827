"""What a core asks the shell to do: the only way in which a decision touches the world.

The shell writes the `Put`s and `Delete`s of a step to disk before it lets any other effect of
that step, or of a later one, leave the node.
"""

from typing import Any, Literal

import msgspec

from shoal.model.ids import Generation
from shoal.model.node import NodeInfo
from shoal.model.ops import Answer


class Put(msgspec.Struct, frozen=True, tag=True):
    """Store `value` under (space, key), replacing what was there."""

    space: str
    key: str
    value: bytes


class Delete(msgspec.Struct, frozen=True, tag=True):
    """Forget (space, key)."""

    space: str
    key: str


Write = Put | Delete


class Send(msgspec.Struct, frozen=True, tag=True):
    """Send a message to a node; it may be lost, doubled or late."""

    to: str
    payload: bytes


class Reply(msgspec.Struct, frozen=True, tag=True):
    """Answer a request of this node's own API, or what an operator asked of it."""

    token: int
    answer: Answer


EngineAction = Literal["create", "start", "stop", "kill", "restart", "remove", "inspect", "fetch"]


class EngineCall(msgspec.Struct, frozen=True, tag=True):
    """Have the engine do something to one container; the outcome comes back as EngineResult.

    `create` carries the whole request and is idempotent: a container that already stands under
    `name` is the outcome. `image_id` is fetched from one of `image_holders` (node ids) when the
    engine lacks it; `fetch` does no more than that. `remove` of an absent container succeeds.
    """

    call: int
    action: EngineAction
    id: str
    generation: Generation
    name: str  # engine-side name
    vcluster: str = ""
    container_name: str = ""  # what users call it
    body: dict[str, Any] | None = None
    image_id: str = ""
    image: str = ""  # reference to tag it with
    image_holders: tuple[str, ...] = ()
    timeout: int | None = None
    signal: str = ""
    volumes: bool = False


class Happened(msgspec.Struct, frozen=True, tag=True):
    """A container event for those who follow `events`; `seq` grows within a generation."""

    vcluster: str
    id: str
    name: str
    image: str
    generation: Generation
    seq: int
    action: str  # as Docker names it: create, start, die, kill, stop, destroy, ...
    time: int  # wall clock, ns
    node: str
    attributes: dict[str, str] = {}


class Announce(msgspec.Struct, frozen=True, tag=True):
    """This node's own inventory changed: tell membership."""

    info: NodeInfo


class Learned(msgspec.Struct, frozen=True, tag=True):
    """A peer's address became known or changed."""

    info: NodeInfo


class Rejoin(msgspec.Struct, frozen=True, tag=True):
    """A member believed dead answered: seed membership with it again."""

    node: str


class Log(msgspec.Struct, frozen=True, tag=True):
    """A line for the log, as an event name and fields."""

    level: Literal["debug", "info", "warning", "error"]
    event: str
    fields: dict[str, Any] = {}


Effect = Put | Delete | Send | Reply | EngineCall | Happened | Announce | Learned | Rejoin | Log
