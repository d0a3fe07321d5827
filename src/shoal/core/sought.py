"""Candidates that a strategy of `core.discovery` finds by asking other nodes.

They are asked for by the size of the request alone: what is beyond sizes, such as labels and ports,
no trader knows. Where nobody that was found can run the container, everybody that membership knows
is considered.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec

from shoal.core import messages as m
from shoal.core.context import SECOND, Context
from shoal.core.discovery.contract import Candidate, Demand, StrategyName
from shoal.core.discovery.messages import DiscoveryMessage
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.strategies import strategy
from shoal.core.members import Members
from shoal.core.placement import PlacementRequest
from shoal.core.placement.fit import cpu_need
from shoal.core.ring.port import Draw, Timer
from shoal.model.ids import node_position
from shoal.model.node import NodeInfo

#: How long an answer serves for further choices for the same container.
FRESH: Final = 5 * SECOND
#: A search without an answer for so long counts as one that found nobody.
PATIENCE: Final = 10 * SECOND
#: In a site questions are answered within milliseconds, and messages hardly ever lost: what was
#: lost with one is offered anew after two to three minutes.
SETTINGS: Final = Settings(
    policy="spread",
    answer_timeout=SECOND,
    tries=2,
    supply_interval=10 * SECOND,
    refresh_interval=60 * SECOND,
    refresh_timeout=10 * SECOND,
    check_interval=65 * SECOND,
)


class _Answer(msgspec.Struct):
    """`nodes` is None while they are looked for; `until`: monotonic ns."""

    until: int
    nodes: tuple[str, ...] | None = None


class Sought:
    """Any other strategy: this node's part in it, and its port.

    `answered` is called with a container's id when a search for it that was not `ready` has ended.
    """

    def __init__(
        self,
        context: Context,
        members: Members,
        name: StrategyName,
        answered: Callable[[str], None],
    ) -> None:
        own = members.own
        self.name = name
        self._context = context
        self._members = members
        self._answered = answered
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[int, str] = {}
        self._token = 0
        self._beginning = False
        self.strategy = strategy(
            name,
            port=self,
            own=node_position(own.id),
            total=Demand(own.cpu_class, 0, 0),
            draw=Draw(node_position(own.id) ^ own.revision),
            settings=SETTINGS,
        )
        self.strategy.start()

    # -- for keepers -----------------------------------------------------------------------------

    def ready(self, container: str, request: PlacementRequest) -> bool:
        if request.rules.constraints or request.rules.pins:
            self._answers.pop(container, None)
            return True
        now = self._context.now.mono
        answer = self._answers.get(container)
        if answer is None or answer.until < now:
            if answer is not None and answer.nodes is None:
                self._end(answer, ())
            else:
                answer = self._search(container, request)
        return answer.nodes is not None

    def nodes(self, container: str) -> Collection[str]:
        answer = self._answers.get(container)
        return answer.nodes or () if answer is not None else ()

    def _search(self, container: str, request: PlacementRequest) -> _Answer:
        now = self._context.now.mono
        for old in [key for key, answer in self._answers.items() if answer.until < now]:
            del self._answers[old]
        self._token += 1
        self._asking = {token: key for token, key in self._asking.items() if key in self._answers}
        self._asking[self._token] = container
        answer = self._answers[container] = _Answer(now + PATIENCE)
        self._beginning = True
        self.strategy.search(self._token, demand_of(request))
        self._beginning = False
        return answer

    def _end(self, answer: _Answer, nodes: tuple[str, ...]) -> None:
        answer.nodes = nodes
        answer.until = self._context.now.mono + FRESH

    # -- what happens to the node ----------------------------------------------------------------

    def changed(self, own: NodeInfo) -> None:
        """The node's capacity or load is this now."""
        capacity, load = own.capacity, own.load
        takes_more = own.engine.up and not own.cordoned
        used = Demand(own.cpu_class, load.cpu_millis, load.memory)
        free = Demand(
            own.cpu_class,
            max(capacity.cpu_millis - load.cpu_millis, 0) if takes_more else 0,
            max(capacity.memory - load.memory, 0) if takes_more else 0,
        )
        self.strategy.changed(free, used, load.containers)

    def came(self, node: str) -> None:
        """Membership sees a node that was not there."""
        self.strategy.came(node_position(node))

    def gone(self, node: str) -> None:
        """Membership holds a node for dead, or it has left."""
        self.strategy.gone(node_position(node))

    def receive(self, sender: str, message: DiscoveryMessage) -> None:
        self.strategy.receive(node_position(sender), message)

    def fire(self, key: str) -> None:
        kind, _, token = key.partition(" ")
        self.strategy.fire(Timer(kind, int(token)))

    # -- the strategy's port ---------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self._context.now.mono

    def send(self, to: int, message: object) -> None:
        node = self._members.ring.name(to)
        if node is not None:
            self._context.send(node, m.OnMarket(message))  # type: ignore[arg-type]

    def after(self, delay: int, timer: Timer) -> None:
        self._context.after(delay, "market", f"{timer.kind} {timer.token}")

    def find(self, key: int, token: int, count: int) -> None:
        """In a site a look-up is an answer."""
        self.found(token, self._members.ring.around(key, count), 0)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        self.strategy.found(token, nodes, hops)

    def neighbours(self) -> tuple[int | None, int | None]:
        chord = self._members.ring.chord
        return chord.predecessor, chord.successors[0] if chord.successors else None

    def announce(self, free: Demand, used: Demand, containers: int) -> None:
        """The node's inventory, which says the same, goes to everybody anyway."""

    def candidates(self, token: int, found: Sequence[Candidate]) -> None:
        container = self._asking.pop(token, None)
        answer = self._answers.get(container) if container is not None else None
        if container is None or answer is None or answer.nodes is not None:
            return
        names = [self._members.ring.name(candidate.node) for candidate in found]
        self._end(answer, tuple(name for name in names if name is not None))
        if not self._beginning:
            self._answered(container)


def demand_of(request: PlacementRequest) -> Demand:
    """What a trader is asked for."""
    resources = request.resources
    return Demand(request.rules.cpu_class or 0, cpu_need(resources), resources.memory)
