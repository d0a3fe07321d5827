"""What every handler of the Docker API needs: the cloud behind it, one vcluster of it."""

import asyncio
import time
from typing import Any

import msgspec
from aiohttp import web

from shoal.api.docker.fields import read_body
from shoal.model.container import ContainerView
from shoal.model.errors import BadRequest, ShoalError, TooLarge, Unavailable
from shoal.model.ops import GetContainer, ListContainers, Listing, Operation, View
from shoal.node.service import EnginePort, Member, Service

#: Docker reads no more of a create either.
BODY_LIMIT = 4 << 20
_KEEPER_WITHIN = 10.0  # seconds
_ASK_AGAIN = 0.3
_JSON = frozenset(("", "application/json"))

_encode = msgspec.json.Encoder().encode


class Front:
    """One vcluster as clients of the Docker API see it through one node."""

    def __init__(self, service: Service, vcluster: str, node_name: str) -> None:
        self.service = service
        self.vcluster = vcluster
        self.node_name = node_name

    async def do(self, operation: Operation, *, timeout: float = 15.0) -> Any:
        """The operation's answer. Raises ShoalError."""
        return await self.service.execute(self.vcluster, operation, timeout=timeout)

    async def view(self, reference: str) -> ContainerView:
        """The container that an id, a name or a prefix names. Raises NotFound."""
        end = time.monotonic() + _KEEPER_WITHIN
        while True:
            answer = await self.do(GetContainer(reference))
            assert isinstance(answer, View)
            view = answer.container
            # A copy may not have heard yet what the client was told: wait for the keeper.
            half = view.stale and not view.status.engine_name
            if not half or time.monotonic() > end:
                return view
            await asyncio.sleep(_ASK_AGAIN)

    async def views(self) -> tuple[ContainerView, ...]:
        answer = await self.do(ListContainers())
        assert isinstance(answer, Listing)
        return answer.containers

    def live(self) -> list[Member]:
        """Members that are up, by name."""
        return [member for member in self.service.members() if member.state == "up"]

    def engine(self, view: ContainerView) -> tuple[EnginePort, str]:
        """The engine that has the container, and its path there. Raises Unavailable."""
        if view.unreachable_since:
            raise Unavailable(
                f"host {view.node_name or view.node[:12]} of container {view.name} is unreachable"
            )
        if not view.node:
            raise Unavailable(f"container {view.name} has no host yet: {view.note or 'try again'}")
        name = self.service.engine_name(view)
        return self.service.engine(view.node), f"/containers/{name}"


def reply(document: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=_encode(document), status=status, content_type="application/json")


def failure(error: ShoalError) -> web.Response:
    """The error as Docker's clients expect it."""
    return reply({"message": error.text}, error.status)


async def read_limited(request: web.Request, limit: int = BODY_LIMIT) -> bytes:
    """The whole body. Raises TooLarge."""
    parts, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"the request body is larger than {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def json_body(request: web.Request) -> dict[str, Any]:
    """The JSON object that a request carries. Raises BadRequest, TooLarge."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind not in _JSON:
        raise BadRequest(f"unsupported Content-Type header ({kind}): must be 'application/json'")
    return read_body(await read_limited(request))


def flag(request: web.Request, name: str) -> bool:
    """A boolean parameter as Docker reads it: everything but "", 0, no, false and none is true."""
    return request.query.get(name, "").strip().lower() not in {"", "0", "no", "false", "none"}


def integer(request: web.Request, name: str) -> int | None:
    """An integer parameter, None when it is absent. Raises BadRequest."""
    text = request.query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise BadRequest(f"{name}={text}: not an integer") from None
