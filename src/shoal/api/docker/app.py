"""The Docker Engine API as an aiohttp application."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog
from aiohttp import web

from shoal import __version__
from shoal.api.docker.archive import Archive
from shoal.api.docker.containers import Containers
from shoal.api.docker.events import Events
from shoal.api.docker.execs import Execs
from shoal.api.docker.front import BODY_LIMIT, Front, failure, reply
from shoal.api.docker.image_files import ImageFiles
from shoal.api.docker.images import ImageCatalogue, Images
from shoal.api.docker.later import refusal
from shoal.api.docker.lifecycle import Lifecycle
from shoal.api.docker.pausing import Pausing
from shoal.api.docker.prune import Prune
from shoal.api.docker.relay import ClientGone, abort
from shoal.api.docker.streams import Streams
from shoal.api.docker.system import OLDEST_API, System, api_number
from shoal.api.docker.watching import Watching
from shoal.model.errors import BadRequest, ShoalError
from shoal.node.service import Service

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Route(NamedTuple):
    """An endpoint, its path without a version."""

    method: str
    path: str
    handler: Handler


_log = structlog.get_logger(__name__)
_STARTED = web.RequestKey("started", bool)
#: Nobody reads it; it is what access logs of other servers say.
_CLIENT_GONE = 499
_ONE = "/containers/{ref}"
_VERSION = r"/v{version:\d+\.\d+}"


def make_app(service: Service, *, vcluster: str, node_name: str) -> web.Application:
    """The API of one vcluster on one node. Serve it on a socket that only its users may open."""
    front = Front(service, vcluster, node_name)
    system = System(front)
    app = web.Application(middlewares=[_errors, _versions(system)], client_max_size=BODY_LIMIT)
    app.on_response_prepare.append(_signature(system))
    for route in (*served(front, system), *passed_on(front)):
        app.router.add_route(route.method, route.path, route.handler)
        app.router.add_route(route.method, _VERSION + route.path, route.handler)
    app.router.add_route("*", _VERSION + "/{rest:.*}", _nothing)
    app.router.add_route("*", "/{rest:.*}", _nothing)
    return app


def served(front: Front, system: System) -> list[Route]:
    """What the cloud answers itself."""
    catalogue = ImageCatalogue(front)
    containers, images = Containers(front, catalogue), Images(front, catalogue)
    lifecycle, events = Lifecycle(front), Events(front)
    files = ImageFiles(front, images)
    return [
        Route("GET", "/_ping", system.ping),
        Route("HEAD", "/_ping", system.ping),
        Route("GET", "/version", system.version),
        Route("GET", "/info", system.info),
        Route("GET", "/events", events.follow),
        Route("POST", "/containers/create", containers.create),
        Route("GET", "/containers/json", containers.list),
        Route("POST", "/containers/prune", Prune(front).containers),
        Route("GET", f"{_ONE}/json", containers.inspect),
        Route("POST", f"{_ONE}/start", lifecycle.start),
        Route("POST", f"{_ONE}/stop", lifecycle.stop),
        Route("POST", f"{_ONE}/restart", lifecycle.restart),
        Route("POST", f"{_ONE}/kill", lifecycle.kill),
        Route("POST", f"{_ONE}/wait", lifecycle.wait),
        Route("POST", f"{_ONE}/rename", lifecycle.rename),
        Route("DELETE", _ONE, lifecycle.remove),
        Route("GET", "/images/json", images.list),
        Route("POST", "/images/create", images.create),
        Route("GET", "/images/{image:.+}/json", images.inspect),
        Route("POST", "/images/load", files.load),
        Route("GET", "/images/get", files.save),
        Route("GET", "/images/{image:.+}/get", files.save_one),
    ]


def passed_on(front: Front) -> list[Route]:
    """What the engine of the container's host answers, in the user's words."""
    streams, execs = Streams(front), Execs(front)
    archive, watching, pausing = Archive(front), Watching(front), Pausing(front)
    return [
        Route("GET", f"{_ONE}/logs", streams.logs),
        Route("POST", f"{_ONE}/attach", streams.attach),
        Route("POST", f"{_ONE}/resize", streams.resize),
        Route("POST", f"{_ONE}/pause", pausing.pause),
        Route("POST", f"{_ONE}/unpause", pausing.unpause),
        Route("POST", f"{_ONE}/exec", execs.create),
        Route("POST", "/exec/{id}/start", execs.start),
        Route("POST", "/exec/{id}/resize", execs.resize),
        Route("GET", "/exec/{id}/json", execs.inspect),
        Route("GET", f"{_ONE}/archive", archive.get),
        Route("HEAD", f"{_ONE}/archive", archive.head),
        Route("PUT", f"{_ONE}/archive", archive.put),
        Route("GET", f"{_ONE}/export", archive.export),
        Route("GET", f"{_ONE}/top", watching.top),
        Route("GET", f"{_ONE}/changes", watching.changes),
        Route("GET", f"{_ONE}/stats", watching.stats),
    ]


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Docker's status and JSON for every error; nothing of our inside reaches the client."""
    try:
        return await handler(request)
    except ShoalError as error:
        answer = failure(error)
    except web.HTTPException as error:
        answer = reply({"message": error.reason}, error.status)
    except (ClientGone, ConnectionError):
        answer = web.Response(status=_CLIENT_GONE)
    except Exception:
        _log.exception("docker_api_failed", method=request.method, path=request.path)
        line = f"internal error in {request.method} {request.path}: see the daemon's log"
        answer = reply({"message": line}, 500)
    if _STARTED in request:
        abort(request)  # a second answer within the first would be taken for its content
    return answer


def _versions(system: System) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = request.match_info.get("version")
        newest = system.api_version()
        if asked and api_number(asked) > api_number(newest):
            raise BadRequest(
                f"client version {asked} is too new. Maximum supported API version is {newest}"
            )
        if asked and api_number(asked) < api_number(OLDEST_API):
            raise BadRequest(
                f"client version {asked} is too old. Minimum supported API version is "
                f"{OLDEST_API}, please upgrade your client to a newer version"
            )
        return await handler(request)

    return check


def _signature(
    system: System,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def sign(request: web.Request, response: web.StreamResponse) -> None:
        request[_STARTED] = True
        response.headers["Api-Version"] = system.api_version()
        response.headers["Docker-Experimental"] = "false"
        response.headers["Ostype"] = "linux"
        response.headers["Server"] = f"Shoal/{__version__} (linux)"

    return sign


async def _nothing(request: web.Request) -> web.StreamResponse:
    raise refusal(request.method, request.match_info["rest"])
