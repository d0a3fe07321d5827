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
_CHUNK = 1 << 18


class ImageStore:
    """Images of the engine behind `port`; fetches missing ones, one transfer an image."""

    def __init__(self, port: HttpPort, peer: PeerPort | None) -> None:
        self._port = port
        self._peer = peer
        self._architectures: dict[str, str] = {}
        self._transfers: dict[str, asyncio.Lock] = {}

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
        does, Unavailable when this engine does not answer."""
        lock = self._transfers.setdefault(image_id, asyncio.Lock())
        try:
            async with lock:
                if not await self.has(image_id):
                    await self._from_any(image_id, reference, holders)
                await self._tag(image_id, reference)
        finally:
            if not lock.locked():
                self._transfers.pop(image_id, None)

    async def _from_any(self, image_id: str, reference: str, holders: Sequence[str]) -> None:
        problems = []
        for holder in holders if self._peer is not None else ():
            try:
                await self._copy(image_id, holder)
            except ShoalError as error:
                problems.append(f"{short(holder)}: {error.text}")
            else:
                return
        told = f" (asked {'; '.join(problems)})" if problems else ""
        raise NotFound(f"No such image: {reference or image_id}{told}")

    async def _copy(self, image_id: str, holder: str) -> None:
        """One transfer, streamed from engine to engine. Raises ShoalError."""
        assert self._peer is not None
        source = await self._peer(holder).request("GET", f"/images/{image_id}/get")
        async with source:
            if source.status != 200:
                raise EngineError(await error_text(source), source.status)
            loaded = await self._port.request(
                "POST",
                "/images/load",
                params={"quiet": "1"},
                headers={"Content-Type": "application/x-tar"},
                data=_chunks(source),
                # The engine answers once it has read the archive; a stall ends it sooner.
                timeout=24 * 3600,
            )
            async with loaded:
                if loaded.status >= 400:
                    raise EngineError(await error_text(loaded), loaded.status)
                async for line in read_lines(loaded):
                    if "error" in line:
                        raise EngineError(str(line["error"]))
        if not await self.has(image_id):
            raise Unavailable(f"what it sent is not image {image_id}")

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


async def _chunks(source: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        while True:
            async with asyncio.timeout(STALL):
                chunk = await source.content.read(_CHUNK)
            if not chunk:
                return
            yield chunk
    except TimeoutError as error:
        raise ConnectionResetError("the transfer stalled") from error
