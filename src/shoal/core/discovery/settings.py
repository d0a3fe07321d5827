"""What can be set about a strategy. All nodes of a cloud share one."""

from typing import Final, Literal

import msgspec

from shoal.core.discovery.contract import Policy
from shoal.core.discovery.partitions import Partitions
from shoal.core.discovery.presets import CARAVELA

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND

Variant = Literal["single", "multiple", "multiple-updates"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Times are ns.

    table: what lies where on the circle.
    policy: how candidates are ranked; with "spread" a single offer is looked for from the largest
        partition downwards.
    ask: how many nodes each look-up returns; they are asked one after the other.
    answer_timeout: a question unanswered for so long counts as answered with nothing; None where
        no answer is ever lost, it saves a timer for each question.

    estimate, scale: spacing of the super-traders (see `Targets`); estimate None for no
        super-traders. Too small an estimate means fewer and hotter traders.
    climb: single offers: how many partitions beyond the first are tried, None for all. (The
        original's MaxPartitionsSearch 3 tries two: climb=1. Its 1 tries all: climb=None.)
    tries: multiple offers: how many traders of the one partition are tried; random: how many
        places on the circle.
    limit: of the fitting offers a trader answers with so many, the best by the policy.
    supply_interval: how soon a supplier that found no trader tries again.
    refresh_interval: how often a trader asks whether an offer stands; refreshes_failed such
        questions without answer and it is dropped.
    check_interval: how often a supplier looks at its offers: one that no trader has asked about
        for refreshes_missed intervals and refresh_timeout is offered elsewhere. None for never,
        where no trader dies.
    advertise: how often a trader tells its neighbours on the ring that it has offers; None for
        never, and then nothing is relayed.
    partition_state: buffer size of the hit counters that make buyers skip partitions without
        offers; None for no counters.
    choices: views and masters: how many candidates a search answers with.
    heartbeat: central: how often a worker repeats what it has.
    master: central: the position of the master.

    The original's errors, for comparison only:
    answer_all: a trader answers with all its offers, whether they fit or not.
    forget_used: a trader keeps only what is free, so the policy sees demand / free and no
        container counts.
    keep_full: a supplier that has become full leaves its other offers with their traders.
    recreate: an offer that a launch used, and a single offer whose amounts changed, is removed
        and made anew at another trader instead of updated; a launch by an offer that is gone is
        refused though there may be room.
    lookup_master: central: a worker looks the master up on the ring before each report, though
        its position is known.
    """

    table: Partitions = CARAVELA
    policy: Policy = "binpack"
    ask: int = 3
    answer_timeout: int | None = 5 * SECOND

    estimate: int | None = None
    scale: int = 7
    climb: int | None = None
    tries: int = 1
    limit: int = 32
    supply_interval: int = MINUTE
    refresh_interval: int = 15 * MINUTE
    refresh_timeout: int = MINUTE
    refreshes_failed: int = 3
    refreshes_missed: int = 2
    check_interval: int | None = 15 * MINUTE + 30 * SECOND
    advertise: int | None = None
    partition_state: int | None = None
    choices: int = 8
    heartbeat: int = 15 * MINUTE
    master: int = 0

    answer_all: bool = False
    forget_used: bool = False
    keep_full: bool = False
    recreate: bool = False
    lookup_master: bool = False
