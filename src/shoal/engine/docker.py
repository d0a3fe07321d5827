"""A real engine behind a unix socket: Docker's, or Podman's Docker-compatible one."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from shoal.core.effects import EngineCall
from shoal.core.events import EngineChanged, EngineContainer, EngineResult, EngineSnapshot
from shoal.engine import names
from shoal.engine.base import ImagesChanged, PeerPort
from shoal.engine.calls import Calls
from shoal.engine.http import HttpPort, read_json, read_lines, socket_port
from shoal.engine.images import ImageStore
from shoal.engine.observe import after_event, container_of, from_attributes
from shoal.engine.times import NANOS, boot_time
from shoal.model.errors import EngineError, ShoalError
from shoal.model.node import EngineInfo
from shoal.model.resources import Capacity

#: Container events after which a container's state differs.
_LIFE = ("create", "start", "die", "stop", "kill", "restart", "oom", "destroy")
#: Those that come when the call that causes them has all but ended.
_BEGINNING = frozenset(["create", "start"])
_TELLING = frozenset((*_LIFE, "pause", "unpause", "rename", "update"))
_IMAGE_EVENTS = frozenset(["pull", "load", "import", "tag", "untag", "delete", "build"])
_INSPECTIONS_AT_ONCE = 8


class DockerEngine:
    """See Engine. `cloud` and `node` are the ids that our containers are labelled with; `peer`
    reaches other nodes' engines for images."""

    def __init__(
        self, socket_url: str, *, cloud: str, node: str, peer: PeerPort | None = None
    ) -> None:
        self._port = socket_port(socket_url)
        self._cloud = cloud
        self._images = ImageStore(self._port, peer)
        self._calls = Calls(self._port, self._images, cloud=cloud, node=node)
        # Events are asked for from here on, so that none falls between two connections.
        self._heard = time.time_ns()

    def port(self) -> HttpPort:
        return self._port

    async def close(self) -> None:
        await self._port.close()

    async def perform(self, call: EngineCall) -> EngineResult:
        return await self._calls.perform(call)

    async def snapshot(self) -> EngineSnapshot:
        began = boot_time()
        try:
            info, capacity, architecture = await self.info()
            containers = await self._containers()
            images = await self._images.inventory()
        except ShoalError:
            return EngineSnapshot(info=EngineInfo(up=False), began=began)
        return EngineSnapshot(
            info=info,
            began=began,
            containers=containers,
            images=images,
            capacity=capacity,
            architecture=architecture,
        )

    async def info(self) -> tuple[EngineInfo, Capacity, str]:
        """Version, capacity and architecture (as Docker names it). Raises ShoalError."""
        self._port.forget_version()
        version = await self._get("/version")
        info = await self._get("/info")
        engine = EngineInfo(
            up=True,
            version=version.get("Version", ""),
            api_version=version.get("ApiVersion", "0.0"),
            min_api_version=version.get("MinAPIVersion", "0.0"),
            storage_driver=info.get("Driver", ""),
            cgroup_version=info.get("CgroupVersion", ""),
            kernel=info.get("KernelVersion", ""),
            os_name=info.get("OperatingSystem", ""),
        )
        capacity = Capacity(int(info.get("NCPU", 0)) * 1000, int(info.get("MemTotal", 0)))
        return engine, capacity, version.get("Arch", "")

    async def events(self) -> AsyncIterator[EngineChanged | ImagesChanged]:
        seconds, nanos = divmod(self._heard + 1, NANOS)
        params = {
            "since": f"{seconds}.{nanos:09d}",
            "filters": '{"type":["container","image"]}',
        }
        try:
            response = await self._port.request("GET", "/events", params=params)
        except ShoalError:
            return
        async with response:
            if response.status != 200:
                return
            async for document in read_lines(response):
                self._heard = max(self._heard, int(document.get("timeNano") or 0))
                change = await self._change(document)
                if change is not None:
                    yield change

    async def _change(self, document: dict[str, Any]) -> EngineChanged | ImagesChanged | None:
        action = document.get("Action", "")
        moment = int(document.get("timeNano") or 0)
        if document.get("Type") == "image":
            known = action in _IMAGE_EVENTS
            return ImagesChanged(action, moment) if known else None
        attributes = (document.get("Actor") or {}).get("Attributes") or {}
        ours = attributes.get(names.CLOUD) == self._cloud and names.ID in attributes
        if not ours or not (action in _TELLING or action.startswith("health_status")):
            return None
        now = await self._calls.outcome(attributes["name"]) if action in _BEGINNING else None
        container = after_event(now or await self._now(attributes), action, moment, attributes)
        return EngineChanged(action, container, moment, names.visible_labels(attributes))

    async def _now(self, attributes: dict[str, str]) -> EngineContainer:
        """State of an event's container, or what the event says when it is gone."""
        try:
            path = f"/containers/{attributes['name']}/json"
            return container_of(await self._get(path), self._cloud)
        except ShoalError:
            return from_attributes(attributes)

    async def _containers(self) -> tuple[EngineContainer, ...]:
        listed = await self._get("/containers/json", all="1")
        gate = asyncio.Semaphore(_INSPECTIONS_AT_ONCE)

        async def look(identifier: str) -> EngineContainer | None:
            async with gate:
                return await self._look(identifier)

        found = await asyncio.gather(*(look(item["Id"]) for item in listed))
        return tuple(container for container in found if container is not None)

    async def _look(self, identifier: str) -> EngineContainer | None:
        try:
            return container_of(await self._get(f"/containers/{identifier}/json"), self._cloud)
        except EngineError as error:
            if error.status == 404:  # removed since it was listed
                return None
            raise

    async def _get(self, path: str, **params: str) -> Any:
        return await read_json(await self._port.request("GET", path, params=params or None))
