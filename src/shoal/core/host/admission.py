"""The node's own books: what it has promised to whom. Only they decide whether a node takes
work, so keepers that race each other never over-commit it.

A container has at most one entry, of its newest generation. An entry runs out (a reservation
while images move) or is held (the container may run or restart). Amounts that were not asked
for take nothing and are never refused; a whole core that is pinned counts as 1000 millicores
and belongs to one container. What containers that are not Shoal's are limited to counts too.
"""

import msgspec

from shoal.core.placement.fit import (
    bytes_text,
    core_trouble,
    cpu_need,
    cpus_text,
    taken_port,
    twice_wanted_port,
)
from shoal.model.ids import Generation, short
from shoal.model.resources import Capacity, HostPort, Load, Resources


class Refusal(msgspec.Struct, frozen=True):
    """Why a node does not take a container; `filter` is placement's name for it, or
    "generation"."""

    filter: str
    reason: str


class Reservation(msgspec.Struct, frozen=True):
    """One entry of the books. `expires` is monotonic ns, None while held. An adopted one was
    taken over from before without asking whether it fits."""

    container: str
    generation: Generation
    resources: Resources
    expires: int | None
    adopted: bool = False


class Ledger:
    """Reservations of one node. Times are monotonic ns, amounts millicores and bytes."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._entries: dict[str, Reservation] = {}
        self._foreign = Load()
        self._cpu = 0
        self._memory = 0

    @property
    def capacity(self) -> Capacity:
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: Capacity) -> None:
        """What the node has changed; what it had promised before stands, room or not."""
        shrinks = (
            capacity.cpu_millis < self._capacity.cpu_millis
            or capacity.memory < self._capacity.memory
        )
        self._capacity = capacity
        if shrinks:
            self._entries = {
                key: msgspec.structs.replace(entry, adopted=True)
                for key, entry in self._entries.items()
            }

    def admit(
        self,
        container: str,
        generation: Generation,
        resources: Resources,
        *,
        now: int,
        expires: int | None,
    ) -> Refusal | None:
        """Promise resources until `expires` (None: until released), or say why not.

        Asked again for the same generation it answers as before and lets the entry run longer,
        never shorter. A newer generation takes the older one's place, or leaves it as it is
        when refused; an older one is refused.
        """
        self.expire(now)
        entry = self._entries.get(container)
        if entry is not None:
            if generation < entry.generation:
                return Refusal(
                    "generation",
                    f"container {short(container)} has a newer generation here "
                    f"({entry.generation.key})",
                )
            if generation == entry.generation and resources == entry.resources:
                self.renew(container, generation, expires)
                return None
        refusal = self._refusal(container, resources)
        if refusal is None:
            self._put(Reservation(container, generation, resources, expires))
        return refusal

    def adopt(self, container: str, generation: Generation, resources: Resources) -> None:
        """Hold what is there already, room or not: a container found in the engine, an entry
        read back from disk after the node's capacity shrank. Older generations are ignored."""
        entry = self._entries.get(container)
        if entry is None or entry.generation < generation:
            self._put(Reservation(container, generation, resources, None, adopted=True))
        elif entry.generation == generation:
            self.hold(container, generation)

    def renew(self, container: str, generation: Generation, expires: int | None) -> bool:
        """Let an entry run until `expires` if that is later. False if there is none of this
        generation."""
        entry = self._entries.get(container)
        if entry is None or entry.generation != generation:
            return False
        if entry.expires is not None and (expires is None or expires > entry.expires):
            self._entries[container] = msgspec.structs.replace(entry, expires=expires)
        return True

    def hold(self, container: str, generation: Generation) -> bool:
        """Keep an entry until it is released. False if there is none of this generation."""
        return self.renew(container, generation, None)

    def limit(self, container: str, generation: Generation, expires: int) -> bool:
        """Let a held entry run out again, as for a container that was created and not started.
        False if there is none of this generation."""
        entry = self._entries.get(container)
        if entry is None or entry.generation != generation:
            return False
        self._entries[container] = msgspec.structs.replace(entry, expires=expires)
        return True

    def release(self, container: str, generation: Generation) -> bool:
        """Give back the entry of this generation or an older one. False if there is none."""
        entry = self._entries.get(container)
        if entry is None or entry.generation > generation:
            return False
        self._drop(entry)
        return True

    def expire(self, now: int) -> tuple[Reservation, ...]:
        """Drop the entries that have run out and return them."""
        over = tuple(
            entry
            for entry in self._entries.values()
            if entry.expires is not None and entry.expires <= now
        )
        for entry in over:
            self._drop(entry)
        return over

    def next_expiry(self) -> int | None:
        """When `expire` will next have something to drop."""
        times = (entry.expires for entry in self._entries.values() if entry.expires is not None)
        return min(times, default=None)

    def set_foreign(self, load: Load) -> None:
        """What containers that are not Shoal's take, in all."""
        self._foreign = load

    def get(self, container: str) -> Reservation | None:
        return self._entries.get(container)

    def reservations(self) -> tuple[Reservation, ...]:
        return tuple(self._entries.values())

    def load(self) -> Load:
        """What is promised in all: the hint that placement works with."""
        entries = self._entries.values()
        ports = [port for entry in entries for port in entry.resources.ports]
        cores = [core for entry in entries for core in entry.resources.pinned_cores]
        return Load(
            cpu_millis=self._cpu + self._foreign.cpu_millis,
            memory=self._memory + self._foreign.memory,
            containers=len(self._entries) + self._foreign.containers,
            ports=tuple(sorted({*ports, *self._foreign.ports})),
            pinned_cores=tuple(sorted({*cores, *self._foreign.pinned_cores})),
        )

    def validate(self) -> None:
        """Raise AssertionError unless the books add up and nothing admitted is over-committed.

        Adopted entries and what is not Shoal's may exceed the capacity: nobody asked the books.
        """
        entries = self._entries.values()
        assert self._cpu == sum(cpu_need(entry.resources) for entry in entries)
        assert self._memory == sum(entry.resources.memory for entry in entries)
        assert all(key == entry.container for key, entry in self._entries.items())
        admitted = [entry.resources for entry in entries if not entry.adopted]
        assert sum(map(cpu_need, admitted)) <= self.capacity.cpu_millis
        assert sum(one.memory for one in admitted) <= self.capacity.memory
        cores = [core for one in admitted for core in set(one.pinned_cores)]
        assert len(set(cores)) == len(cores)
        ports: list[HostPort] = []
        for one in admitted:
            assert taken_port(one.ports, ports) is None
            ports += one.ports

    def _refusal(self, container: str, wanted: Resources) -> Refusal | None:
        """What speaks against an entry, with the container's own older one out of the way."""
        others = [entry.resources for key, entry in self._entries.items() if key != container]
        cores = [core for one in others for core in one.pinned_cores]
        trouble = core_trouble(
            wanted.pinned_cores, (*cores, *self._foreign.pinned_cores), self.capacity
        )
        if trouble is not None:
            return Refusal("cores", trouble)
        need = cpu_need(wanted)
        own = self._entries.get(container)
        free = self.capacity.cpu_millis - self._foreign.cpu_millis - self._cpu
        free += cpu_need(own.resources) if own is not None else 0
        if need and need > free:
            reason = f"needs {cpus_text(need)} cpus, {cpus_text(max(free, 0))} free"
            return Refusal("cpu", reason)
        free = self.capacity.memory - self._foreign.memory - self._memory
        free += own.resources.memory if own is not None else 0
        if wanted.memory and wanted.memory > free:
            need_text, free_text = bytes_text(wanted.memory), bytes_text(max(free, 0))
            return Refusal("memory", f"needs {need_text} of memory, {free_text} free")
        return self._port_refusal(wanted, others)

    def _port_refusal(self, wanted: Resources, others: list[Resources]) -> Refusal | None:
        twice = twice_wanted_port(wanted.ports)
        if twice is not None:
            return Refusal("port", f"port {twice} is asked for twice")
        ports = [port for one in others for port in one.ports]
        taken = taken_port(wanted.ports, (*ports, *self._foreign.ports))
        return None if taken is None else Refusal("port", f"port {taken} is taken")

    def _put(self, entry: Reservation) -> None:
        old = self._entries.get(entry.container)
        if old is not None:
            self._drop(old)
        self._entries[entry.container] = entry
        self._cpu += cpu_need(entry.resources)
        self._memory += entry.resources.memory

    def _drop(self, entry: Reservation) -> None:
        del self._entries[entry.container]
        self._cpu -= cpu_need(entry.resources)
        self._memory -= entry.resources.memory
