"""Handlers of the native API: from HTTP to the node's ports and back."""

import asyncio
import time
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from shoal.api.docker.refusals import check_signal
from shoal.api.native.filters import is_shown, parse_filters
from shoal.api.native.journal import Journal
from shoal.api.native.ports import AdminPort
from shoal.api.native.wire import (
    ActionRequest,
    ContainerListing,
    event_line,
    summarize_container,
)
from shoal.core.effects import Happened
from shoal.model.errors import BadRequest, NotFound
from shoal.model.ids import DEFAULT, SYSTEM, short, vcluster_id
from shoal.model.ops import (
    Done,
    GetContainer,
    ListContainers,
    Listing,
    Operate,
    RemoveContainer,
    View,
    Why,
    WhyContainer,
)
from shoal.node.service import Service

#: What questions may take.
PATIENCE_SECONDS = 15.0
#: What an operation may take beyond the time that the container itself is given to stop.
SLACK_SECONDS = 60.0
#: A start may bring an image first, and a container's own time to stop may be long.
LONG_SECONDS = 600.0
FOREVER_SECONDS = 24 * 3600.0
#: Lines of the log in one answer.
LOG_LINES = 10_000

Kind = TypeVar("Kind")

_encode = msgspec.json.Encoder().encode


def reply(value: Any, *, status: int = 200) -> web.Response:
    return web.Response(body=_encode(value), status=status, content_type="application/json")


class Handlers:
    """One method an operation; they raise ShoalErrors, which the application words."""

    def __init__(self, service: Service, admin: AdminPort, journal: Journal) -> None:
        self._service = service
        self._admin = admin
        self._journal = journal
        self._vclusters = {name: vcluster_id(service.cloud, name) for name in (DEFAULT, SYSTEM)}

    # The node and its cloud

    async def status(self, _: web.Request) -> web.StreamResponse:
        return reply(self._admin.status())

    async def read_log(self, request: web.Request) -> web.StreamResponse:
        lines = _number(request, "lines") or LOG_LINES
        return reply(self._admin.log(min(lines, LOG_LINES)))

    async def examine(self, _: web.Request) -> web.StreamResponse:
        return reply(await self._admin.examine())

    # Containers

    async def list_containers(self, request: web.Request) -> web.StreamResponse:
        filters = parse_filters(request.query.getall("filter", []))
        everything = _flag(request, "all")
        listing = await self._ask(request, ListContainers(), Listing)
        now = time.time_ns()
        lines = (summarize_container(view, now) for view in listing.containers)
        shown = [line for line in lines if is_shown(line, filters, everything=everything)]
        shown.sort(key=lambda line: (-line.created, line.name))
        return reply(ContainerListing(tuple(shown), listing.stale, listing.partial))

    async def get_container(self, request: web.Request) -> web.StreamResponse:
        view = await self._ask(request, GetContainer(_ref(request)), View)
        return reply(view.container)

    async def why_container(self, request: web.Request) -> web.StreamResponse:
        return reply(await self._ask(request, WhyContainer(_ref(request)), Why))

    async def start_container(self, request: web.Request) -> web.StreamResponse:
        return await self._operate(request, Operate(_ref(request), "start"))

    async def stop_container(self, request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, ActionRequest)
        return await self._operate(
            request, Operate(_ref(request), "stop", wanted.timeout, wanted.signal)
        )

    async def restart_container(self, request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, ActionRequest)
        return await self._operate(
            request, Operate(_ref(request), "restart", wanted.timeout, wanted.signal)
        )

    async def kill_container(self, request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, ActionRequest)
        return await self._operate(
            request, Operate(_ref(request), "kill", signal=wanted.signal or "SIGKILL")
        )

    async def remove_container(self, request: web.Request) -> web.StreamResponse:
        order = RemoveContainer(
            _ref(request), force=_flag(request, "force"), volumes=_flag(request, "volumes")
        )
        return reply(await self._ask(request, order, Done, patience=SLACK_SECONDS))

    async def _operate(self, request: web.Request, order: Operate) -> web.StreamResponse:
        if order.signal:
            check_signal(order.signal)
        grace = LONG_SECONDS if order.timeout is None else order.timeout
        patience = SLACK_SECONDS + grace if grace >= 0 else FOREVER_SECONDS
        return reply(await self._ask(request, order, Done, patience=patience))

    async def _ask(
        self,
        request: web.Request,
        operation: Any,
        expected: type[Kind],
        *,
        patience: float = PATIENCE_SECONDS,
    ) -> Kind:
        vcluster = self._vcluster(request)
        answer = await self._service.execute(vcluster, operation, timeout=patience)
        if not isinstance(answer, expected):
            raise TypeError(f"BUG: {type(operation).__name__} answered with {answer!r}")
        return answer

    def _vcluster(self, request: web.Request) -> str:
        """Id of the vcluster in the path, which names it or is the id."""
        name = request.match_info["vcluster"]
        if name in self._vclusters:
            return self._vclusters[name]
        if name in self._vclusters.values():
            return name
        raise NotFound(f"no such vcluster: {name}: there are `{DEFAULT}` and `{SYSTEM}`")

    # Events

    async def follow_events(self, request: web.Request) -> web.StreamResponse:
        """Kept events from `since` on; with `follow` also what comes, up to `until`."""
        if self._vcluster(request) != self._vclusters[DEFAULT]:
            raise NotFound(f"only the vcluster `{DEFAULT}` has events")
        since, until = _number(request, "since"), _number(request, "until")
        follow = _flag(request, "follow")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        with self._journal.reader() as coming:
            for event in self._journal.recent(since):
                if not until or event.time <= until:
                    await self._write(response, event)
            if follow and not await self._write_coming(response, coming, until):
                self._cut(request)
        return response

    @staticmethod
    def _cut(request: web.Request) -> None:
        """A broken stream tells the reader that events are missing; an end would not."""
        if request.transport is not None:
            request.transport.abort()

    async def _write_coming(
        self, response: web.StreamResponse, coming: asyncio.Queue[Happened | None], until: int
    ) -> bool:
        """False when this reader was too slow and has missed events."""
        try:
            async with asyncio.timeout((until - time.time_ns()) / 1e9 if until else None):
                while (event := await coming.get()) is not None:
                    await self._write(response, event)
        except TimeoutError:
            return True
        return False

    async def _write(self, response: web.StreamResponse, event: Happened) -> None:
        names = {each.info.id: each.info.name for each in self._service.members()}
        line = event_line(event, names.get(event.node, short(event.node)))
        await response.write(_encode(line) + b"\n")


def _ref(request: web.Request) -> str:
    return request.match_info["container"]


async def read_body(request: web.Request, kind: type[Kind]) -> Kind:
    """The request's JSON; an empty body stands for all defaults. Raises BadRequest."""
    data = await request.read()
    try:
        return msgspec.json.decode(data or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise BadRequest(f"request body: {error}") from None


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name, "false")
    if text not in ("true", "false", "1", "0"):
        raise BadRequest(f"query parameter `{name}` is `{text}`, not true or false")
    return text in ("true", "1")


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "0")
    if not text.isascii() or not text.isdigit():
        raise BadRequest(f"query parameter `{name}` is `{text}`, not a whole number")
    return int(text)
