"""The cluster as one placer knows it: nodes, their loads, and its own decisions in flight."""

from functools import partial
from itertools import islice
from typing import Final

import msgspec

from shoal.core.placement.filters import may_run
from shoal.core.placement.pool import Pool
from shoal.core.placement.request import PlacementRequest, StaticKey
from shoal.core.placement.scores import seed_of
from shoal.core.placement.state import NodeState
from shoal.model.node import NodeInfo
from shoal.model.resources import Load, Resources

#: How many kinds of request keep their nodes sorted at a time; the longest unused one goes.
MAX_POOLS: Final = 32
#: Among so many nodes that have an image the search for one begins anywhere.
_HOLDERS_WINDOW: Final = 512


class ClusterView:
    """Nodes by id, updated one at a time; every call costs about the same at any size.

    A decision is put on top of a node's load by `assume` until `release`. The caller releases
    it when the node refused, or when a load that includes it has come by `update` or
    `update_load`; a node's answer to a reservation should therefore carry its load.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, NodeState] = {}
        self._by_name: dict[str, dict[int, NodeState]] = {}
        self._assumed: dict[str, NodeState] = {}
        self._holders: dict[str, dict[int, NodeState]] = {}
        self._pools: dict[StaticKey, Pool] = {}
        self._arrivals = 0
        # Nodes in the order of their changes; true if more than the load changed. Pools follow
        # it when they are used; `_log_start` counts what was cut off.
        self._log: list[tuple[NodeState, bool]] = []
        self._log_start = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, node_id: str) -> bool:
        return node_id in self._by_id

    def update(self, node: NodeInfo, *, up: bool) -> None:
        """Take over what a node says, unless something newer is known, and whether it is up."""
        state = self._by_id.get(node.id)
        if state is None:
            state = NodeState(self._arrivals, seed_of(node.id), node, up=up)
            self._arrivals += 1
            self._by_id[node.id] = state
            self._index(state)
            self._note(state, changed=True)
            return
        if node.revision < state.info.revision:
            node = state.info
        if up == state.up and _same_but_load(node, state.info):
            state.info = node
            self._load(state, node.load)
            return
        self._unindex(state)
        state.describe(node, up=up)
        self._index(state)
        self._note(state, changed=True)

    def update_load(self, node_id: str, load: Load) -> None:
        """Take over a newer load of a node; unknown nodes are ignored."""
        state = self._by_id.get(node_id)
        if state is not None:
            self._load(state, load)

    def forget(self, node_id: str) -> None:
        """Drop a node that has left for good, with the decisions in flight on it."""
        state = self._by_id.pop(node_id, None)
        if state is None:
            return
        for key in state.pending:
            del self._assumed[key]
        self._unindex(state)
        state.up = False
        self._note(state, changed=True)

    def assume(self, key: str, node_id: str, resources: Resources) -> None:
        """Count a decision (key: container id) on a node until its release; a second decision
        with the same key replaces the first. Raises KeyError for an unknown node."""
        state = self._by_id[node_id]
        self.release(key)
        state.add(key, resources)
        self._assumed[key] = state
        self._note(state)

    def release(self, key: str) -> None:
        """Stop counting a decision; without effect if there is none."""
        state = self._assumed.pop(key, None)
        if state is not None:
            state.drop(key)
            self._note(state)

    def node(self, node_id: str) -> NodeInfo | None:
        state = self._by_id.get(node_id)
        return None if state is None else state.info

    def state(self, node_id: str) -> NodeState | None:
        return self._by_id.get(node_id)

    def states(self) -> list[NodeState]:
        """All nodes, in the order in which they came."""
        return list(self._by_id.values())

    def named(self, name: str) -> list[NodeState]:
        """The nodes of a name: one, unless two hosts chose the same."""
        return list(self._by_name.get(name.lower(), {}).values())

    def holders(self, image_id: str, seed: int, limit: int) -> list[NodeState]:
        """Up to `limit` nodes that have an image, beginning at a place that depends on the seed."""
        holders = self._holders.get(image_id, {})
        start = seed % min(len(holders), _HOLDERS_WINDOW) if len(holders) > limit else 0
        return list(islice(holders.values(), start, start + limit))

    def pool(self, request: PlacementRequest) -> Pool:
        """The nodes that may run a request, up to date."""
        key = request.static_key
        pool = self._pools.pop(key, None)
        if pool is None or not self._catch_up(pool):
            pool = Pool(key, partial(may_run, request), self.states(), self._end)
            if len(self._pools) >= MAX_POOLS:
                del self._pools[next(iter(self._pools))]
        self._pools[key] = pool
        return pool

    @property
    def _end(self) -> int:
        return self._log_start + len(self._log)

    def _catch_up(self, pool: Pool) -> bool:
        """Bring a pool up to date; false if building it anew is less work."""
        missed = self._end - pool.seen
        if missed > self._worth_following:
            return False
        for state, changed in self._log[len(self._log) - missed :]:
            if changed:
                pool.changed(state)
            else:
                pool.moved(state)
        pool.seen = self._end
        return True

    @property
    def _worth_following(self) -> int:
        return 64 + 2 * len(self._by_id)

    def _note(self, state: NodeState, *, changed: bool = False) -> None:
        self._log.append((state, changed))
        surplus = len(self._log) - self._worth_following
        if surplus > self._worth_following:
            del self._log[:surplus]
            self._log_start += surplus

    def _load(self, state: NodeState, load: Load) -> None:
        if load != state.load:
            state.set_load(load)
            self._note(state)

    def _index(self, state: NodeState) -> None:
        self._by_name.setdefault(state.info.name.lower(), {})[state.index] = state
        for image in state.images:
            self._holders.setdefault(image, {})[state.index] = state

    def _unindex(self, state: NodeState) -> None:
        _discard(self._by_name, state.info.name.lower(), state.index)
        for image in state.images:
            _discard(self._holders, image, state.index)


def _discard(index: dict[str, dict[int, NodeState]], key: str, member: int) -> None:
    members = index[key]
    del members[member]
    if not members:
        del index[key]


def _same_but_load(one: NodeInfo, other: NodeInfo) -> bool:
    return msgspec.structs.replace(one, load=other.load, revision=other.revision) == other
