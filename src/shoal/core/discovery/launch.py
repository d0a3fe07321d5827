"""From a request to a running container: search, rank, ask suppliers in order until one accepts.

A launch is named by the buyer and the request's token, so that it can be repeated and stopped.
The supplier's ledger decides, whatever the offers said; with `Settings.recreate` a launch by an
offer that is gone is refused, too.
"""

from collections.abc import Collection, Iterable
from typing import Final, Protocol

import msgspec

from shoal.core.discovery.contract import Candidate, Demand, Discovery, Policy
from shoal.core.discovery.ledger import Ledger
from shoal.core.discovery.rank import Ranking
from shoal.core.ring.port import Port, Timer

ANSWER: Final = "launch.answer"


class Launch(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ll"):
    """Buyer to supplier: start a container by this offer (0 if there are none)."""

    token: int
    offer: int
    demand: Demand


class Launched(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="la"):
    """The answer: whether it runs."""

    token: int
    ok: bool


class Stop(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ls"):
    """Buyer to supplier: end the container of a request. Not answered."""

    token: int


LaunchMessage = Launch | Launched | Stop


class LaunchPort(Port, Protocol):
    """What a launcher may do."""

    def placed(self, token: int, node: int | None) -> None:
        """The outcome of a request: the node its container runs on, None if it failed."""
        ...


class _Request:
    """A request under way. `ranking` is None until candidates are known."""

    __slots__ = ("avoid", "deadline", "demand", "node", "ranking", "timed")

    def __init__(self, demand: Demand, avoid: Collection[int]) -> None:
        self.demand = demand
        self.avoid = avoid
        self.ranking: Ranking | None = None
        self.node: int | None = None
        self.deadline = 0
        self.timed = False


class Launcher:
    """One node's launches, as a buyer and as a supplier.

    `timeout`: ns until a supplier that does not answer is given up, None where no answer is ever
    lost.
    """

    __slots__ = (
        "_discovery",
        "_policy",
        "_port",
        "_requests",
        "_running",
        "_timeout",
        "ledger",
    )

    def __init__(
        self,
        *,
        port: LaunchPort,
        ledger: Ledger,
        discovery: Discovery,
        policy: Policy,
        timeout: int | None,
    ) -> None:
        self._port = port
        self.ledger = ledger
        self._discovery = discovery
        self._policy: Policy = policy
        self._timeout = timeout
        self._requests: dict[int, _Request] = {}
        self._running: dict[int, int] = {}

    def submit(self, token: int, demand: Demand, avoid: Collection[int] = ()) -> None:
        """Place a container anywhere but on the nodes of `avoid`; answered by `placed`."""
        self._requests[token] = _Request(demand, avoid)
        self._discovery.search(token, demand)

    def candidates(self, token: int, found: Iterable[Candidate]) -> None:
        """Discovery's answer."""
        request = self._requests.get(token)
        if request is not None:
            request.ranking = Ranking(found, request.demand, self._policy)
            self._try_next(token, request)

    def stop(self, token: int) -> None:
        """End a request's container, or the request, which is then not answered any more."""
        request = self._requests.pop(token, None)
        node = request.node if request is not None else self._running.pop(token, None)
        if node is not None:
            self._port.send(node, Stop(token))

    def receive(self, sender: int, message: LaunchMessage) -> None:
        if isinstance(message, Launch):
            self._launch(sender, message)
        elif isinstance(message, Launched):
            self._launched(sender, message)
        else:
            self._end(sender, message.token)

    def fire(self, timer: Timer) -> None:
        """A supplier may not have answered in time: it may run the container all the same."""
        request = self._requests.get(timer.token)
        if request is None:
            return
        request.timed = False
        if request.node is None:
            return
        if self._port.now < request.deadline:
            self._watch(timer.token, request)
            return
        self._port.send(request.node, Stop(timer.token))
        self._try_next(timer.token, request)

    def _try_next(self, token: int, request: _Request) -> None:
        assert request.ranking is not None
        candidate = request.ranking.next()
        while candidate is not None and candidate.node in request.avoid:
            candidate = request.ranking.next()
        if candidate is None:
            del self._requests[token]
            self._port.placed(token, None)
            return
        request.node = candidate.node
        if self._timeout is not None:
            request.deadline = self._port.now + self._timeout
            if not request.timed:
                self._watch(token, request)
        self._port.send(candidate.node, Launch(token, candidate.offer, request.demand))

    def _launched(self, sender: int, message: Launched) -> None:
        token = message.token
        request = self._requests.get(token)
        if request is None or sender != request.node:
            if message.ok and self._running.get(token) != sender:
                self._port.send(sender, Stop(token))  # too late: it was given up
            return
        if message.ok:
            del self._requests[token]
            self._running[token] = sender
            self._port.placed(token, sender)
        else:
            self._try_next(token, request)

    def _launch(self, buyer: int, message: Launch) -> None:
        ledger, discovery = self.ledger, self._discovery
        key = (buyer, message.token)
        ok = ledger.runs(key)
        if not ok:
            ok = discovery.admits(message.offer, message.demand) and ledger.take(
                key, message.demand
            )
            if ok:
                discovery.taken(message.offer)
            # Also after a refusal: whoever thought that there is room should know better.
            discovery.changed(ledger.free, ledger.used, ledger.containers)
        self._port.send(buyer, Launched(message.token, ok))

    def _end(self, buyer: int, token: int) -> None:
        ledger = self.ledger
        if ledger.give((buyer, token)):
            self._discovery.changed(ledger.free, ledger.used, ledger.containers)

    def _watch(self, token: int, request: _Request) -> None:
        request.timed = True
        self._port.after(max(1, request.deadline - self._port.now), Timer(ANSWER, token))
