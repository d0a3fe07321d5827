"""The calendar of a simulation: a timing wheel of lists, one per tick of 1 ms.

An event is a tuple that whoever runs the wheel understands; the wheel only keeps the order.
Events of the same tick come in the order in which they were put in, however far ahead that was.
"""

TICK = 1_000_000
"""Length of a tick, ns."""

_EPOCH_BITS = 13
_EPOCH = 1 << _EPOCH_BITS
_MASK = 2 * _EPOCH - 1

HORIZON = _EPOCH
"""How many ticks ahead `slot` may be asked for."""

Event = tuple[object, ...]


class Wheel:
    """Events by tick.

    Two epochs of 8.192 s have a list per tick, at hand without any search; what lies further
    ahead waits in one list per epoch and is dealt out when the epoch before it begins, before
    anything else can be put there. That keeps the order and costs every event O(1).
    """

    __slots__ = ("_far", "slots", "tick")

    def __init__(self) -> None:
        self.tick = 0
        self.slots: list[list[Event]] = [[] for _ in range(2 * _EPOCH)]
        self._far: dict[int, list[tuple[int, Event]]] = {}

    def slot(self, ahead: int) -> list[Event]:
        """The list of the tick that is `ahead` (< HORIZON) of the present one, to append to."""
        return self.slots[(self.tick + ahead) & _MASK]

    def put(self, ahead: int, event: Event) -> None:
        """Add an event `ahead` (>= 0) ticks from now."""
        due = self.tick + ahead
        epoch = due >> _EPOCH_BITS
        if epoch - (self.tick >> _EPOCH_BITS) < 2:
            self.slots[due & _MASK].append(event)
        else:
            self._far.setdefault(epoch, []).append((due, event))

    def stretch(self, until: int) -> list[list[Event]]:
        """The lists of the coming ticks up to `until`, or to the end of their epoch.

        Whoever goes through them sets `tick` to that of a list before working on it, clears it
        afterwards, and sets `tick` to the last one's in the end. While a list is worked on,
        `put(0, …)` and `slot(0)` add to it.
        """
        first = self.tick + 1
        if not first & (_EPOCH - 1):
            for due, event in self._far.pop((first >> _EPOCH_BITS) + 1, ()):
                self.slots[due & _MASK].append(event)
        last = min(until, first | (_EPOCH - 1))
        start = first & _MASK
        return self.slots[start : start + last - first + 1]
