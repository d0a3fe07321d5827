"""One node as placement sees it: what it said, and what was decided since."""

from typing import Final

from shoal.core.placement.fit import cpu_need
from shoal.model.node import NodeInfo
from shoal.model.resources import (
    DEFAULT_CPU_MILLIS,
    DEFAULT_MEMORY,
    HostPort,
    Load,
    Resources,
)

LEVELS: Final = 64


class NodeState:
    """Amounts in millicores and bytes. `used_*` and `containers` include decisions in flight.

    `level` (0 empty .. LEVELS-1 full) and `shelf` sort nodes for `pool`: nodes of one shelf
    have about the same size, and the same resource is their scarcer one.
    """

    __slots__ = (
        "containers", "cpu", "free_cpu", "free_memory", "images", "index", "info", "level",
        "load", "memory", "pending", "pinned", "ports", "salt", "shelf", "up", "used_cpu",
        "used_memory",
    )  # fmt: skip

    def __init__(self, index: int, salt: int, info: NodeInfo, *, up: bool) -> None:
        self.index = index
        self.salt = salt
        self.pending: dict[str, Resources] = {}
        self.describe(info, up=up)

    def describe(self, info: NodeInfo, *, up: bool) -> None:
        """Take over what the node says of itself."""
        self.info = info
        self.up = up
        self.images = frozenset(image.id for image in info.images)
        # An engine that has not answered yet reports nothing; 1 keeps divisions defined.
        self.cpu = max(info.capacity.cpu_millis, 1)
        self.memory = max(info.capacity.memory, 1)
        self.set_load(info.load)

    def set_load(self, load: Load) -> None:
        """Take over what the node has promised; decisions in flight stay on top of it."""
        self.load = load
        pending = self.pending.values()
        self.used_cpu = load.cpu_millis + sum(cpu_need(one) for one in pending)
        self.used_memory = load.memory + sum(one.memory for one in pending)
        self.containers = load.containers + len(self.pending)
        self._count_exclusive()
        self._settle()

    def add(self, key: str, resources: Resources) -> None:
        self.pending[key] = resources
        self._shift(resources, 1)

    def drop(self, key: str) -> None:
        self._shift(self.pending.pop(key), -1)

    def _shift(self, resources: Resources, sign: int) -> None:
        self.used_cpu += sign * cpu_need(resources)
        self.used_memory += sign * resources.memory
        self.containers += sign
        if resources.ports or resources.pinned_cores:
            self._count_exclusive()
        self._settle()

    def _count_exclusive(self) -> None:
        self.ports: tuple[HostPort, ...] = self.load.ports
        self.pinned: tuple[int, ...] = self.load.pinned_cores
        for resources in self.pending.values():
            self.ports += resources.ports
            self.pinned += resources.pinned_cores

    def _settle(self) -> None:
        self.free_cpu = self.info.capacity.cpu_millis - self.used_cpu
        self.free_memory = self.info.capacity.memory - self.used_memory
        count = self.containers
        cpu = max(self.used_cpu, count * DEFAULT_CPU_MILLIS) * LEVELS // self.cpu
        memory = max(self.used_memory, count * DEFAULT_MEMORY) * LEVELS // self.memory
        scarce_memory = memory > cpu
        self.level = min(memory if scarce_memory else cpu, LEVELS - 1)
        size = (self.cpu // 1000).bit_length() << 8 | (self.memory >> 30).bit_length()
        self.shelf = size << 1 | scarce_memory
