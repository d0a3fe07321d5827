"""The classes of messages: for which core, and how each counts."""

from typing import get_args

import msgspec

from shoal.core.discovery import launch, messages
from shoal.core.ring import messages as ring
from shoal.sim.experiments.hints import Hint
from shoal.sim.experiments.metrics import DISCOVERY, LAUNCH, MEMBERSHIP, RING, Kind

_QUESTIONS = (
    messages.GetOffers,
    messages.Carried,
    messages.GetFree,
    messages.Ask,
    launch.Launch,
)
"""What a request pays for if it carries its token: questions and launches. Answers are free, as in
the original."""

_LOOKUPS = (ring.Find, ring.Found, ring.Step, ring.Stepped)
"""Look-ups serve discovery; everything else of the ring is its upkeep."""


def kinds() -> dict[type, Kind]:
    """A fresh counter for every class of message that nodes send."""
    made: dict[type, Kind] = {}
    for core, classes in (
        (RING, _members(ring.RingMessage)),
        (DISCOVERY, _members(messages.DiscoveryMessage)),
        (LAUNCH, _members(launch.LaunchMessage)),
        (MEMBERSHIP, (Hint,)),
    ):
        for one in classes:
            made[one] = Kind(
                _name(core, one),
                core,
                traced=one in _QUESTIONS,
                upkeep=core == MEMBERSHIP or (core == RING and one not in _LOOKUPS),
            )
    return made


def _members(union: object) -> tuple[type[msgspec.Struct], ...]:
    return get_args(union)


def _name(core: int, kind: type) -> str:
    return f"{('ring', 'discovery', 'launch', 'membership')[core]}.{kind.__name__}"
