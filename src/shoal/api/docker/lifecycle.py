"""Start, stop, kill, restart, wait and remove."""

import asyncio
from typing import get_args

import msgspec
from aiohttp import web

from shoal.api.docker.front import Front, flag, integer
from shoal.api.docker.refusals import check_name, check_signal
from shoal.api.docker.relay import ClientGone, start_stream, while_connected
from shoal.model.errors import BadRequest, NotSupported, ShoalError
from shoal.model.ops import Action, Done, Operate, RemoveContainer, RenameContainer
from shoal.node.service import WaitCondition

#: A start may first have to move an image to another host, seconds.
START_TIMEOUT = 600.0
#: What a stop may take on top of the grace that it gives the container, seconds.
SLACK = 60.0
#: The grace where the request names none: a container's own may be long, seconds.
UNNAMED_GRACE = 600
_FOREVER = 24 * 3600
#: The exit code by which the stock client says that Docker itself failed.
FAILED = 125


class Lifecycle:
    """Handlers for what changes a container's state."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def start(self, request: web.Request) -> web.Response:
        return await self._operate(request, "start", START_TIMEOUT)

    async def stop(self, request: web.Request) -> web.Response:
        return await self._operate(request, "stop", SLACK)

    async def restart(self, request: web.Request) -> web.Response:
        return await self._operate(request, "restart", SLACK)

    async def kill(self, request: web.Request) -> web.Response:
        return await self._operate(request, "kill", SLACK)

    async def remove(self, request: web.Request) -> web.Response:
        if flag(request, "link"):
            raise NotSupported("shoal: links are not there yet")
        operation = RemoveContainer(
            request.match_info["ref"], force=flag(request, "force"), volumes=flag(request, "v")
        )
        await self._front.do(operation, timeout=SLACK)
        return web.Response(status=204)

    async def rename(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "").removeprefix("/")
        if not name:
            raise BadRequest("Neither old nor new names may be empty")
        check_name(name)
        # By its id: when this is sent again, the old name may be gone already.
        view = await self._front.view(request.match_info["ref"])
        await self._front.do(RenameContainer(view.id, name))
        return web.Response(status=204)

    async def wait(self, request: web.Request) -> web.StreamResponse:
        """Headers leave at once: the stock client starts the container only then."""
        condition = _condition(request.query.get("condition", ""))
        view = await self._front.view(request.match_info["ref"])
        service, vcluster = self._front.service, self._front.vcluster
        waiting = asyncio.ensure_future(
            service.wait(vcluster, view.id, condition, exits=view.status.exits)
        )
        try:
            response = await start_stream(request, "application/json")
            outcome = await while_connected(request, waiting)
            document: dict[str, object] = {"StatusCode": outcome.exit_code}
            if outcome.error:
                document["Error"] = {"Message": outcome.error}
        except ShoalError as error:  # too late for another status
            document = {"StatusCode": FAILED, "Error": {"Message": error.text}}
        except (ClientGone, ConnectionError):
            return response
        finally:
            waiting.cancel()
        await response.write(msgspec.json.encode(document) + b"\n")
        return response

    async def _operate(self, request: web.Request, action: Action, slack: float) -> web.Response:
        signal = request.query.get("signal", "")
        if signal:
            check_signal(signal)
        grace = integer(request, "t")
        operation = Operate(request.match_info["ref"], action, timeout=grace, signal=signal)
        answer = await self._front.do(operation, timeout=slack + _seconds(action, grace))
        assert isinstance(answer, Done)
        return web.Response(status=204 if answer.changed or action == "kill" else 304)


def _seconds(action: Action, grace: int | None) -> float:
    if action not in {"stop", "restart"}:
        return 0
    if grace is None:
        return UNNAMED_GRACE
    return grace if grace >= 0 else _FOREVER


def _condition(text: str) -> WaitCondition:
    if not text:
        return "not-running"
    if text not in get_args(WaitCondition):
        raise BadRequest(f'invalid condition: "{text}"')
    return text  # type: ignore[return-value] # one of the three, as just checked
