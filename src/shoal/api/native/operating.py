"""Handlers for operators: nodes, what is asked of them, and the tokens with which they join."""

import time

import msgspec
from aiohttp import web

from shoal.api.native.handlers import read_body, reply
from shoal.api.native.ports import AdminPort
from shoal.api.native.wire import (
    DrainReport,
    NodePatch,
    TenantLine,
    TokenAnswer,
    TokenRequest,
    summarize_node,
)
from shoal.core.placement.constraints import is_label
from shoal.model.errors import BadRequest, NotFound, ShoalError
from shoal.model.ids import short
from shoal.model.node import NodeChange, Tenant
from shoal.model.ops import Done, ListContainers, Listing
from shoal.node.service import Member, Service


class OperatorHandlers:
    """One method an operation; they raise ShoalErrors, which the application words."""

    def __init__(self, service: Service, admin: AdminPort) -> None:
        self._service = service
        self._admin = admin

    # Nodes

    async def list_nodes(self, _: web.Request) -> web.StreamResponse:
        here = self._service.node_id
        return reply([summarize_node(each, here=here) for each in self._service.members()])

    async def get_node(self, request: web.Request) -> web.StreamResponse:
        return reply(self._member(request))

    async def cordon_node(self, request: web.Request) -> web.StreamResponse:
        return await self._change(request, NodeChange(cordoned=True))

    async def uncordon_node(self, request: web.Request) -> web.StreamResponse:
        return await self._change(request, NodeChange(cordoned=False))

    async def drain_node(self, request: web.Request) -> web.StreamResponse:
        return await self._change(request, NodeChange(draining=True))

    async def update_node(self, request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, NodePatch)
        for label in wanted.labels:
            if not is_label(label):
                raise BadRequest(f"`{label}` is no name of a label: use letters, digits and ._-/")
        return await self._change(request, NodeChange(labels=wanted.labels))

    async def _change(self, request: web.Request, change: NodeChange) -> web.StreamResponse:
        member = self._member(request)
        info = await self._admin.change_node(member.info.id, change)
        changed = msgspec.structs.replace(member, info=info)
        return reply(summarize_node(changed, here=self._service.node_id))

    async def follow_drain(self, request: web.Request) -> web.StreamResponse:
        info = self._member(request).info
        tenancy = await self._admin.tenancy(info.id)
        tenants = sorted(tenancy.tenants, key=lambda one: one.name)
        moving = [one for one in tenants if one.moves]
        notes = await self._notes(moving)
        return reply(
            DrainReport(
                node=info.id,
                name=info.name,
                draining=tenancy.draining,
                moving=tuple(_line(one, notes.get(one.id, "")) for one in moving),
                staying=tuple(_line(one, one.stays_because) for one in tenants if not one.moves),
            )
        )

    async def _notes(self, moving: list[Tenant]) -> dict[str, str]:
        """What their keepers say of them, by id; a keeper that is not there says nothing."""
        notes = {}
        for vcluster in {one.vcluster for one in moving}:
            try:
                listing = await self._service.execute(vcluster, ListContainers())
            except ShoalError:
                continue
            assert isinstance(listing, Listing)
            notes.update({view.id: view.note for view in listing.containers})
        return notes

    def _member(self, request: web.Request) -> Member:
        """By name or id first, then by an unambiguous beginning of the id."""
        ref = request.match_info["node"]
        members = self._service.members()
        exact = [each for each in members if ref in (each.info.id, each.info.name)]
        found = exact or [each for each in members if each.info.id.startswith(ref)]
        if not found:
            raise NotFound(f"no such node: {ref}")
        if len(found) > 1:
            ids = ", ".join(short(each.info.id) for each in found)
            raise BadRequest(f"{ref} stands for several nodes ({ids}): give more of the id")
        return found[0]

    # Tokens

    async def create_token(self, request: web.Request) -> web.StreamResponse:
        wanted = await read_body(request, TokenRequest)
        expires = time.time_ns() + wanted.ttl_seconds * 1_000_000_000
        token = await self._admin.create_token(wanted.ttl_seconds)
        return reply(TokenAnswer(token=token, expires=expires), status=201)

    async def list_tokens(self, _: web.Request) -> web.StreamResponse:
        return reply(await self._admin.tokens())

    async def remove_token(self, request: web.Request) -> web.StreamResponse:
        """By its id or an unambiguous beginning of it."""
        ref = request.match_info["token"]
        known = [each.id for each in await self._admin.tokens()]
        found = [each for each in known if each.startswith(ref)]
        if not found:
            raise NotFound(f"no such token: {ref}: `shoal token ls` shows those there are")
        if len(found) > 1:
            raise BadRequest(f"{ref} stands for several tokens ({', '.join(found)})")
        await self._admin.remove_token(found[0])
        return reply(Done(found[0]))


def _line(tenant: Tenant, why: str) -> TenantLine:
    return TenantLine(
        id=tenant.id,
        name=tenant.name,
        vcluster=tenant.vcluster,
        running=tenant.running,
        why=why,
    )
