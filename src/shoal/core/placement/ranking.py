"""The decision: which nodes should run a container, best first."""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from shoal.core.placement.constraints import parse
from shoal.core.placement.filters import has_room, may_run
from shoal.core.placement.pool import Search
from shoal.core.placement.request import PlacementRequest
from shoal.core.placement.scores import Scorer, seed_of, tie_break
from shoal.core.placement.state import NodeState
from shoal.core.placement.view import ClusterView
from shoal.model.ids import is_id

#: Node id -> why it is left out this time, in words for people ("refused: port 80/tcp is taken").
Excluded = Mapping[str, str]
NOBODY: Final[Excluded] = MappingProxyType({})

#: How many good nodes are compared for one container, and how many that have its image.
COMPARED: Final = 32
HOLDERS_COMPARED: Final = 16
#: How many of every size of node, whatever the number of sizes.
LEAST_PER_SHELF: Final = 4
#: Up to so many candidates are all compared.
COMPARE_ALL: Final = 64


def rank(
    request: PlacementRequest,
    view: ClusterView,
    key: str,
    *,
    excluded: Excluded = NOBODY,
    first: Collection[str] = (),
    limit: int = 5,
) -> list[str]:
    """Ids of up to `limit` nodes for the container with the id `key`, best first; those of
    `first` if any of them can run it. Empty only if `explain` finds no node either. Decide for
    one, then tell the view by `assume`."""
    seed = seed_of(key)
    search = _search(request, seed, excluded)
    found = _able(request, search, [view.state(node) for node in first])
    found = found or _candidates(request, view, search, COMPARED)
    scorer = Scorer(request)
    order = sorted(
        (-scorer.score(state), tie_break(seed, state.salt), state.info.id) for state in found
    )
    return [node for _, _, node in order[:limit]]


def place_group(
    request: PlacementRequest,
    view: ClusterView,
    keys: Sequence[str],
    *,
    excluded: Excluded = NOBODY,
) -> list[str | None]:
    """A node for each of many containers with the same request, None where no room is left.
    Each decision is assumed in the view under its key at once."""
    nodes: list[str | None] = []
    scorer = Scorer(request)
    heap: list[tuple[int, int, int, NodeState]] = []
    for key in keys:
        if not heap:
            seed = seed_of(key)
            search = _search(request, seed, excluded)
            heap = [
                (-scorer.score(state), tie_break(seed, state.salt), state.index, state)
                for state in _candidates(request, view, search, len(keys) + COMPARED)
            ]
            heapq.heapify(heap)
        if not heap:
            nodes += [None] * (len(keys) - len(nodes))
            break
        _, tie, index, state = heap[0]
        nodes.append(state.info.id)
        view.assume(key, state.info.id, request.resources)
        if search.accepts(state):
            heapq.heapreplace(heap, (-scorer.score(state), tie, index, state))
        else:
            heapq.heappop(heap)
    return nodes


def _search(request: PlacementRequest, seed: int, excluded: Excluded) -> Search:
    if not (excluded or request.resources.ports or request.resources.pinned_cores):
        return Search(request, seed, None)

    def test(state: NodeState) -> bool:
        return state.info.id not in excluded and has_room(request, state)

    return Search(request, seed, test)


def _candidates(
    request: PlacementRequest, view: ClusterView, search: Search, wanted: int
) -> list[NodeState]:
    named = _named_nodes(request, view)
    if named is not None:
        return _able(request, search, named)
    pool = view.pool(request)
    if len(pool) <= COMPARE_ALL:
        return pool.find(search, COMPARE_ALL)
    found = pool.find(search, max(wanted // max(pool.shelves, 1), LEAST_PER_SHELF))
    if not request.image_id:
        return found
    compared = {state.index for state in found}
    found += [
        state
        for state in view.holders(request.image_id, search.seed, HOLDERS_COMPARED)
        if state.index not in compared and state in pool and search.accepts(state)
    ]
    return found


def _able(
    request: PlacementRequest, search: Search, states: Iterable[NodeState | None]
) -> list[NodeState]:
    return [
        state
        for state in states
        if state is not None
        and may_run(request, state)
        and has_room(request, state)
        and search.accepts(state)
    ]


def _named_nodes(request: PlacementRequest, view: ClusterView) -> list[NodeState] | None:
    """The few nodes that a pin or a constraint names, None if none does. Spares a pool that
    would be built for one node."""
    for node, _ in request.rules.pins:
        state = view.state(node)
        return [] if state is None else [state]
    for text in request.rules.constraints:
        constraint = parse(text)
        if constraint.operator == "!=":
            continue
        if constraint.field in ("node.name", "node.hostname"):
            return view.named(constraint.value)
        if constraint.field == "node.id" and is_id(constraint.value):
            state = view.state(constraint.value)
            return [] if state is None else [state]
    return None
