"""Create, list and inspect."""

import secrets
import time

from aiohttp import web

from shoal.api.docker.create import ImageFacts, Surroundings, platform_architecture, spec_of
from shoal.api.docker.fields import CreateFields, read_fields
from shoal.api.docker.filters import parse_filters, select
from shoal.api.docker.front import Front, flag, integer, json_body, reply
from shoal.api.docker.images import ImageCatalogue
from shoal.api.docker.inspection import from_engine, from_view
from shoal.api.docker.listing import summary
from shoal.api.docker.namegen import invent_name
from shoal.api.docker.refusals import check, check_name
from shoal.api.docker.relay import checked
from shoal.model.container import ContainerSpec, ContainerView
from shoal.model.errors import Conflict, NotFound, NotSupported, Unavailable
from shoal.model.ops import CreateContainer, Created

#: An image may have to be fetched from a peer first, seconds.
CREATE_TIMEOUT = 900.0
#: Inventing a free name fails only in a very full vcluster.
_NAME_ATTEMPTS = 8


class Containers:
    """Handlers for containers as a whole."""

    def __init__(self, front: Front, images: ImageCatalogue) -> None:
        self._front = front
        self._images = images

    async def create(self, request: web.Request) -> web.Response:
        """Nothing happens before the whole request has been checked."""
        body = await json_body(request)
        name = request.query.get("name", "").removeprefix("/")
        if name:
            check_name(name)
        wanted = platform_architecture(request.query.get("platform", ""))
        fields = read_fields(body)
        check(fields)
        image = await self._image(fields, wanted)
        spec = spec_of(body, fields, image, self._surroundings(), architecture=wanted)
        created = await self._create(name, spec)
        return reply({"Id": created.id, "Warnings": list(created.warnings)}, 201)

    async def _create(self, name: str, spec: ContainerSpec) -> Created:
        for attempt in range(_NAME_ATTEMPTS):
            chosen = name or invent_name(attempt)
            operation = CreateContainer(secrets.token_hex(32), chosen, spec)
            try:
                answer = await self._front.do(operation, timeout=CREATE_TIMEOUT)
            except Conflict as error:
                last = attempt == _NAME_ATTEMPTS - 1
                if name or last or chosen not in error.text:
                    raise
            else:
                assert isinstance(answer, Created)
                return answer
        raise AssertionError("BUG: the last attempt neither returned nor raised")

    async def _image(self, fields: CreateFields, wanted: str) -> ImageFacts:
        """Raises NotFound, on which the stock client pulls."""
        facts = await self._images.facts(fields.image)
        if wanted and facts.architecture and wanted != facts.architecture:
            raise NotFound(
                f"image with reference {fields.image} was found but does not match the specified "
                f"platform: wanted linux/{wanted}, actual: linux/{facts.architecture}"
            )
        return facts

    def _surroundings(self) -> Surroundings:
        infos = [member.info for member in self._front.service.members() if member.state != "left"]
        return Surroundings(
            here=self._front.service.node_id,
            nodes={key: info.id for info in infos for key in (info.name, info.id, info.id[:12])},
            node_names={info.id: info.name for info in infos},
            now=time.time_ns(),
        )

    async def list(self, request: web.Request) -> web.Response:
        filters = parse_filters(request.query.get("filters"))
        if flag(request, "size"):
            raise NotSupported("shoal: sizes (docker ps --size) are not there yet")
        views = select(
            await self._front.views(),
            filters,
            everything=flag(request, "all"),
            limit=integer(request, "limit") or 0,
        )
        now = time.time_ns()
        return reply([summary(view, now) for view in views])

    async def inspect(self, request: web.Request) -> web.Response:
        if flag(request, "size"):
            raise NotSupported("shoal: sizes (docker inspect --size) are not there yet")
        view = await self._front.view(request.match_info["ref"])
        return reply(await self._document(view))

    async def _document(self, view: ContainerView) -> dict[str, object]:
        if view.status.phase == "creating":
            return from_view(view)
        try:
            port, path = self._front.engine(view)
            upstream = await port.request("GET", f"{path}/json")
        except Unavailable:
            return from_view(view)
        if upstream.status == 404:  # it is moving
            upstream.close()
            return from_view(view)
        async with await checked(upstream, view, path):
            return from_engine(view, await upstream.read())
