"""An index of nodes by what they have free: chooses what a scan of all of them would choose.

Nodes with equal amounts free and used form a *shape*; the score of a shape for a demand is the
same for all its nodes and never changes. For each demand seen, shapes are filed under their
score, so that a choice walks from the best score to the first that has nodes. The machines of a
cloud come in few sizes and containers in few profiles: a million nodes have some hundred shapes.
"""

from heapq import heapify, heappop, heappush
from typing import Final

from shoal.core.discovery.contract import Candidate, Demand, Policy
from shoal.core.discovery.rank import score

_SCORES: Final = 201
#: Demands whose filing is kept.
_MOST_DEMANDS: Final = 64
#: Shapes without nodes are dropped when they are more than those with nodes, and than this.
_SPARE_SHAPES: Final = 1024


class _Group:
    """Nodes of one shape with equally many containers: a heap of positions that may hold some
    twice and some that have left; `live` counts those that belong."""

    __slots__ = ("heap", "live")

    def __init__(self) -> None:
        self.heap: list[int] = []
        self.live = 0


class _Shape:
    """Equal nodes, in groups by their number of containers."""

    __slots__ = ("free", "groups", "live", "used")

    def __init__(self, free: Demand, used: Demand) -> None:
        self.free = free
        self.used = used
        self.live = 0
        self.groups: dict[int, _Group] = {}


_Levels = list[list[_Shape]]


class Fleet:
    """All nodes that somebody knows. Ties are broken by containers, then by position."""

    __slots__ = ("_levels", "_nodes", "_policy", "_shapes")

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._nodes: dict[int, tuple[_Shape, int]] = {}
        self._shapes: dict[tuple[Demand, Demand], _Shape] = {}
        self._levels: dict[Demand, _Levels] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def put(self, node: int, free: Demand, used: Demand, containers: int) -> None:
        """A node has these resources now; a node that was not known is added."""
        old = self._nodes.get(node)
        shape = self._shapes.get((free, used))
        if old is not None:
            if old[0] is shape and old[1] == containers:
                return
            self._leave(old)
        if shape is None:
            shape = self._new_shape(free, used)
        group = shape.groups.get(containers)
        if group is None:
            shape.groups[containers] = group = _Group()
        shape.live += 1
        group.live += 1
        self._nodes[node] = (shape, containers)
        heappush(group.heap, node)
        if len(group.heap) > 2 * group.live + 32:
            group.heap = [n for n in set(group.heap) if self._is_at(n, shape, containers)]
            heapify(group.heap)

    def drop(self, node: int) -> None:
        """A node is gone."""
        old = self._nodes.pop(node, None)
        if old is not None:
            self._leave(old)

    def best(self, demand: Demand, count: int) -> list[Candidate]:
        """The first `count` of all nodes that fit, in the order of the policy."""
        levels = self._levels.get(demand)
        if levels is None:
            levels = self._file(demand)
        chosen: list[Candidate] = []
        binpack = self._policy == "binpack"
        for level in reversed(levels) if binpack else levels:
            shapes = [shape for shape in level if shape.live] if level else level
            if not shapes:
                continue
            counts = {number for shape in shapes for number in shape.groups}
            for containers in sorted(counts, reverse=binpack):
                chosen += self._first(shapes, containers, count - len(chosen))
                if len(chosen) >= count:
                    return chosen
        return chosen

    def reserve(self, candidate: Candidate, demand: Demand) -> None:
        """Count a launch on a node before the node says so itself, so that the next choice
        knows of it. What the node says later counts."""
        free, used = candidate.free, candidate.used
        self.put(
            candidate.node,
            Demand(free.cpu_class, free.cpus - demand.cpus, free.memory - demand.memory),
            Demand(used.cpu_class, used.cpus + demand.cpus, used.memory + demand.memory),
            candidate.containers + 1,
        )

    def _is_at(self, node: int, shape: _Shape, containers: int) -> bool:
        place = self._nodes.get(node)
        return place is not None and place[0] is shape and place[1] == containers

    def _leave(self, place: tuple[_Shape, int]) -> None:
        shape, containers = place
        shape.live -= 1
        group = shape.groups[containers]
        group.live -= 1
        if not group.live:
            del shape.groups[containers]

    def _first(self, shapes: list[_Shape], containers: int, count: int) -> list[Candidate]:
        """The nodes of lowest position among those of equal rank."""
        chosen = []
        for shape in shapes:
            group = shape.groups.get(containers)
            if group is not None:
                nodes = self._lowest(group, shape, containers, count)
                free, used = shape.free, shape.used
                chosen += [Candidate(node, 0, free, used, containers) for node in nodes]
        if len(shapes) > 1:
            chosen.sort(key=lambda candidate: candidate.node)
        return chosen[:count]

    def _lowest(self, group: _Group, shape: _Shape, containers: int, count: int) -> list[int]:
        heap = group.heap
        nodes: list[int] = []
        while heap and len(nodes) < count:
            node = heappop(heap)
            if (not nodes or nodes[-1] != node) and self._is_at(node, shape, containers):
                nodes.append(node)
        for node in nodes:
            heappush(heap, node)
        return nodes

    def _new_shape(self, free: Demand, used: Demand) -> _Shape:
        if len(self._shapes) > 2 * len(self._nodes) + _SPARE_SHAPES:
            self._shapes = {key: shape for key, shape in self._shapes.items() if shape.live}
            self._levels.clear()
        shape = _Shape(free, used)
        self._shapes[free, used] = shape
        for demand, levels in self._levels.items():
            if demand.fits(free):
                levels[score(demand, free, used)].append(shape)
        return shape

    def _file(self, demand: Demand) -> _Levels:
        """File all shapes that fit a demand under their scores."""
        if len(self._levels) >= _MOST_DEMANDS:
            del self._levels[next(iter(self._levels))]
        levels: _Levels = [[] for _ in range(_SCORES)]
        for shape in self._shapes.values():
            if demand.fits(shape.free):
                levels[score(demand, shape.free, shape.used)].append(shape)
        self._levels[demand] = levels
        return levels
