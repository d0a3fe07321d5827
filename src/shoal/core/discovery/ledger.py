"""What one node has, and what runs on it: the smallest set of books that never over-commits."""

from shoal.core.discovery.contract import Demand

#: A container: the buyer's position and the token of its request.
Key = tuple[int, int]


class Ledger:
    """One node's resources. `free` and `used` sum to the total at any time."""

    __slots__ = ("_running", "free", "used")

    def __init__(self, total: Demand) -> None:
        self.free = total
        self.used = Demand(total.cpu_class, 0, 0)
        self._running: dict[Key, Demand] = {}

    @property
    def containers(self) -> int:
        """How many run."""
        return len(self._running)

    def runs(self, key: Key) -> bool:
        """Whether a container runs here."""
        return key in self._running

    def take(self, key: Key, demand: Demand) -> bool:
        """Take resources for a container; False, and nothing changed, if there is no room."""
        if key in self._running or not demand.fits(self.free):
            return False
        self._running[key] = demand
        self._move(demand.cpus, demand.memory)
        return True

    def give(self, key: Key) -> bool:
        """A container has ended; False if none of this name ran."""
        demand = self._running.pop(key, None)
        if demand is None:
            return False
        self._move(-demand.cpus, -demand.memory)
        return True

    def _move(self, cpus: int, memory: int) -> None:
        free, used = self.free, self.used
        self.free = Demand(free.cpu_class, free.cpus - cpus, free.memory - memory)
        self.used = Demand(used.cpu_class, used.cpus + cpus, used.memory + memory)
