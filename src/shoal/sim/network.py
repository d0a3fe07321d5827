"""The network between simulated nodes: delay, loss, doubles, disorder, and cut links."""

from typing import Protocol

import msgspec

from shoal.sim.world import MILLISECOND, World


class Weather(msgspec.Struct):
    """How bad links are. Delays in ms; `loss`, `double` and `late` are probabilities, a late
    message takes up to `late_by` ms."""

    delay: float = 0.5
    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0
    late_by: float = 3000.0


class Port(Protocol):
    """Where messages arrive."""

    def received(self, sender: str, payload: bytes) -> None: ...


class Network:
    """Links between nodes by id. `blocked` holds the (from, to) pairs that nothing passes."""

    def __init__(self, world: World) -> None:
        self.weather = Weather()
        self.blocked: set[tuple[str, str]] = set()
        self.ports: dict[str, Port] = {}
        self._world = world
        self._random = world.random("network")

    def send(self, sender: str, to: str, payload: bytes) -> None:
        random, weather = self._random.random, self.weather
        if weather.loss and random() < weather.loss:
            return
        self._carry(sender, to, payload)
        if weather.double and random() < weather.double:
            self._carry(sender, to, payload)

    def _carry(self, sender: str, to: str, payload: bytes) -> None:
        random, weather = self._random.random, self.weather
        millis = weather.delay * (0.5 + random())
        if weather.late and random() < weather.late:
            millis += weather.late_by * random()
        self._world.after(int(millis * MILLISECOND), self._arrive, sender, to, payload)

    def _arrive(self, sender: str, to: str, payload: bytes) -> None:
        # Looked at on arrival: what was under way when the link was cut is lost too.
        if (sender, to) not in self.blocked and to in self.ports:
            self.ports[to].received(sender, payload)

    def both_ways(self, one: str, other: str) -> bool:
        return (one, other) not in self.blocked and (other, one) not in self.blocked

    def part(self, groups: list[list[str]]) -> None:
        """Cut all links between groups, both ways."""
        side = {node: number for number, group in enumerate(groups) for node in group}
        for one in side:
            for other in side:
                if side[one] != side[other]:
                    self.blocked.add((one, other))

    def heal(self) -> None:
        self.blocked.clear()


def tag_of(payload: bytes) -> str:
    """The kind of message in an envelope, read without decoding it."""
    at = payload.index(b"\xa4type", 0, 48) + 5
    length = payload[at] & 0x1F
    return payload[at + 1 : at + 1 + length].decode()
