"""The native API as an aiohttp application; the node serves it on `shoal.sock`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from shoal.api.native.handlers import Handlers, reply
from shoal.api.native.journal import Journal
from shoal.api.native.openapi import describe
from shoal.api.native.operating import OperatorHandlers
from shoal.api.native.ports import AdminPort, StatusReport, TokenSummary
from shoal.api.native.routes import Handler, Query, Route
from shoal.api.native.wire import (
    ActionRequest,
    ContainerListing,
    DrainReport,
    EventLine,
    NodePatch,
    NodeSummary,
    Problem,
    TokenAnswer,
    TokenRequest,
)
from shoal.model.container import ContainerView
from shoal.model.errors import ShoalError
from shoal.model.ids import DEFAULT, vcluster_id
from shoal.model.ops import Done, Why
from shoal.node.doctor.findings import Examination
from shoal.node.service import Member, Service

_NODE = "/v1/nodes/{node}"
_VCLUSTER = "/v1/vclusters/{vcluster}"
_CONTAINERS = _VCLUSTER + "/containers"
_CONTAINER = _CONTAINERS + "/{container}"
MAX_BODY = 4 << 20

_log = structlog.get_logger()


def make_app(service: Service, admin: AdminPort) -> web.Application:
    """Everything under `/v1`, and `/metrics` for Prometheus. Errors are `{"message": ...}` with
    the status of a ShoalError."""
    journal = Journal(service, vcluster_id(service.cloud, DEFAULT))
    routes = make_routes(Handlers(service, admin, journal), OperatorHandlers(service, admin))
    document = describe(routes)

    async def openapi(_: web.Request) -> web.StreamResponse:
        return reply(document)

    async def metrics(_: web.Request) -> web.StreamResponse:
        text, kind = admin.metrics()
        return web.Response(body=text, headers={"Content-Type": kind})

    async def keep_journal(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(journal.run())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    app = web.Application(middlewares=[_word_errors], client_max_size=MAX_BODY)
    for route in routes:
        app.router.add_route(route.method, route.path, route.handler)
    app.router.add_get("/v1/openapi.json", openapi)
    app.router.add_get("/metrics", metrics)
    app.cleanup_ctx.append(keep_journal)
    return app


@web.middleware
async def _word_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ShoalError as error:
        return reply(Problem(error.text), status=error.status)
    except web.HTTPNotFound:
        return reply(Problem(f"no such page: {request.path}: see /v1/openapi.json"), status=404)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.path} takes {allowed}, not {request.method}"
        return reply(Problem(text), status=405)
    except web.HTTPException as error:
        return reply(Problem(error.text or error.reason), status=error.status)
    except ConnectionError:
        raise  # the client has gone; there is nobody to tell
    except Exception:
        _log.exception("api.native.failed", method=request.method, path=request.path)
        return reply(Problem("the node failed at this request; its log says why"), status=500)


def make_routes(handlers: Handlers, operators: OperatorHandlers) -> list[Route]:
    return [
        *_cloud_routes(handlers),
        *_operator_routes(operators),
        *_container_routes(handlers),
        _event_route(handlers),
    ]


def _cloud_routes(h: Handlers) -> list[Route]:
    return [
        Route("GET", "/v1/status", h.status, "How this node and its cloud are", None, StatusReport),
        Route(
            "GET",
            "/v1/log",
            h.read_log,
            "The last lines of the daemon's log",
            None,
            list[str],
            query=(Query("lines", "How many at most", "integer"),),
        ),
        Route("GET", "/v1/doctor", h.examine, "What is wrong with this node", None, Examination),
    ]


def _operator_routes(h: OperatorHandlers) -> list[Route]:
    line = NodeSummary
    return [
        Route("GET", "/v1/nodes", h.list_nodes, "Nodes of the cloud", None, list[NodeSummary]),
        Route("GET", _NODE, h.get_node, "One node with its images", None, Member),
        Route("PATCH", _NODE, h.update_node, "Set and remove its labels", NodePatch, line),
        Route("POST", _NODE + "/cordon", h.cordon_node, "Give it nothing new", None, line),
        Route("POST", _NODE + "/uncordon", h.uncordon_node, "End cordon and drain", None, line),
        Route("POST", _NODE + "/drain", h.drain_node, "Begin to empty it", None, line),
        Route("GET", _NODE + "/drain", h.follow_drain, "What is left on it", None, DrainReport),
        Route("GET", "/v1/tokens", h.list_tokens, "Join tokens", None, list[TokenSummary]),
        Route(
            "POST",
            "/v1/tokens",
            h.create_token,
            "Make a secret with which nodes may join",
            TokenRequest,
            TokenAnswer,
            status=201,
        ),
        Route("DELETE", "/v1/tokens/{token}", h.remove_token, "Let it let nobody in", None, Done),
    ]


def _container_routes(h: Handlers) -> list[Route]:
    shown = (
        Query("all", "Also those that do not run", "boolean"),
        Query("filter", "NAME=VALUE: ancestor, id, label, name, node or status", many=True),
    )
    removal = (
        Query("force", "Kill it first when it runs", "boolean"),
        Query("volumes", "Remove its anonymous volumes too", "boolean"),
    )
    action = ActionRequest
    return [
        Route(
            "GET", _CONTAINERS, h.list_containers, "Containers", None, ContainerListing, query=shown
        ),
        Route("GET", _CONTAINER, h.get_container, "One container", None, ContainerView),
        Route("DELETE", _CONTAINER, h.remove_container, "Remove it", None, Done, query=removal),
        Route("GET", _CONTAINER + "/why", h.why_container, "Why it is where it is", None, Why),
        Route("POST", _CONTAINER + "/start", h.start_container, "Start it", None, Done),
        Route("POST", _CONTAINER + "/stop", h.stop_container, "Stop it", action, Done),
        Route("POST", _CONTAINER + "/restart", h.restart_container, "Restart it", action, Done),
        Route("POST", _CONTAINER + "/kill", h.kill_container, "Send it a signal", action, Done),
    ]


def _event_route(h: Handlers) -> Route:
    query = (
        Query("since", "Nanoseconds since 1970 of the first event", "integer"),
        Query("until", "Nanoseconds since 1970 of the last event", "integer"),
        Query("follow", "Go on with what comes", "boolean"),
    )
    path = _VCLUSTER + "/events"
    about = "The last events that this node remembers, and what comes"
    return Route("GET", path, h.follow_events, about, None, EventLine, query=query, stream=True)
