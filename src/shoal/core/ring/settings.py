"""How a node takes part in the ring. All nodes of a ring share `successors` and `base`."""

from typing import Literal

import msgspec

SECOND = 1_000_000_000

Mode = Literal["recursive", "iterative"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations are ns. The defaults suit a ring over many sites.

    successors: length of the successor list. The ring survives as long as no node loses all of
        its successors within one `stabilise_every`; each more costs 8 bytes of state and of
        every State message.
    base: fingers stand at distances j * base**k, 0 < j < base. Look-ups take about
        log(n) / log(base) * (base - 1) / base hops over (base - 1) * log(n) / log(base) fingers.
        A power of two whose logarithm divides 64.
    mode: recursive look-ups are passed on from node to node and cost one message a hop;
        iterative ones are asked step by step, cost two, and notice dead nodes on the way.
    maintenance: False in a simulation where no node comes, goes or is lost: then stabilising
        and fixing fingers changes nothing, and no timer is set for them.
    find_timeout: 0 if the network loses nothing: then no timer is set for look-ups.
    find_tries: attempts at a recursive look-up, each by another finger, before it is asked
        step by step.
    fixes: fingers that are looked up again every `fix_every`.
    query_tries: unanswered queries after which a neighbour counts as dead. One that was only
        unlucky is taken back as soon as its successor is asked.
    hops: bound on the messages of one look-up.
    remembered, probes: how many departed nodes are kept, and asked every `probe_every`.
    """

    successors: int = 4
    base: int = 2
    mode: Mode = "recursive"
    maintenance: bool = True
    stabilise_every: int = 10 * SECOND
    fix_every: int = 30 * SECOND
    fixes: int = 2
    query_timeout: int = SECOND
    query_tries: int = 3
    find_timeout: int = 2 * SECOND
    find_tries: int = 2
    hops: int = 255
    probe_every: int = 10 * SECOND
    probes: int = 3
    remembered: int = 32

    def __post_init__(self) -> None:
        if self.base not in (2, 4, 16, 256):
            raise ValueError(f"ring base {self.base} is not one of 2, 4, 16, 256")
        if self.successors < 1:
            raise ValueError(f"a ring needs at least 1 successor, not {self.successors}")
