"""Images as tar files: `docker load` and `docker save`."""

from urllib.parse import urlencode

import aiohttp
import msgspec
from aiohttp import web

from shoal.api.docker.front import Front
from shoal.api.docker.images import Images
from shoal.api.docker.relay import abort, lines, relay, start_stream, while_connected
from shoal.engine.http import error_text
from shoal.model.errors import BadRequest, EngineError, NotSupported, ShoalError
from shoal.model.node import NodeInfo
from shoal.model.reference import parse_reference

#: A load is answered when the file has been sent; a client that goes away ends it sooner, seconds.
_UPLOAD = 24 * 3600.0
_LOADED = "Loaded image: "


class ImageFiles:
    """Handlers that pass image files on, none of them held whole."""

    def __init__(self, front: Front, images: Images) -> None:
        self._front = front
        self._images = images

    async def load(self, request: web.Request) -> web.StreamResponse:
        """To a node that has room for what comes next; others take the images from there."""
        node = self._images.node_with_room("", "")
        upload = self._front.service.engine(node.id).request(
            "POST",
            "/images/load",
            params={"quiet": request.query.get("quiet", "0")},
            headers={"Content-Type": request.headers.get("Content-Type", "application/x-tar")},
            data=request.content,
            timeout=_UPLOAD,
        )
        upstream = await while_connected(request, upload)
        async with upstream:
            if upstream.status >= 400:
                raise EngineError(await error_text(upstream), upstream.status)
            response = await start_stream(request, "application/json")
            try:
                await self._report(request, response, upstream, node)
            except (aiohttp.ClientError, OSError):
                abort(request)
        return response

    async def _report(
        self,
        request: web.Request,
        response: web.StreamResponse,
        upstream: aiohttp.ClientResponse,
        node: NodeInfo,
    ) -> None:
        """Pass the engine's words on; each image is known to the cloud before it is told."""
        source = lines(upstream)
        while line := await while_connected(request, anext(source, b"")):
            for reference in _loaded(line):
                try:
                    await self._images.record(reference, node)
                except ShoalError as error:  # too late for another status
                    line = _problem(error.text)
            await response.write(line + b"\r\n")

    async def save_one(self, request: web.Request) -> web.StreamResponse:
        return await self._save(request, [request.match_info["image"]])

    async def save(self, request: web.Request) -> web.StreamResponse:
        return await self._save(request, request.query.getall("names", []))

    async def _save(self, request: web.Request, names: list[str]) -> web.StreamResponse:
        """Raises NotFound; NotSupported if no node holds all of them."""
        if not names:
            raise BadRequest("no image given: name one")
        service = self._front.service
        common = set.intersection(*[await self._holders(name) for name in names])
        if not common:
            raise NotSupported(
                f"shoal: no single node holds all of {', '.join(names)}: save them one by one"
            )
        node = service.node_id if service.node_id in common else min(common)
        query = urlencode([("names", name) for name in names])
        upstream = await service.engine(node).request("GET", f"/images/get?{query}")
        if upstream.status >= 400:
            raise EngineError(await error_text(upstream), upstream.status)
        return await relay(request, upstream)

    async def _holders(self, name: str) -> set[str]:
        """The nodes whose engines know an image by this name, or, if none does, have it."""
        _, nodes = await self._front.service.resolve_image(self._front.vcluster, name)
        reference = parse_reference(name)
        tagged = {
            member.info.id
            for member in self._front.live()
            for image in member.info.images
            if reference is not None and reference.familiar in image.tags
        }
        return tagged or set(nodes)


def _loaded(line: bytes) -> list[str]:
    """The references that a line of the engine says were loaded."""
    try:
        text = msgspec.json.decode(line).get("stream", "")
    except (msgspec.DecodeError, AttributeError):
        return []
    return [
        word.removeprefix(_LOADED).strip() for word in text.splitlines() if word.startswith(_LOADED)
    ]


def _problem(text: str) -> bytes:
    return msgspec.json.encode({"errorDetail": {"message": text}, "error": text})
