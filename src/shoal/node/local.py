"""Calls of a node to itself: the same handlers, without a connection."""

import asyncio
import math
from collections.abc import AsyncGenerator

import msgspec

from shoal import PROTOCOL
from shoal.node.rpc import CallContext, Scope, pack
from shoal.node.server import Service, answer_call, closing, decode_args


class LocalCalls:
    """Arguments and results are encoded all the same, so that nobody shares mutable state."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def call(
        self, method: str, args: msgspec.Raw, *, scope: Scope, deadline: float
    ) -> msgspec.Raw:
        found = self._service.methods.find(method, stream=False, authenticated=True)
        return await answer_call(self._context(scope, deadline), method, found, args)

    async def stream(
        self, method: str, args: msgspec.Raw, *, scope: Scope
    ) -> AsyncGenerator[msgspec.Raw, None]:
        found = self._service.methods.find(method, stream=True, authenticated=True)
        assert found.streaming is not None
        items = found.streaming(self._context(scope, math.inf), decode_args(method, found, args))
        async with closing(items):
            async for item in items:
                yield pack(item)
                await asyncio.sleep(0)  # a stream without pauses must not hold the loop

    def _context(self, scope: Scope, deadline: float) -> CallContext:
        service = self._service
        return CallContext(
            peer=service.node_id,
            address="",
            cloud=service.cloud,
            protocol=PROTOCOL,
            scope=scope,
            deadline=deadline,
        )
