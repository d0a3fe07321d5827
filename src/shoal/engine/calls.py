"""Carrying out EngineCalls: idempotent, bounded, never raising."""

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from shoal.core.effects import EngineCall
from shoal.core.events import EngineContainer, EngineResult
from shoal.engine.http import EngineAway, HttpPort, error_text, read_json
from shoal.engine.images import ImageStore
from shoal.engine.observe import container_of
from shoal.engine.translate import create_body, engine_words
from shoal.model.errors import EngineError, ShoalError, Unavailable

#: What an engine may take for a call on top of the time that the call itself allows, seconds.
SLACK = 60.0
#: Docker's own grace between SIGTERM and SIGKILL, seconds.
STOP_GRACE = 10
#: How long another's removal of the same container may take, seconds.
_REMOVAL = 30.0
#: What a call may still take once the engine has told the event that it is about, seconds.
_ANSWER = 1.0


class Calls:
    """Performs calls at one engine for one node of one cloud."""

    def __init__(self, port: HttpPort, images: ImageStore, *, cloud: str, node: str) -> None:
        self._port = port
        self._images = images
        self._cloud = cloud
        self._node = node
        #: By the container's name: calls that end with a look at the container.
        self._under_way: dict[str, asyncio.Future[EngineContainer | None]] = {}

    async def outcome(self, name: str) -> EngineContainer | None:
        """The container as the call under way leaves it, None when there is no such call or it
        fails. An event that the call causes need not look again, nor overtake its answer."""
        call = self._under_way.get(name)
        if call is None:
            return None
        done, _ = await asyncio.wait([call], timeout=_ANSWER)
        return call.result() if done else None

    async def perform(self, call: EngineCall) -> EngineResult:
        """See Engine.perform."""
        ended = self._under_way[call.name] = asyncio.get_running_loop().create_future()
        container = None
        try:
            container = await self._perform(call)
        except EngineAway as error:
            return _failed(call, 503, error.text)
        except Unavailable as error:
            return _failed(call, 0, error.text)
        except ShoalError as error:
            return _failed(call, error.status, engine_words(error.text, call))
        finally:
            ended.set_result(container)
            if self._under_way.get(call.name) is ended:
                del self._under_way[call.name]
        return EngineResult(call.call, call.action, call.id, ok=True, container=container)

    async def _perform(self, call: EngineCall) -> EngineContainer | None:
        match call.action:
            case "create":
                return await self._create(call)
            case "remove":
                await self._remove(call)
                return None
            case "fetch":
                await self._images.fetch(call.image_id, call.image, call.image_holders)
                return None
            case "inspect":
                pass
            case "kill":
                params = {"signal": call.signal} if call.signal else {}
                await self._post(call, "kill", params, fine=(204, 409))
            case "start":
                await self._post(call, "start", {})
            case "stop" | "restart":
                params = {} if call.timeout is None else {"t": str(call.timeout)}
                if call.signal:
                    params["signal"] = call.signal
                await self._post(call, call.action, params)
        return await self._inspect(call)

    async def _post(
        self,
        call: EngineCall,
        verb: str,
        params: dict[str, str],
        *,
        fine: tuple[int, ...] = (204, 304),
    ) -> None:
        grace = STOP_GRACE if call.timeout is None else max(call.timeout, 0)
        response = await self._port.request(
            "POST", f"/containers/{call.name}/{verb}", params=params, timeout=grace + SLACK
        )
        if response.status in fine:
            response.close()
            return
        raise EngineError(await error_text(response), response.status)

    async def _create(self, call: EngineCall) -> EngineContainer:
        body = create_body(call, cloud=self._cloud, node=self._node)
        status, text = await self._try_create(call, body)
        if status == 404:  # the image, the only thing that a create can miss
            await self._images.fetch(call.image_id, call.image, call.image_holders)
            status, text = await self._try_create(call, body)
        if status == 409:
            return await self._already_there(call, text)
        if status >= 400:
            raise EngineError(text, status)
        return await self._inspect(call)

    async def _try_create(self, call: EngineCall, body: Mapping[str, Any]) -> tuple[int, str]:
        response = await self._port.request(
            "POST", "/containers/create", params={"name": call.name}, json=body, timeout=SLACK
        )
        status = response.status
        if status < 400:
            response.close()
            return status, ""
        return status, await error_text(response)

    async def _already_there(self, call: EngineCall, text: str) -> EngineContainer:
        """The container under our name, if it is this very placement. Raises EngineError."""
        container = await self._inspect(call)
        if container.id != call.id or container.generation != call.generation:
            raise EngineError(text, 409)
        return container

    async def _inspect(self, call: EngineCall) -> EngineContainer:
        response = await self._port.request("GET", f"/containers/{call.name}/json")
        return container_of(await read_json(response), self._cloud)

    async def _remove(self, call: EngineCall) -> None:
        if call.timeout:
            await self._post(call, "stop", {"t": str(call.timeout)}, fine=(204, 304, 404))
        params = {"force": "1", "v": "1" if call.volumes else "0"}
        response = await self._port.request(
            "DELETE", f"/containers/{call.name}", params=params, timeout=SLACK
        )
        if response.status in {204, 404}:
            response.close()
            return
        status, text = response.status, await error_text(response)
        if status != 409:
            raise EngineError(text, status)
        await self._gone(call, text)

    async def _gone(self, call: EngineCall, text: str) -> None:
        """Wait for a removal that is under way already. Raises EngineError when it takes long."""
        try:
            async with asyncio.timeout(_REMOVAL):
                response = await self._port.request(
                    "POST", f"/containers/{call.name}/wait", params={"condition": "removed"}
                )
                async with response:
                    await response.read()
        except TimeoutError:
            raise EngineError(text, 409) from None
        except aiohttp.ClientError as error:
            raise Unavailable(f"the container engine went away: {error}") from error


def _failed(call: EngineCall, status: int, text: str) -> EngineResult:
    return EngineResult(call.call, call.action, call.id, ok=False, status=status, error=text)
