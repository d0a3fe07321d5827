"""Who owns a key: an interface, and its first implementation over the sorted member list."""

from bisect import bisect_left
from typing import Protocol

from shoal.model.ids import node_position, ring_position


class Ring(Protocol):
    """Places keys on nodes. Positions are 64-bit integers on a circle."""

    def owner(self, key: str) -> str | None:
        """The node (id) that owns a key, None while there is none."""
        ...

    def successors(self, key: str, count: int) -> list[str]:
        """The owner and the nodes after it, `count` at most, in the order of the ring."""
        ...


class ListRing:
    """A ring of all members that are known and not down."""

    def __init__(self) -> None:
        self._nodes: list[tuple[int, str]] = []

    def replace(self, nodes: list[str]) -> None:
        self._nodes = sorted((node_position(node), node) for node in nodes)

    def owner(self, key: str) -> str | None:
        found = self.successors(key, 1)
        return found[0] if found else None

    def successors(self, key: str, count: int) -> list[str]:
        return [node for _, node in self.around(ring_position(key), count)]

    def around(self, position: int, count: int) -> list[tuple[int, str]]:
        """The owner of a position and the nodes after it, `count` at most: (position, id)."""
        nodes = self._nodes
        start = bisect_left(nodes, (position, ""))
        return [nodes[(start + i) % len(nodes)] for i in range(min(count, len(nodes)))]
