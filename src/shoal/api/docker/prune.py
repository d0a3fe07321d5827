"""Removing every container that does not run: `docker container prune`."""

import asyncio
import re
import time
from collections.abc import Iterable

import structlog
from aiohttp import web

from shoal.api.docker.events import moment
from shoal.api.docker.filters import Filters, check_known, label_matches, parse_filters
from shoal.api.docker.front import Front, reply
from shoal.api.docker.relay import checked
from shoal.api.docker.states import state_of
from shoal.engine.http import read_json
from shoal.engine.times import NANOS
from shoal.model.container import ContainerView
from shoal.model.errors import BadRequest, ShoalError
from shoal.model.ops import RemoveContainer

_STOPPED = frozenset(("created", "exited", "dead"))
_AT_ONCE = 8
_REMOVE_TIMEOUT = 60.0
#: A duration as Go writes it: 1h30m, 1.5s.
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s))+\Z")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}

_log = structlog.get_logger(__name__)


class Prune:
    """Handler of `containers/prune`."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def containers(self, request: web.Request) -> web.Response:
        filters = parse_filters(request.query.get("filters"))
        chosen = stopped(await self._front.views(), filters, time.time_ns())
        gate = asyncio.Semaphore(_AT_ONCE)

        async def remove(view: ContainerView) -> int | None:
            async with gate:
                return await self._remove(view)

        freed = await asyncio.gather(*(remove(view) for view in chosen))
        gone = [view.id for view, size in zip(chosen, freed, strict=True) if size is not None]
        return reply(
            {"ContainersDeleted": gone or None, "SpaceReclaimed": sum(filter(None, freed))}
        )

    async def _remove(self, view: ContainerView) -> int | None:
        """Bytes that it had written; None when it could not be removed, as one that has been
        started meanwhile."""
        size = await self._size(view)
        try:
            await self._front.do(RemoveContainer(view.id), timeout=_REMOVE_TIMEOUT)
        except ShoalError as error:
            _log.warning("not_pruned", container=view.name, error=error.text)
            return None
        return size

    async def _size(self, view: ContainerView) -> int:
        try:
            port, path = self._front.engine(view)
            upstream = await port.request("GET", f"{path}/json", params={"size": "1"})
            document = await read_json(await checked(upstream, view, path))
        except ShoalError:  # the removal says what is wrong
            return 0
        return int(document.get("SizeRw") or 0)


def stopped(views: Iterable[ContainerView], filters: Filters, now: int) -> list[ContainerView]:
    """Those to be removed: they do not run, their hosts are there, and all filters hold. `now`:
    wall clock, ns. Raises BadRequest."""
    check_known(filters, ("label", "label!", "until"))
    until = _until(filters.get("until", []), now)
    return [
        view
        for view in views
        if state_of(view) in _STOPPED
        and view.status.phase != "creating"
        and not view.unreachable_since
        and (not until or view.spec.created <= until)
        and _labels_fit(view, filters)
    ]


def _until(values: list[str], now: int) -> int:
    if not values:
        return 0
    if len(values) > 1:
        raise BadRequest("more than one until filter specified")
    text = values[0]
    if _DURATION.match(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        return now - int(seconds * NANOS)
    return moment(f"{text}T00:00:00" if _DATE.match(text) else text, "until")


def _labels_fit(view: ContainerView, filters: Filters) -> bool:
    labels = view.spec.body.get("Labels") or {}
    unwanted = filters.get("label!", [])
    return all(label_matches(labels, value) for value in filters.get("label", [])) and not (
        unwanted and all(label_matches(labels, value) for value in unwanted)
    )
