"""How good a node is for a request: whole numbers, higher is better, equal on every machine.

Shares are millionths of what a node has. A container without sizes would weigh nothing, so a
node counts as at least DEFAULT_CPU_MILLIS and DEFAULT_MEMORY full for each container on it.
"""

import hashlib
from typing import Final

from shoal.core.placement.fit import cpu_need
from shoal.core.placement.request import PlacementRequest
from shoal.core.placement.state import NodeState
from shoal.model.resources import DEFAULT_CPU_MILLIS, DEFAULT_MEMORY

ONE: Final = 1_000_000
#: Having the image is worth 5% of a node: it saves a transfer, it does not fill a node.
IMAGE_BONUS: Final = 50_000
#: Of two equally full nodes the one with fewer containers.
CONTAINER_WEIGHT: Final = 1_000

_MASK: Final = (1 << 64) - 1


class Scorer:
    """Scores nodes for one request."""

    __slots__ = ("_binpack", "_cpu", "_image", "_memory")

    def __init__(self, request: PlacementRequest) -> None:
        self._cpu = cpu_need(request.resources)
        self._memory = request.resources.memory
        self._image = request.image_id
        self._binpack = request.rules.strategy == "binpack"

    def score(self, state: NodeState) -> int:
        """Spread prefers the node that is emptiest afterwards, by its scarcer resource; binpack
        the fullest by the mean of both, except that unsized containers do not overfill it."""
        count = state.containers + 1
        cpu = max(state.used_cpu + self._cpu, count * DEFAULT_CPU_MILLIS) * ONE // state.cpu
        memory = max(state.used_memory + self._memory, count * DEFAULT_MEMORY) * ONE // state.memory
        bonus = IMAGE_BONUS if self._image and self._image in state.images else 0
        fullest = max(memory, cpu)
        if not self._binpack:
            return ONE - fullest - count * CONTAINER_WEIGHT + bonus
        if fullest > ONE:
            return ONE - fullest
        return (cpu + memory) // 2 + bonus


def seed_of(key: str) -> int:
    """64 bits that stand for a container id in tie-breaks and probing."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])


def tie_break(seed: int, salt: int) -> int:
    """Order among equals: differs by container, so that racing keepers do not all choose the
    same node, and is the same for one container wherever it is computed."""
    mixed = ((seed ^ salt) * 0x9E3779B97F4A7C15) & _MASK
    return ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) & _MASK
