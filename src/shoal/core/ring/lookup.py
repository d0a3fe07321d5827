"""Look-ups under way at the node that asked them: time-outs, second tries, single steps.

Passing on other nodes' look-ups needs no state and stands in `chord`.
"""

from collections.abc import Callable

from shoal.core.ring.circle import MASK
from shoal.core.ring.fingers import Routes
from shoal.core.ring.messages import Find, Step, Stepped
from shoal.core.ring.port import Port, Timer
from shoal.core.ring.settings import Settings

#: Answers a look-up: token, nodes, hops.
Answer = Callable[[int, tuple[int, ...], int], None]

ALTERNATIVES = 3  # nodes named by each step, so that one dead node does not end a look-up
SILENT = 8  # silent nodes named to the next node at most


class LookUp:
    """One look-up. `ahead` and `asked` serve its single steps."""

    __slots__ = (
        "ahead",
        "asked",
        "count",
        "key",
        "last",
        "sent",
        "silent",
        "step",
        "token",
        "tries",
    )

    def __init__(self, key: int, token: int, count: int) -> None:
        self.key = key
        self.token = token
        self.count = count
        self.tries = 0  # recursive attempts made
        self.step = 0  # token of the step under way, 0 if there is none
        self.sent = 0  # steps sent
        self.ahead: list[int] = []  # nodes to ask, the best last
        self.asked: dict[int, int] = {}  # how many were silent when a node was last asked
        self.last = 0  # the node that the present step asks
        self.silent: tuple[int, ...] = ()


class LookUps:
    """The look-ups that a node waits for. The key of each is known not to be the node's own."""

    __slots__ = ("_answer", "_port", "_routes", "_settings", "_steps", "_waiting", "own")

    def __init__(
        self, port: Port, own: int, settings: Settings, routes: Routes, answer: Answer
    ) -> None:
        self.own = own
        self._port = port
        self._settings = settings
        self._routes = routes
        self._answer = answer
        self._waiting: dict[int, LookUp] | None = None  # most nodes wait for nothing
        self._steps = 0

    def start(self, key: int, token: int, count: int) -> None:
        """Begin a look-up; `answer` is called once, with () as nodes if it failed."""
        look_up = LookUp(key, token, count)
        if self._waiting is None:
            self._waiting = {}
        self._waiting[token] = look_up
        if self._settings.mode == "recursive":
            self._send_recursive(look_up)
        else:
            self._begin_steps(look_up)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """The answer to a recursive look-up (any attempt's will do)."""
        waiting = self._waiting
        if waiting is not None and waiting.pop(token, None) is not None:
            if not waiting:
                self._waiting = None
            self._answer(token, nodes, hops)

    def stepped(self, sender: int, message: Stepped) -> None:
        """The answer to a step."""
        look_up = self._get(message.token)
        if look_up is None or not look_up.step or look_up.last != sender:
            return
        if message.final:
            self.found(look_up.token, message.nodes, look_up.sent)
            return
        # Should all that it names be silent, it is asked again and told so.
        look_up.ahead.append(sender)
        look_up.ahead.extend(reversed(message.nodes))
        self._next_step(look_up)

    def expired(self, token: int) -> None:
        """A recursive attempt got no answer in time: try another way."""
        look_up = self._get(token)
        if look_up is None or look_up.step:
            return
        if look_up.tries < self._settings.find_tries:
            self._send_recursive(look_up)
        else:
            self._begin_steps(look_up)

    def step_expired(self, step: int) -> None:
        """A step got no answer in time: its node is of no use, try the next best."""
        for look_up in (self._waiting or {}).values():
            if look_up.step == step:
                look_up.silent = (*look_up.silent, look_up.last)
                self._routes.drop(look_up.last)
                self._next_step(look_up)
                return

    def _get(self, token: int) -> LookUp | None:
        return None if self._waiting is None else self._waiting.get(token)

    def _send_recursive(self, look_up: LookUp) -> None:
        ways = self._routes.preceding((look_up.key - self.own) & MASK, look_up.tries + 1)
        look_up.tries += 1
        if not ways:
            self.found(look_up.token, (), 0)
            return
        find = Find(look_up.key, self.own, look_up.token, 1, look_up.count)
        self._port.send(ways[-1], find)
        if self._settings.find_timeout:
            self._port.after(self._settings.find_timeout, Timer("ring.find", look_up.token))

    def _begin_steps(self, look_up: LookUp) -> None:
        distance = (look_up.key - self.own) & MASK
        look_up.ahead = [self.own, *reversed(self._routes.preceding(distance, ALTERNATIVES))]
        self._next_step(look_up)

    def _next_step(self, look_up: LookUp) -> None:
        silent, asked = look_up.silent, look_up.asked
        while look_up.ahead and look_up.sent < self._settings.hops:
            node = look_up.ahead.pop()
            if node not in silent and asked.get(node, -1) < len(silent):
                self._send_step(look_up, node)
                return
        self.found(look_up.token, (), look_up.sent)

    def _send_step(self, look_up: LookUp, node: int) -> None:
        look_up.asked[node] = len(look_up.silent)
        look_up.last = node
        look_up.sent += 1
        self._steps += 1
        look_up.step = self._steps
        step = Step(look_up.key, look_up.token, look_up.count, look_up.silent[-SILENT:])
        self._port.send(node, step)
        if self._settings.find_timeout:
            self._port.after(self._settings.query_timeout, Timer("ring.step", self._steps))
