"""Nodes that departed: remembered, so that rings that lost each other find each other again."""


class Encounters:
    """At most `limit` departed nodes, the latest ones; asked in turn, a few at a time."""

    __slots__ = ("_limit", "nodes")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.nodes: list[int] = []  # the longest unasked first

    def remember(self, node: int) -> None:
        if node not in self.nodes:
            self.nodes.append(node)
            del self.nodes[: max(0, len(self.nodes) - self._limit)]

    def forget(self, node: int) -> bool:
        """Whether it was remembered."""
        if node in self.nodes:
            self.nodes.remove(node)
            return True
        return False

    def due(self, count: int) -> list[int]:
        """The next nodes to ask; they move to the end of the queue."""
        due, rest = self.nodes[:count], self.nodes[count:]
        self.nodes = rest + due
        return due
