"""The events of all nodes as one stream: what they remember, then what happens."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from shoal.api.docker.filters import Filters, check_known, label_matches, parse_filters
from shoal.api.docker.front import Front
from shoal.api.docker.relay import pieces, start_stream
from shoal.core.effects import Happened
from shoal.engine.times import NANOS, parse_time
from shoal.model.errors import BadRequest
from shoal.model.reference import parse_reference

_FILTERS = (
    *("config", "container", "daemon", "event", "image", "label", "network", "node", "nodes"),
    *("plugin", "scope", "secret", "service", "type", "volume"),
)
#: Filters for kinds of objects that have no events here.
_OTHER_KINDS = frozenset(("config", "network", "plugin", "secret", "service", "volume"))


class Events:
    """Handler of `events`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def follow(self, request: web.Request) -> web.StreamResponse:
        filters = parse_filters(request.query.get("filters"))
        check_known(filters, _FILTERS)
        since = moment(request.query.get("since", ""), "since")
        until = moment(request.query.get("until", ""), "until")
        names = {member.info.id: member.info.name for member in self._front.service.members()}
        source = aiter(self._front.service.follow(self._front.vcluster))
        first = asyncio.ensure_future(anext(source))  # so that it listens before we say so
        try:
            await asyncio.sleep(0)
            response = await start_stream(request, "application/json")
            coming = _bounded(_joined(first, source), until)
            if since:
                end = until or time.time_ns()
                past = await self._front.service.past(self._front.vcluster, since, end)
                coming = _after(past, coming)
            async for event in pieces(request, coming):
                if event.node not in names:
                    members = self._front.service.members()
                    names = {member.info.id: member.info.name for member in members}
                document = event_document(event, names.get(event.node, event.node[:12]))
                if matches(document, filters):
                    await response.write(msgspec.json.encode(document) + b"\n")
        finally:
            first.cancel()
        return response


def event_document(event: Happened, node: str) -> dict[str, Any]:
    """As Docker writes a container's event; the attribute `node` is ours."""
    attributes = {
        **event.attributes,
        "image": event.image,
        "name": event.name,
        "node": node,
    }
    return {
        "status": event.action,
        "id": event.id,
        "from": event.image,
        "Type": "container",
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": attributes},
        "scope": "local",
        "time": event.time // NANOS,
        "timeNano": event.time,
    }


def matches(document: dict[str, Any], filters: Filters) -> bool:
    """Whether a container's event passes all filters."""
    attributes = document["Actor"]["Attributes"]
    if _OTHER_KINDS & filters.keys():
        return False
    return all(
        (
            _one(filters, "type", lambda value: value == "container"),
            _one(filters, "scope", lambda value: value == "local"),
            _one(filters, "event", lambda value: _same_action(document["Action"], value)),
            _one(filters, "container", lambda value: _is(document, attributes, value)),
            _one(filters, "image", lambda value: _same_image(attributes["image"], value)),
            _one(filters, "node", lambda value: value == attributes["node"]),
            _one(filters, "nodes", lambda value: value == attributes["node"]),
            all(label_matches(attributes, value) for value in filters.get("label", ())),
        )
    )


def _one(filters: Filters, key: str, test: Any) -> bool:
    return key not in filters or any(test(value) for value in filters[key])


def _same_action(action: str, value: str) -> bool:
    return action == value or action.startswith(f"{value}:")  # `health_status: healthy`


def _is(document: dict[str, Any], attributes: dict[str, str], value: str) -> bool:
    name = value.removeprefix("/")
    return name == attributes["name"] or (bool(value) and document["id"].startswith(value))


def _same_image(image: str, value: str) -> bool:
    wanted, actual = parse_reference(value), parse_reference(image)
    if image == value or wanted is None or actual is None:
        return image == value
    return wanted.repository == actual.repository and (
        wanted.tag == actual.tag or ":" not in value.rpartition("/")[2]
    )


def moment(text: str, name: str) -> int:
    """Wall clock ns of seconds since 1970 (with a fraction) or RFC 3339; 0 for none. Raises
    BadRequest."""
    if not text:
        return 0
    seconds, dot, fraction = text.partition(".")
    if seconds.isdecimal() and (not dot or fraction.isdecimal()):
        return int(seconds) * NANOS + int((fraction or "0")[:9].ljust(9, "0"))
    try:
        return parse_time(text)
    except ValueError:
        raise BadRequest(f"invalid value for {name}: {text}") from None


async def _joined(
    first: "asyncio.Future[Happened]", rest: AsyncIterator[Happened]
) -> AsyncIterator[Happened]:
    try:
        yield await first
        async for event in rest:
            yield event
    except StopAsyncIteration:
        return


async def _after(past: list[Happened], coming: AsyncIterator[Happened]) -> AsyncIterator[Happened]:
    """The past, then what comes without what is in the past already."""
    seen = {(event.id, event.generation, event.seq) for event in past}
    for event in past:
        yield event
    async for event in coming:
        if (event.id, event.generation, event.seq) not in seen:
            yield event


async def _bounded(source: AsyncIterator[Happened], until: int) -> AsyncIterator[Happened]:
    """Items up to a moment (wall clock, ns), 0 for no bound."""
    while True:
        left = (until - time.time_ns()) / NANOS if until else None
        try:
            async with asyncio.timeout(left):
                event = await anext(source)
        except (TimeoutError, StopAsyncIteration):
            return
        yield event
