"""The baseline without offers: ask random nodes what they have free."""

from typing import Final

from shoal.core.discovery.contract import Candidate, Demand, DiscoveryPort
from shoal.core.discovery.messages import Free, GetFree
from shoal.core.discovery.settings import Settings
from shoal.core.ring.port import Draw, Timer

ANSWER: Final = "random.answer"


class _Search:
    __slots__ = ("asked", "deadline", "demand", "left", "nodes", "timed", "token")

    def __init__(self, token: int, demand: Demand, left: int) -> None:
        self.token = token
        self.demand = demand
        self.left = left
        self.nodes: list[int] = []
        self.asked: int | None = None
        self.deadline = 0
        self.timed = False


class RandomNodes:
    """Strategy "random": looks up random places and takes the first node that fits."""

    __slots__ = ("_containers", "_draw", "_free", "_port", "_searches", "_settings", "_used")

    def __init__(
        self, *, port: DiscoveryPort, total: Demand, draw: Draw, settings: Settings
    ) -> None:
        self._port = port
        self._draw = draw
        self._settings = settings
        self._free = total
        self._used = Demand(total.cpu_class, 0, 0)
        self._containers = 0
        self._searches: dict[int, _Search] = {}

    @property
    def held(self) -> int:
        return 0

    def start(self) -> None:
        """Nothing is offered."""

    def search(self, token: int, demand: Demand) -> None:
        search = _Search(token, demand, self._settings.tries)
        self._searches[token] = search
        self._ask(search)

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        self._free = free
        self._used = used
        self._containers = containers

    def admits(self, offer: int, demand: Demand) -> bool:
        return True

    def taken(self, offer: int) -> None:
        """There are no offers."""

    def came(self, node: int) -> None:
        """Nothing is kept of others."""

    def gone(self, node: int) -> None:
        """Nothing is kept of others."""

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        search = self._searches.get(token)
        if search is not None:
            search.nodes = list(reversed(nodes))
            self._ask(search)

    def receive(self, sender: int, message: object) -> None:
        if isinstance(message, GetFree):
            answer = Free(message.token, self._free, self._used, self._containers)
            self._port.send(sender, answer)
        elif isinstance(message, Free):
            self._answered(sender, message)

    def fire(self, timer: Timer) -> None:
        search = self._searches.get(timer.token)
        if search is None:
            return
        search.timed = False
        if search.asked is None:
            return
        if self._port.now < search.deadline:
            self._watch(search)
        else:
            self._ask(search)

    def _answered(self, sender: int, message: Free) -> None:
        search = self._searches.get(message.token)
        if search is None:
            return
        if search.demand.fits(message.free):
            del self._searches[message.token]
            found = Candidate(sender, 0, message.free, message.used, message.containers)
            self._port.candidates(message.token, (found,))
        elif sender == search.asked:
            self._ask(search)

    def _ask(self, search: _Search) -> None:
        """Ask the next of the nodes found, else look up another place, else give up."""
        if search.nodes:
            search.asked = search.nodes.pop()
            timeout = self._settings.answer_timeout
            if timeout is not None:
                search.deadline = self._port.now + timeout
                if not search.timed:
                    self._watch(search)
            self._port.send(search.asked, GetFree(search.token))
        elif search.left > 0:
            search.left -= 1
            search.asked = None
            self._port.find(self._draw.bits(), search.token, self._settings.ask)
        else:
            del self._searches[search.token]
            self._port.candidates(search.token, ())

    def _watch(self, search: _Search) -> None:
        search.timed = True
        wait = max(1, search.deadline - self._port.now)
        self._port.after(wait, Timer(ANSWER, search.token))
