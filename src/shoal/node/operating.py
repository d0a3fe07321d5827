"""What operators ask of nodes: any node takes it, and passes it to the node that it is about."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from shoal.core.events import Event, Operator
from shoal.core.node import NodeCore
from shoal.model.errors import Unavailable
from shoal.model.node import NodeChange, NodeInfo, Tenancy
from shoal.model.ops import Answer
from shoal.node.rpc import CallContext, Methods, Unreachable
from shoal.node.transport import Transport

CHANGE = "change-node"
TENANCY = "tenancy"
_TIMEOUT = 10.0  # seconds
_WHO_KEEPS_IT: Final = "what operators ask of a node it keeps itself: try again when it is back"

T = TypeVar("T")


class Operating:
    """The methods `change-node` and `tenancy`. `feed` has the core take an event and answers what
    it replies to the token of it."""

    def __init__(
        self,
        *,
        core: Callable[[], NodeCore],
        feed: Callable[[Callable[[int], Event]], Awaitable[Answer]],
        transport: Callable[[], Transport],
    ) -> None:
        self._core = core
        self._feed = feed
        self._transport = transport

    def register(self, methods: Methods) -> None:
        methods.unary(CHANGE, self._changed, takes=NodeChange)
        methods.unary(TENANCY, self._held, takes=type(None))

    async def change(self, node_id: str, change: NodeChange) -> NodeInfo:
        """What a node says of itself when it has kept the change. Raises Unavailable."""
        info = await self._ask(node_id, CHANGE, change, NodeInfo)
        self._core().learn(info)
        return info

    async def tenancy(self, node_id: str) -> Tenancy:
        """All that a node itself holds. Raises Unavailable."""
        return await self._ask(node_id, TENANCY, None, Tenancy)

    async def _ask(self, node_id: str, method: str, args: object, returns: type[T]) -> T:
        peer = self._core().members.peers[node_id]
        name = peer.info.name
        if not peer.present:
            gone = "has left the cloud" if peer.state == "left" else "is down"
            raise Unavailable(f"node {name} {gone}: {_WHO_KEEPS_IT}")
        try:
            return await self._transport().call(
                node_id, method, args, returns=returns, timeout=_TIMEOUT
            )
        except Unreachable as error:
            raise Unavailable(f"{error.text}; {_WHO_KEEPS_IT}") from None

    async def _changed(self, context: CallContext, change: NodeChange) -> NodeInfo:
        await self._feed(lambda token: Operator(token, change))
        return self._core().members.own

    async def _held(self, context: CallContext, args: None) -> Tenancy:
        return self._core().host.tenancy()
