"""The baseline with a master, as in Docker Swarm: one node knows all and chooses.

Workers report to the master at the start, after every change and as a regular sign of life. A
search at a worker is passed on to the master. The master counts a choice at once; the worker's
next report corrects it. With `Settings.lookup_master` a report goes to whom a look-up of the
master's position names.
"""

from typing import Final

from shoal.core.discovery.contract import Candidate, Demand, DiscoveryPort
from shoal.core.discovery.fleet import Fleet
from shoal.core.discovery.messages import Ask, Choice, Report
from shoal.core.discovery.settings import Settings
from shoal.core.ring.port import Draw, Timer

BEAT: Final = "central.beat"
ANSWER: Final = "central.answer"

LOOKUP: Final = -1
"""Token of the look-up of the master; there is one at a time."""


class Central:
    """Strategy "central". The node at `settings.master` is the master and also a worker."""

    __slots__ = (
        "_asked",
        "_containers",
        "_draw",
        "_fleet",
        "_free",
        "_looking",
        "_own",
        "_port",
        "_settings",
        "_used",
    )

    def __init__(
        self, *, port: DiscoveryPort, own: int, total: Demand, draw: Draw, settings: Settings
    ) -> None:
        self._port = port
        self._own = own
        self._settings = settings
        self._draw = draw
        self._free = total
        self._used = Demand(total.cpu_class, 0, 0)
        self._containers = 0
        self._fleet = Fleet(settings.policy) if own == settings.master else None
        self._asked: set[int] = set()
        self._looking = False

    @property
    def held(self) -> int:
        """How many nodes the master knows."""
        return len(self._fleet) if self._fleet is not None else 0

    def start(self) -> None:
        self._report()
        if self._fleet is None:
            # Not all at once: the workers of a cloud may start together.
            first = self._settings.heartbeat // 2 + self._draw.below(self._settings.heartbeat)
            self._port.after(max(1, first), Timer(BEAT, 0))

    def search(self, token: int, demand: Demand) -> None:
        if self._fleet is not None:
            self._port.candidates(token, self._choose(self._fleet, demand))
            return
        self._asked.add(token)
        self._port.send(self._settings.master, Ask(token, demand))
        timeout = self._settings.answer_timeout
        if timeout is not None:
            self._port.after(timeout, Timer(ANSWER, token))

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        self._free = free
        self._used = used
        self._containers = containers
        self._report()

    def admits(self, offer: int, demand: Demand) -> bool:
        return True

    def taken(self, offer: int) -> None:
        """There are no offers."""

    def came(self, node: int) -> None:
        """It reports to the master by itself."""

    def gone(self, node: int) -> None:
        if self._fleet is not None:
            self._fleet.drop(node)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """The master, with `lookup_master`: it gets what is true by now. After a failed look-up
        the next report is that of the next change or heartbeat."""
        self._looking = False
        if nodes:
            self._tell(nodes[0])

    def receive(self, sender: int, message: object) -> None:
        fleet = self._fleet
        if isinstance(message, Report):
            if fleet is not None:
                fleet.put(sender, message.free, message.used, message.containers)
        elif isinstance(message, Ask):
            chosen = self._choose(fleet, message.demand) if fleet is not None else ()
            self._port.send(sender, Choice(message.token, tuple(chosen)))
        elif isinstance(message, Choice) and message.token in self._asked:
            self._asked.remove(message.token)
            self._port.candidates(message.token, message.candidates)

    def fire(self, timer: Timer) -> None:
        if timer.kind == BEAT:
            self._report()
            self._port.after(self._settings.heartbeat, timer)
        elif timer.token in self._asked:
            self._asked.remove(timer.token)
            self._port.candidates(timer.token, ())

    def _report(self) -> None:
        if self._fleet is not None:
            self._fleet.put(self._own, self._free, self._used, self._containers)
        elif not self._settings.lookup_master:
            self._tell(self._settings.master)
        elif not self._looking:
            self._looking = True
            self._port.find(self._settings.master, LOOKUP, 1)

    def _tell(self, master: int) -> None:
        self._port.send(master, Report(self._free, self._used, self._containers))

    def _choose(self, fleet: Fleet, demand: Demand) -> list[Candidate]:
        chosen = fleet.best(demand, self._settings.choices)
        if chosen:
            fleet.reserve(chosen[0], demand)
        return chosen
