"""Images of one engine: what it holds, and fetching one from a peer's engine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp

from shoal.engine.base import PeerPort
from shoal.engine.http import HttpPort, error_text, read_json, read_lines
from shoal.model.errors import EngineError, NotFound, ShoalError, Unavailable
from shoal.model.ids import short
from shoal.model.node import ImageInfo
from shoal.model.reference import parse_reference

#: Longest pause within a transfer before another holder is tried, seconds.
STALL = 60.0
#: What the engine may take to unpack an image once it has all of it, seconds.
UNPACK = 600.0
_LONGEST = 24 * 3600.0
_CHUNK = 1 << 18


class ImageStore:
    """Images of the engine behind `port`; fetches missing ones, one transfer an image."""

    def __init__(self, port: HttpPort, peer: PeerPort | None) -> None:
        self._port = port
        self._peer = peer
        self._architectures: dict[str, str] = {}
        self._transfers: dict[str, asyncio.Task[None]] = {}

    async def inventory(self) -> tuple[ImageInfo, ...]:
        """Every image of the engine. Raises ShoalError."""
        listed = await read_json(await self._port.request("GET", "/images/json"))
        ids = {item["Id"] for item in listed}
        self._architectures = {key: v for key, v in self._architectures.items() if key in ids}
        return tuple([await self._info(item) for item in listed])

    async def _info(self, item: dict[str, Any]) -> ImageInfo:
        identifier = item["Id"]
        if identifier not in self._architectures:  # an id names its content: ask once
            path = f"/images/{identifier}/json"
            try:
                document = await read_json(await self._port.request("GET", path))
                self._architectures[identifier] = document.get("Architecture", "")
            except EngineError:  # removed in between
                pass
        tags = [tag for tag in item.get("RepoTags") or () if tag != "<none>:<none>"]
        return ImageInfo(
            id=identifier,
            tags=tuple(tags),
            size=int(item.get("Size") or 0),
            created=int(item.get("Created") or 0),
            architecture=self._architectures.get(identifier, ""),
        )

    async def has(self, reference: str) -> bool:
        """Whether the engine knows an id or reference. Raises Unavailable."""
        response = await self._port.request("GET", f"/images/{reference}/json")
        response.close()
        return response.status == 200

    async def fetch(self, image_id: str, reference: str, holders: Sequence[str]) -> None:
        """Have the image here, from the first holder that gives it. Raises NotFound when none
        has it, EngineError when none could give it, Unavailable when this engine is away."""
        transfer = self._transfers.get(image_id)
        if transfer is None:
            transfer = asyncio.create_task(self._fetch(image_id, reference, holders))
            self._transfers[image_id] = transfer
            transfer.add_done_callback(lambda _: self._transfers.pop(image_id))
        await asyncio.shield(transfer)  # others may wait for it as well

    async def _fetch(self, image_id: str, reference: str, holders: Sequence[str]) -> None:
        if not await self.has(image_id):
            await self._from_any(image_id, reference, holders)
        await self._tag(image_id, reference)

    async def _from_any(self, image_id: str, reference: str, holders: Sequence[str]) -> None:
        wanted = reference or image_id
        problems = []
        for holder in holders if self._peer is not None else ():
            try:
                await self._copy(image_id, holder)
            except NotFound:
                continue
            except ShoalError as error:
                problems.append(f"{short(holder)}: {error.text}")
            else:
                return
        if not problems:
            raise NotFound(f"No such image: {wanted}")
        # Not 404, at which the stock client would go and pull it.
        raise EngineError(f"image {wanted} could not be fetched: {'; '.join(problems)}", 503)

    async def _copy(self, image_id: str, holder: str) -> None:
        """One transfer, streamed from engine to engine. Raises ShoalError."""
        assert self._peer is not None
        peer = self._peer(holder)
        # Asked for an image that it lacks, Docker's export fails with 500.
        known = await peer.request("GET", f"/images/{image_id}/json")
        known.close()
        if known.status == 404:
            raise NotFound(f"no image {image_id}")
        source = await peer.request("GET", f"/images/{image_id}/get")
        async with source:
            if source.status != 200:
                raise EngineError(await error_text(source), source.status)
            try:
                async with asyncio.timeout(STALL) as limit:
                    await self._load(source, limit)
            except TimeoutError as error:
                raise Unavailable("the transfer stalled") from error
        if not await self.has(image_id):
            raise Unavailable(f"what it sent is not image {image_id}")

    async def _load(self, source: aiohttp.ClientResponse, limit: asyncio.Timeout) -> None:
        """Feed an archive to the engine; `limit` is put off with every piece that it takes."""
        loaded = await self._port.request(
            "POST",
            "/images/load",
            params={"quiet": "1"},
            headers={"Content-Type": "application/x-tar"},
            data=_chunks(source, limit),
            timeout=_LONGEST,
        )
        async with loaded:
            if loaded.status >= 400:
                raise EngineError(await error_text(loaded), loaded.status)
            async for line in read_lines(loaded):
                if "error" in line:
                    raise EngineError(str(line["error"]))

    async def _tag(self, image_id: str, reference: str) -> None:
        """Give a fetched image its name, unless that name already stands for another one here."""
        name = parse_reference(reference)
        if name is None or name.digest or await self.has(name.familiar):
            return
        response = await self._port.request(
            "POST",
            f"/images/{image_id}/tag",
            params={"repo": name.repository, "tag": name.tag},
        )
        response.close()


async def _chunks(source: aiohttp.ClientResponse, limit: asyncio.Timeout) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    while chunk := await source.content.read(_CHUNK):
        limit.reschedule(clock() + STALL)
        yield chunk
    limit.reschedule(clock() + UNPACK)
