"""A disk: what was synced survives a crash, what was not may or may not.

As in the daemon's store, the writes of one step are atomic, steps reach the disk in order, and
those that wait while others are being written share the next commit.
"""

from collections.abc import Callable, Sequence
from random import Random

from shoal.core.effects import Delete, Put, Write
from shoal.sim.world import MILLISECOND, World

Done = Callable[[], None]


class Disk:
    """Keys and values of one host. `fsync` is how long a commit takes, in ms."""

    def __init__(self, world: World, random: Random) -> None:
        self.fsync = 1.0
        self.stored: dict[tuple[str, str], bytes] = {}
        self.torn = 0  # crashes that kept some steps of a commit and lost others
        self._world = world
        self._random = random
        self._waiting: list[tuple[Sequence[Write], Done]] = []
        self._writing: list[tuple[Sequence[Write], Done]] = []
        self._life = 0

    def load(self) -> list[tuple[str, str, bytes]]:
        return [(space, key, value) for (space, key), value in self.stored.items()]

    @property
    def busy(self) -> bool:
        """Whether anything is not on disk yet."""
        return bool(self._writing or self._waiting)

    def commit(self, writes: Sequence[Write], done: Done) -> None:
        """Call `done` when these writes, and all before them, are on disk."""
        self._waiting.append((writes, done))
        if not self._writing:
            self._begin()

    def _begin(self) -> None:
        self._writing, self._waiting = self._waiting, []
        millis = self.fsync * (0.5 + self._random.random())
        self._world.after(int(millis * MILLISECOND), self._synced, self._life)

    def _synced(self, life: int) -> None:
        if life != self._life:
            return
        written, self._writing = self._writing, []
        for writes, _ in written:
            self._apply(writes)
        if self._waiting:
            self._begin()
        for _, done in written:
            done()

    def _apply(self, writes: Sequence[Write]) -> None:
        for write in writes:
            match write:
                case Put():
                    self.stored[write.space, write.key] = write.value
                case Delete():
                    self.stored.pop((write.space, write.key), None)

    def crash(self) -> None:
        """Of what was not synced, the first so many steps are kept: none, some or all."""
        self._life += 1
        unsynced = self._writing + self._waiting
        self._writing, self._waiting = [], []
        kept = self._random.randint(0, len(unsynced))
        if 0 < kept < len(unsynced):
            self.torn += 1
        for writes, _ in unsynced[:kept]:
            self._apply(writes)
