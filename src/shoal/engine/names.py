"""Names and labels that our containers, and their volumes, carry in an engine.

Two tenants' volume `data` are two volumes, and a container found in an engine says by its
labels alone whose it is and which placement it belongs to.
"""

import re
from collections.abc import Mapping

from shoal.model.ids import Generation, short

CLOUD = "shoal.cloud"
NODE = "shoal.node"
VCLUSTER = "shoal.vcluster"
ID = "shoal.id"
GENERATION = "shoal.generation"
NAME = "shoal.name"

#: Labels that Shoal writes, hidden from users.
OURS = frozenset((CLOUD, NODE, VCLUSTER, ID, GENERATION, NAME))

_VCLUSTER_ID = re.compile(r"[0-9a-f]{32}\Z")


def vcluster_tag(vcluster: str) -> str:
    """Part of engine-side names that tells vclusters apart: the name, or 8 digits of the id."""
    return vcluster[:8] if _VCLUSTER_ID.match(vcluster) else vcluster


def engine_name(vcluster: str, identifier: str, generation: Generation) -> str:
    """Engine-side name of one placement of a container."""
    return f"shoal-{vcluster_tag(vcluster)}-{short(identifier)}-g{generation.counter}"


def volume_name(vcluster: str, volume: str) -> str:
    """Engine-side name of a vcluster's volume."""
    return f"shoal-{vcluster_tag(vcluster)}-{volume}"


def user_volume(vcluster: str, engine_side: str) -> str:
    """What users call the volume; a name that is not of this vcluster stays as it is."""
    return engine_side.removeprefix(f"shoal-{vcluster_tag(vcluster)}-")


def generation_label(generation: Generation) -> str:
    """Like Generation.key, but with the whole writer, so that it can be read back."""
    return f"{generation.counter}-{generation.stamp:x}-{generation.writer}"


def parse_generation(text: str) -> Generation | None:
    """The generation that a label names; None when it is not one of ours."""
    counter, _, rest = text.partition("-")
    stamp, _, writer = rest.partition("-")
    try:
        return Generation(int(counter), int(stamp, 16), writer)
    except ValueError:
        return None


def visible_labels(labels: Mapping[str, str] | None) -> dict[str, str]:
    """An engine's labels without those that Shoal wrote."""
    return {key: value for key, value in (labels or {}).items() if key not in OURS}
