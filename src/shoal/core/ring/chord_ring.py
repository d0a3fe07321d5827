"""The ring of a daemon: Chord, with the members of its own site as shortcuts.

Membership names every node of a site within a second, and each of them is in the table here: so a
look-up inside a site is an answer, not a question. Chord runs beside it. It is what knows nodes
that membership does not name, and what finds a ring again that was cut off from this one.
"""

from shoal.core import messages as m
from shoal.core.context import Context
from shoal.core.ring import ListRing
from shoal.core.ring.chord import Chord, Settings
from shoal.core.ring.port import Timer
from shoal.model.ids import node_position

#: One more than the copies of a vcluster that has the most: who loses them all at once has lost
#: its records anyway.
SETTINGS = Settings(successors=6)


class ChordRing:
    """A `Ring` for one node, and the `Port` of its Chord."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._site = ListRing()
        self._present = {context.node_id}
        self._names = {node_position(context.node_id): context.node_id}
        self.chord = Chord(self, node_position(context.node_id), SETTINGS)
        self._site.replace(sorted(self._present))
        self.chord.create()

    # -- who owns a key --------------------------------------------------------------------------

    def owner(self, key: str) -> str | None:
        return self._site.owner(key)

    def successors(self, key: str, count: int) -> list[str]:
        return self._site.successors(key, count)

    def around(self, position: int, count: int) -> tuple[int, ...]:
        """Positions of the owner of a position and of the nodes after it, `count` at most."""
        return tuple(found for found, _ in self._site.around(position, count))

    def name(self, position: int) -> str | None:
        """The node at a position, None if membership has not named it."""
        return self._names.get(position)

    # -- what membership says --------------------------------------------------------------------

    def up(self, node: str) -> None:
        """The node is there, for the first time or after a doubt."""
        position = self._named(node)
        if node not in self._present:
            self._present.add(node)
            self._site.replace(sorted(self._present))
        self.chord.up(position)

    def suspect(self, node: str) -> None:
        """The node may be dead; what it owns stays its own until that is certain."""
        self.chord.suspect(self._named(node))

    def down(self, node: str) -> None:
        """The node is dead or has left."""
        if node in self._present:
            self._present.discard(node)
            self._site.replace(sorted(self._present))
        self.chord.down(self._named(node))

    def _named(self, node: str) -> int:
        position = node_position(node)
        self._names[position] = node
        return position

    # -- Chord's port ----------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self._context.now.mono

    def send(self, to: int, message: object) -> None:
        node = self._names.get(to)
        if node is not None:  # a node is known to Chord before membership has named it
            self._context.send(node, m.OnRing(message))  # type: ignore[arg-type]

    def after(self, delay: int, timer: Timer) -> None:
        self._context.after(delay, "ring", f"{timer.kind} {timer.token}")

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """Look-ups of this node's own are local; those of Chord itself end inside it."""

    # -- what Chord hears ------------------------------------------------------------------------

    def heard(self, sender: str, message: m.OnRing) -> None:
        self.chord.receive(self._named(sender), message.body)

    def fire(self, key: str) -> None:
        kind, _, token = key.partition(" ")
        self.chord.fire(Timer(kind, int(token)))
