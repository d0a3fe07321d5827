"""What the cores of one node share during a step: its time, its clock and its effects."""

import heapq

import msgspec

from shoal.core.clock import HybridClock
from shoal.core.effects import Delete, Effect, Log, Put, Send
from shoal.core.events import Now
from shoal.core.messages import Envelope, Message

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

_encode = msgspec.msgpack.Encoder().encode


class Timer(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A wish to be called at `at` (monotonic ns). Never cancelled: whoever gets one that no
    longer matters ignores it."""

    at: int
    order: int
    kind: str
    key: str


class Context:
    """Collects the effects of a step and keeps the node's timers."""

    def __init__(self, node_id: str, now: Now, last_stamp: int = 0) -> None:
        self.node_id = node_id
        self.now = now
        self.clock = HybridClock(last_stamp)
        self.effects: list[Effect] = []
        self.local: list[Message] = []
        self._timers: list[Timer] = []
        self._order = 0

    def stamp(self) -> int:
        return self.clock.stamp(self.now.wall)

    def send(self, to: str, message: Message) -> None:
        """Send to a node; to this one, the message is handled within the same step."""
        if to == self.node_id:
            self.local.append(message)
            return
        envelope = Envelope(self.stamp(), self.now.wall, message)
        self.effects.append(Send(to, _encode(envelope)))

    def put(self, space: str, key: str, value: bytes) -> None:
        self.effects.append(Put(space, key, value))

    def delete(self, space: str, key: str) -> None:
        self.effects.append(Delete(space, key))

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def info(self, event: str, **fields: object) -> None:
        self.effects.append(Log("info", event, fields))

    def after(self, delay: int, kind: str, key: str = "") -> None:
        """Ask for a timer in `delay` ns."""
        self._order += 1
        heapq.heappush(self._timers, Timer(self.now.mono + delay, self._order, kind, key))

    def next_timer(self) -> int | None:
        """When the shell must call again (monotonic ns)."""
        return self._timers[0].at if self._timers else None

    def due(self) -> Timer | None:
        """Take the next timer that is due."""
        if self._timers and self._timers[0].at <= self.now.mono:
            return heapq.heappop(self._timers)
        return None

    def take(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects
