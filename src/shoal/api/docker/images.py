"""Images of the cloud: what its nodes hold together, and pulling."""

from collections import OrderedDict
from collections.abc import AsyncIterator
from fnmatch import fnmatchcase
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from shoal.api.docker.create import ImageFacts, platform_architecture
from shoal.api.docker.filters import Filters, check_known, parse_filters
from shoal.api.docker.front import Front, reply
from shoal.api.docker.relay import abort, passed, pieces, start_stream
from shoal.core.placement import ClusterView, PlacementRequest, rank
from shoal.engine.http import error_text, read_json
from shoal.model.errors import BadRequest, EngineError, NotFound, NotSupported, Unavailable
from shoal.model.node import ImageInfo, NodeInfo
from shoal.model.ops import TagImage
from shoal.model.reference import Reference, is_image_id, parse_reference

#: Image documents kept in memory; an id names its content, so they never grow old.
_CACHED = 512
#: Until the engine's first word about a pull: the registry may be slow, seconds.
PULL_TIMEOUT = 120.0
#: The filters that the nodes' inventory can answer.
_FILTERS = ("reference", "dangling", "before", "since")


class ImageCatalogue:
    """What the cloud knows of its images."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._facts: OrderedDict[str, ImageFacts] = OrderedDict()

    async def facts(self, reference: str) -> ImageFacts:
        """The image that a reference stands for. Raises NotFound, Unavailable."""
        info, holders = await self._front.service.resolve_image(self._front.vcluster, reference)
        if info.id in self._facts:
            self._facts.move_to_end(info.id)
            return self._facts[info.id]
        try:
            document = await self.document(info, holders)
        except Unavailable:  # the hosts decide later; only the command stays unknown
            return ImageFacts(info.id, info.architecture)
        config = document.get("Config") or {}
        facts = ImageFacts(
            id=info.id,
            architecture=document.get("Architecture") or info.architecture,
            entrypoint=tuple(config.get("Entrypoint") or ()),
            cmd=tuple(config.get("Cmd") or ()),
        )
        self._facts[info.id] = facts
        while len(self._facts) > _CACHED:
            self._facts.popitem(last=False)
        return facts

    async def document(self, info: ImageInfo, holders: list[str]) -> dict[str, Any]:
        """The inspect document from the first holder that answers. Raises Unavailable."""
        here = self._front.service.node_id
        problem = "no live node holds it"
        for node in sorted(holders, key=lambda holder: holder != here):
            try:
                port = self._front.service.engine(node)
                document = await read_json(await port.request("GET", f"/images/{info.id}/json"))
            except (Unavailable, EngineError) as error:
                problem = error.text
            else:
                assert isinstance(document, dict)
                return document
        raise Unavailable(f"image {info.id} cannot be read: {problem}")

    def all(self) -> list[ImageInfo]:
        """Every image of a live node, tags joined, newest first."""
        found: dict[str, ImageInfo] = {}
        for member in self._front.live():
            for image in member.info.images:
                known = found.get(image.id, image)
                tags = tuple(sorted({*known.tags, *image.tags}))
                found[image.id] = msgspec.structs.replace(known, tags=tags)
        return sorted(found.values(), key=lambda image: (-image.created, image.id))


class Images:
    """Handlers for images."""

    def __init__(self, front: Front, catalogue: ImageCatalogue) -> None:
        self._front = front
        self._catalogue = catalogue

    async def list(self, request: web.Request) -> web.Response:
        filters = parse_filters(request.query.get("filters"))
        if "filter" in request.query:  # the form before API 1.25
            filters.setdefault("reference", []).append(request.query["filter"])
        check_known(filters, (*_FILTERS, "label", "until"))
        for key in ("label", "until"):
            if key in filters:
                raise NotSupported(f"shoal: the image filter {key} is not there yet")
        return reply([_summary(image) for image in _selected(self._catalogue.all(), filters)])

    async def inspect(self, request: web.Request) -> web.Response:
        reference = request.match_info["image"]
        service = self._front.service
        info, holders = await service.resolve_image(self._front.vcluster, reference)
        return reply(await self._catalogue.document(info, holders))

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Pull to a node that has room for what comes next; others take it from there."""
        if "fromSrc" in request.query:
            raise NotSupported("shoal: importing images is not there yet")
        reference = _wanted(request)
        architecture = platform_architecture(request.query.get("platform", ""))
        node = self.node_with_room(reference.familiar, architecture)
        port = self._front.service.engine(node.id)
        auth = request.headers.get("X-Registry-Auth")
        upstream = await port.request(
            "POST",
            "/images/create",
            params=passed(request, "fromImage", "tag", "platform"),
            headers={"X-Registry-Auth": auth} if auth else None,
            timeout=PULL_TIMEOUT,
        )
        async with upstream:
            if upstream.status >= 400:
                raise EngineError(await error_text(upstream), upstream.status)
            response = await start_stream(request, "application/json")
            await self._proxy_pull(request, response, upstream, reference, node)
        return response

    async def _proxy_pull(
        self,
        request: web.Request,
        response: web.StreamResponse,
        upstream: aiohttp.ClientResponse,
        reference: Reference,
        node: NodeInfo,
    ) -> None:
        failed = False
        try:
            async for line in pieces(request, _lines(upstream)):
                failed = failed or b'"error"' in line
                await response.write(line)
        except (aiohttp.ClientError, OSError):
            abort(request)
            return
        if failed:
            return
        try:
            await self.record(reference.familiar, node)
        except Unavailable as error:  # too late for another status
            problem = {"errorDetail": {"message": error.text}, "error": error.text}
            await response.write(msgspec.json.encode(problem) + b"\r\n")

    async def record(self, reference: str, node: NodeInfo) -> None:
        """Make the cloud know an image that a node has got. Raises Unavailable."""
        port = self._front.service.engine(node.id)
        path = f"/images/{reference}/json"
        try:
            document = await read_json(await port.request("GET", path))
        except EngineError as error:
            raise Unavailable(
                f"{reference} is not on {node.name}, which had just got it"
            ) from error
        await self._front.service.refresh(node.id)
        await self._front.do(TagImage(reference, document["Id"]))

    def node_with_room(self, reference: str, architecture: str) -> NodeInfo:
        """The live node that placement would choose for a container without wishes. Raises
        Unavailable."""
        live = {member.info.id: member.info for member in self._front.live()}
        view = ClusterView()
        for info in live.values():
            view.update(info, up=True)
        nodes = rank(PlacementRequest(architecture=architecture), view, reference, limit=1)
        if not nodes:
            what = f"of architecture {architecture} " if architecture else ""
            raise Unavailable(f"no live node {what}has a container engine to pull to")
        return live[nodes[0]]


async def _lines(upstream: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Whole lines, so that an error is recognised wherever the pieces break."""
    while line := await upstream.content.readline():
        yield line


def _wanted(request: web.Request) -> Reference:
    name, tag = request.query.get("fromImage", ""), request.query.get("tag", "")
    text = name
    if tag:
        text = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    reference = parse_reference(text)
    if reference is None:
        raise BadRequest(f"invalid reference format: {text!r}")
    return reference


def _summary(image: ImageInfo) -> dict[str, Any]:
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Created": image.created,
        "Size": image.size,
        "VirtualSize": image.size,
        "SharedSize": -1,
        "Containers": -1,
        "Labels": {},
    }


def _selected(images: list[ImageInfo], filters: Filters) -> list[ImageInfo]:
    found = images
    if "dangling" in filters:
        wanted = filters["dangling"][-1:] in (["true"], ["1"])
        found = [image for image in found if (not image.tags) == wanted]
    if filters.get("reference"):
        found = [image for image in found if _tagged(image, filters["reference"])]
        found = [_only_tags(image, filters["reference"]) for image in found]
    for key in ("before", "since"):
        for reference in filters.get(key, ()):
            born = _find(images, reference).created
            found = [
                image
                for image in found
                if (image.created < born if key == "before" else image.created > born)
            ]
    return found


def _tag_matches(tag: str, pattern: str) -> bool:
    """A shell pattern for the repository, or for the whole of `repository:tag`."""
    repository = tag.rpartition(":")[0]
    return fnmatchcase(tag, pattern) or fnmatchcase(repository, pattern)


def _tagged(image: ImageInfo, patterns: list[str]) -> bool:
    return any(_tag_matches(tag, pattern) for tag in image.tags for pattern in patterns)


def _only_tags(image: ImageInfo, patterns: list[str]) -> ImageInfo:
    tags = tuple(tag for tag in image.tags if any(_tag_matches(tag, p) for p in patterns))
    return msgspec.structs.replace(image, tags=tags)


def _find(images: list[ImageInfo], reference: str) -> ImageInfo:
    name = parse_reference(reference)
    for image in images:
        if name is not None and name.familiar in image.tags:
            return image
        if is_image_id(reference) and image.id.endswith(reference):
            return image
    raise NotFound(f"No such image: {reference}")
