"""Commands within running containers: `docker exec`."""

from typing import Any, NamedTuple

from aiohttp import web

from shoal.api.docker.execid import exec_id, parse_exec_id
from shoal.api.docker.front import Front, json_body, reply
from shoal.api.docker.hijack import splice, take_over
from shoal.api.docker.relay import RAW_STREAM, checked, passed
from shoal.engine import names
from shoal.engine.http import error_text, read_json
from shoal.engine.translate import our_names
from shoal.model.errors import BadRequest, EngineError, NotFound, Unavailable
from shoal.node.service import EnginePort

#: Containers of execs that were asked for here lately: saves looking them up, nothing else.
_REMEMBERED = 1024


class _Owner(NamedTuple):
    """The container that a command runs in."""

    id: str
    name: str
    engine_name: str


class _Exec(NamedTuple):
    id: str
    engine_id: str
    owner: _Owner
    port: EnginePort

    @property
    def path(self) -> str:
        return f"/exec/{self.engine_id}"

    def error(self, error: EngineError) -> EngineError:
        """The engine's error in the user's words."""
        text = error.text.replace(self.engine_id, self.id)
        owner = self.owner
        return EngineError(our_names(text, owner.engine_name, owner.name, owner.id), error.status)


class Execs:
    """Handlers for commands in containers, wherever those are."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._owners: dict[str, _Owner] = {}

    async def create(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        if not body.get("Cmd"):
            raise BadRequest("No exec command specified")
        view = await self._front.view(request.match_info["ref"])
        port, path = self._front.engine(view)
        upstream = await port.request("POST", f"{path}/exec", json=body)
        document = await read_json(await checked(upstream, view, path))
        identifier = exec_id(view.node, document["Id"])
        self._remember(identifier, _Owner(view.id, view.name, path.rpartition("/")[2]))
        return reply({"Id": identifier}, 201)

    async def start(self, request: web.Request) -> web.StreamResponse:
        body = await json_body(request)
        found = await self._find(request)
        if body.get("Detach") is True:
            upstream = await found.port.request("POST", f"{found.path}/start", json=body)
            if upstream.status >= 400:
                raise found.error(EngineError(await error_text(upstream), upstream.status))
            upstream.close()
            return web.Response(status=200)
        try:
            stream = await found.port.hijack(f"{found.path}/start", params={}, json=body)
        except EngineError as error:
            raise found.error(error) from error
        try:
            response, client = await take_over(request, stream.content_type or RAW_STREAM)
        except ConnectionError:
            stream.close()
            raise
        await splice(client, stream)
        return response

    async def inspect(self, request: web.Request) -> web.Response:
        found = await self._find(request)
        document = await self._document(found.id, found.port, found.path)
        return reply({**document, "ID": found.id, "ContainerID": found.owner.id})

    async def resize(self, request: web.Request) -> web.Response:
        found = await self._find(request)
        params = passed(request, "h", "w")
        upstream = await found.port.request("POST", f"{found.path}/resize", params=params)
        if upstream.status >= 400:
            raise found.error(EngineError(await error_text(upstream), upstream.status))
        upstream.close()
        return web.Response(status=200)

    async def _find(self, request: web.Request) -> _Exec:
        """The exec that the request names. Raises NotFound; Unavailable while its host is away."""
        identifier = request.match_info["id"]
        parts = parse_exec_id(identifier)
        if parts is None:
            raise _unknown(identifier)
        node, engine_id = parts
        port = self._engine(node, identifier)
        owner = self._owners.get(identifier)
        if owner is None:
            owner = await self._owner(identifier, port, f"/exec/{engine_id}")
            self._remember(identifier, owner)
        return _Exec(identifier, engine_id, owner, port)

    def _engine(self, node: str, identifier: str) -> EnginePort:
        for member in self._front.service.members():
            if member.info.id == node:
                if member.state in {"down", "left"}:
                    raise Unavailable(
                        f"host {member.info.name} of exec instance {identifier} is unreachable"
                    )
                return self._front.service.engine(node)
        raise _unknown(identifier)

    async def _owner(self, identifier: str, port: EnginePort, path: str) -> _Owner:
        """Raises NotFound for what runs in other vclusters' containers as well."""
        document = await self._document(identifier, port, path)
        upstream = await port.request("GET", f"/containers/{document['ContainerID']}/json")
        if upstream.status == 404:  # removed in this moment
            upstream.close()
            raise _unknown(identifier)
        container = await read_json(upstream)
        labels = (container.get("Config") or {}).get("Labels") or {}
        ours = (self._front.service.cloud, self._front.vcluster)
        if (labels.get(names.CLOUD), labels.get(names.VCLUSTER)) != ours:
            raise _unknown(identifier)
        name = container["Name"].removeprefix("/")
        return _Owner(labels[names.ID], labels[names.NAME], name)

    async def _document(self, identifier: str, port: EnginePort, path: str) -> dict[str, Any]:
        upstream = await port.request("GET", f"{path}/json")
        if upstream.status == 404:
            upstream.close()
            raise _unknown(identifier)
        document: dict[str, Any] = await read_json(upstream)
        return document

    def _remember(self, identifier: str, owner: _Owner) -> None:
        self._owners[identifier] = owner
        if len(self._owners) > _REMEMBERED:
            del self._owners[next(iter(self._owners))]  # the oldest


def _unknown(identifier: str) -> NotFound:
    return NotFound(f"No such exec instance: {identifier}")
