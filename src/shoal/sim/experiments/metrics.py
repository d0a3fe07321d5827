"""What a run counts: per kind of message, per request, per window of time.

Counters of single nodes live in the nodes themselves. Counted is what is received, as in the
original. A request's messages are the submission, the hops and the answer of its look-ups, and
its queries and launches without their answers.

Visits are counted apart, to compare: the original's look-ups end at the key's owner, ours at the
node before it, which knows the owner. Each look-up that took a hop would be one message more, for
the request and for the owner.
"""

from array import array
from dataclasses import dataclass, field

from shoal.core.discovery.contract import Demand

RING, DISCOVERY, LAUNCH, MEMBERSHIP = range(4)
"""Which core of a node a message is for."""


class Kind:
    """A class of messages: where it goes, how it counts, and how many there were.

    traced: counts for the request whose token it carries. upkeep: is the ring's maintenance,
    counted in columns of its own.
    """

    __slots__ = ("bytes", "core", "count", "name", "traced", "upkeep")

    def __init__(self, name: str, core: int, *, traced: bool, upkeep: bool) -> None:
        self.name = name
        self.core = core
        self.traced = traced
        self.upkeep = upkeep
        self.count = 0
        self.bytes = 0


PARTS = 8
"""Bits of a request's tokens that number its parts; the rest is its row + 1."""

MOST_PARTS = 1 << PARTS


class Requests:
    """One row for every request, in arrays; a request is named by its row.

    asked, ended, running: ms of virtual time, -1 for "not yet": when it came, when it was
    answered, when its containers run. entry: index of the node that got it. messages, hops: what
    it cost; visits: of owners, not among the messages. ok: whether it was placed; over: whether
    its containers were ended.
    """

    COLUMNS = (
        ("asked", "i"),
        ("ended", "i"),
        ("running", "i"),
        ("entry", "i"),
        ("group", "i"),
        ("containers", "B"),
        ("cpus", "i"),
        ("memory", "q"),
        ("messages", "i"),
        ("hops", "i"),
        ("visits", "i"),
        ("ok", "b"),
        ("over", "b"),
    )
    __slots__ = ("allocated_cpus", "allocated_memory", *(name for name, _ in COLUMNS))

    asked: "array[int]"
    ended: "array[int]"
    running: "array[int]"
    entry: "array[int]"
    group: "array[int]"
    containers: "array[int]"
    cpus: "array[int]"
    memory: "array[int]"
    messages: "array[int]"
    hops: "array[int]"
    visits: "array[int]"
    ok: "array[int]"
    over: "array[int]"

    def __init__(self) -> None:
        for name, code in self.COLUMNS:
            setattr(self, name, array(code))
        self.allocated_cpus = 0
        self.allocated_memory = 0

    def add(self, *, now: int, entry: int, group: int, demands: tuple[Demand, ...]) -> int:
        """A new request; its submission is its first message."""
        self.asked.append(now)
        self.ended.append(-1)
        self.running.append(-1)
        self.entry.append(entry)
        self.group.append(group)
        self.containers.append(len(demands))
        self.cpus.append(sum(demand.cpus for demand in demands))
        self.memory.append(sum(demand.memory for demand in demands))
        self.messages.append(1)
        self.hops.append(0)
        self.visits.append(0)
        self.ok.append(0)
        self.over.append(0)
        return len(self.asked) - 1

    def end(self, row: int, *, now: int, ok: bool, running: int) -> None:
        """A request is answered: at `now`; its containers run from `running` on."""
        self.ended[row] = now
        if ok:
            self.ok[row] = 1
            self.running[row] = running
            self.allocated_cpus += self.cpus[row]
            self.allocated_memory += self.memory[row]

    def efficiency(self) -> float:
        """Mean of the shares of cpus and memory that were allocated of what was asked for."""
        cpus, memory = sum(self.cpus), sum(self.memory)
        if not cpus or not memory:
            return 0.0
        return (self.allocated_cpus / cpus + self.allocated_memory / memory) / 2


@dataclass(slots=True)
class Window:
    """What happened in a stretch of time; the lists are boxes (`quantiles.box`) over nodes or
    requests, `heat` the mean use of each band of nodes, smallest machines first."""

    end: int
    requests: int = 0
    succeeded: int = 0
    stops: int = 0
    messages: int = 0
    nodes: int = 0
    use: float = 0.0
    efficiency: float = 0.0
    request_messages: list[float] = field(default_factory=list)
    node_messages: list[float] = field(default_factory=list)
    node_bytes: list[float] = field(default_factory=list)
    offers: list[float] = field(default_factory=list)
    state: list[float] = field(default_factory=list)
    busiest: float = 0.0
    heat: list[float] = field(default_factory=list)
