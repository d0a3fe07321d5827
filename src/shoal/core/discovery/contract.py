"""What a discovery strategy is: what it is told, what it answers, what it may do to the world.

Nodes are named by their position on the circle. Amounts are millicores and bytes, times
monotonic ns. Tokens of requests are greater than zero; look-ups that a node makes for itself have
tokens below zero, so that nobody counts them as a request's.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol, get_args

import msgspec

from shoal.core.ring.port import Port, Timer

Policy = Literal["binpack", "spread"]
StrategyName = Literal["single", "multiple", "multiple-updates", "random", "central", "view"]
STRATEGIES: Final[tuple[StrategyName, ...]] = get_args(StrategyName)


class Demand(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Resources: what a container asks for, what a node has free, what a partition stands for.

    `cpu_class` is 0 for slow and 1 for fast cores, `cpus` millicores, `memory` bytes.
    """

    cpu_class: int
    cpus: int
    memory: int

    def fits(self, free: "Demand") -> bool:
        """Whether a node with so much free can take this; a faster class serves a slower one."""
        return (
            self.cpus <= free.cpus
            and self.memory <= free.memory
            and self.cpu_class <= free.cpu_class
        )


class Candidate(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A node that may take a container, by one of its offers (0 where there are none).

    `used` and `containers` are what runs there; a trader that keeps only what is free says 0.
    """

    node: int
    offer: int
    free: Demand
    used: Demand
    containers: int


class DiscoveryPort(Port, Protocol):
    """What a strategy of one node may do."""

    def find(self, key: int, token: int, count: int) -> None:
        """Look up a key's owner and the nodes after it, `count` in all; answered by `found`."""
        ...

    def neighbours(self) -> tuple[int | None, int | None]:
        """Predecessor and successor on the ring as the node knows them now, at no cost."""
        ...

    def announce(self, free: Demand, used: Demand, containers: int) -> None:
        """Let membership tell the other nodes of the site what this one has now."""
        ...

    def candidates(self, token: int, found: Sequence[Candidate]) -> None:
        """The answer to `search`: nodes to try, empty if none was found."""
        ...


class Discovery(Protocol):
    """One node's part in finding free resources."""

    @property
    def held(self) -> int:
        """How many offers of others, or how many others, the node keeps."""
        ...

    def start(self) -> None:
        """Say what the node has: first offers, first hint, or nothing."""
        ...

    def search(self, token: int, demand: Demand) -> None:
        """Look for nodes that can take this; answered once by the port's `candidates`."""
        ...

    def changed(self, free: Demand, used: Demand, containers: int) -> None:
        """The node's own resources are these now (after a launch or a stop)."""
        ...

    def admits(self, offer: int, demand: Demand) -> bool:
        """Whether a launch may still refer to this offer of ours. The ledger decides beside it."""
        ...

    def taken(self, offer: int) -> None:
        """A launch has used this offer of ours; `changed` follows."""
        ...

    def came(self, node: int) -> None:
        """Membership sees a node that was not there."""
        ...

    def gone(self, node: int) -> None:
        """Membership holds a node for dead, or it has left."""
        ...

    def receive(self, sender: int, message: object) -> None:
        """A message of `messages.DiscoveryMessage` came."""
        ...

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        """The answer to a look-up of ours, () if it failed."""
        ...

    def fire(self, timer: Timer) -> None:
        """A timer of ours has come; one that no longer matters is ignored."""
        ...
