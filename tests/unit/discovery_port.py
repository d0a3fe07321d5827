"""A port that remembers what one discovery core did."""

from collections.abc import Sequence
from typing import Any

from shoal.core.discovery.contract import Candidate, Demand
from shoal.core.discovery.presets import CARAVELA
from shoal.core.ring.port import Timer

MB = 1_000_000
SECOND = 1_000_000_000
MINUTE = 60 * SECOND


def demand(cpu_class: int, cores: float, megabytes: int) -> Demand:
    """Resources in the original's units."""
    return Demand(cpu_class, round(cores * 1000), megabytes * MB)


def partition_of(cpu_class: int, cores: int, megabytes: int) -> int:
    """The index of a partition of the original's table."""
    wanted = demand(cpu_class, cores, megabytes)
    return next(leaf.index for leaf in CARAVELA.leaves if leaf.demand == wanted)


def node_in(partition: int, number: int = 0) -> int:
    """A position in a partition of the original's table."""
    return CARAVELA.leaves[partition].start + 1000 + number


class RecordingPort:
    """What a core did since it was last asked, in lists."""

    def __init__(self) -> None:
        self.now = 0
        self.sent: list[tuple[int, Any]] = []
        self.timers: list[tuple[int, Timer]] = []
        self.finds: list[tuple[int, int, int]] = []
        self.answers: dict[int, list[Candidate]] = {}
        self.announced: list[tuple[Demand, Demand, int]] = []
        self.placements: dict[int, int | None] = {}
        self.around: tuple[int | None, int | None] = (None, None)

    def send(self, to: int, message: object) -> None:
        self.sent.append((to, message))

    def after(self, delay: int, timer: Timer) -> None:
        self.timers.append((delay, timer))

    def find(self, key: int, token: int, count: int) -> None:
        self.finds.append((key, token, count))

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        raise AssertionError("the ring answers the core, not its port")

    def neighbours(self) -> tuple[int | None, int | None]:
        return self.around

    def announce(self, free: Demand, used: Demand, containers: int) -> None:
        self.announced.append((free, used, containers))

    def candidates(self, token: int, found: Sequence[Candidate]) -> None:
        assert token not in self.answers
        self.answers[token] = list(found)

    def placed(self, token: int, node: int | None) -> None:
        assert token not in self.placements
        self.placements[token] = node

    def take_sent(self) -> list[tuple[int, Any]]:
        sent, self.sent = self.sent, []
        return sent

    def take_finds(self) -> list[tuple[int, int, int]]:
        finds, self.finds = self.finds, []
        return finds
