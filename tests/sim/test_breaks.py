"""The checks see what they are there for: each mechanism is taken away once, and some seed
notices. The switches are here, none is in the program."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from shoal.core import messages as m
from shoal.core.effects import EngineCall
from shoal.core.host.entry import Entry
from shoal.core.host.runner import Runner
from shoal.core.keeper.keeper import Keeper
from shoal.core.keeper.replication import Replication
from shoal.core.keeper.rivals import Rivals
from shoal.core.members import Members
from shoal.sim.disk import Disk
from shoal.sim.faults import Plan
from shoal.sim.run import run

Break = Callable[[pytest.MonkeyPatch], None]

#: Seeds tried until one notices.
TRIED = 60


def skip_the_fsync(patch: pytest.MonkeyPatch) -> None:
    """Effects leave before their step is on disk."""
    commit = Disk.commit

    def hasty(self: Disk, writes: Any, done: Callable[[], None]) -> None:
        commit(self, writes, lambda: None)
        done()

    patch.setattr(Disk, "commit", hasty)


def acknowledge_before_the_copy(patch: pytest.MonkeyPatch) -> None:
    """Answers do not wait for a second disk."""
    patch.setattr(Replication, "durable", lambda self, stamp: True)


def let_absence_remove(patch: pytest.MonkeyPatch) -> None:
    """A keeper ends what it has no records of."""
    weigh = Rivals._weigh

    def heartless(
        self: Rivals, sender: str, held: m.Held, superseded: list[str], wanted: list[str]
    ) -> None:
        if held.id not in self._board.containers:
            order = m.Release(self._vcluster, held.id, held.generation)
            self._context.send(sender, order)
            return
        weigh(self, sender, held, superseded, wanted)

    patch.setattr(Rivals, "_weigh", heartless)


def drop_the_idempotency_of_creates(patch: pytest.MonkeyPatch) -> None:
    """A create that is sent again is taken for another one."""

    def forgetful(self: Keeper, sender: str, request: str, operation: Any) -> None:
        self._begin_create(operation)
        create(self, sender, request, operation)

    create = Keeper._create
    patch.setattr(Keeper, "_create", forgetful)
    patch.setattr(Keeper, "ask", _ask_without_memory)


def _ask_without_memory(self: Keeper, sender: str, message: m.Ask) -> None:
    self._waiters.open.pop(message.request, None)
    self._waiters._answers.pop(message.request, None)
    _ask(self, sender, message)


_ask = Keeper.ask


def drop_the_idempotency_of_engine_creates(patch: pytest.MonkeyPatch) -> None:
    """Each try of a create makes a container under a name of its own."""
    create = Runner._create

    def again(self: Runner, entry: Entry) -> None:
        create(self, entry)
        call = self._context.effects.pop()
        assert isinstance(call, EngineCall)
        name = f"{call.name}-{self._calls}"
        self._context.emit(msgspec.structs.replace(call, name=name))

    patch.setattr(Runner, "_create", again)


def admit_everything(patch: pytest.MonkeyPatch) -> None:
    """Hosts take any work, room or not."""
    patch.setattr(Runner, "admit", lambda self, entry: None)


def never_dial_the_dead(patch: pytest.MonkeyPatch) -> None:
    """Members believed dead are not dialled."""
    patch.setattr(Members, "redial", lambda self: None)


#: What is taken away, and the trouble in which it is missed: families of faults, operations
#: a second, how long commits and messages take (ms).
BREAKS: list[tuple[Break, tuple[str, ...], float, float, float]] = [
    (skip_the_fsync, ("blackout",), 4.0, 400.0, 0.5),
    (acknowledge_before_the_copy, ("loss",), 12.0, 1.0, 0.5),
    (let_absence_remove, ("partition", "power"), 4.0, 1.0, 0.5),
    (drop_the_idempotency_of_creates, ("weather",), 4.0, 1.0, 0.5),
    (drop_the_idempotency_of_engine_creates, ("crash", "engine"), 4.0, 1.0, 0.5),
    (admit_everything, ("partition",), 4.0, 1.0, 0.5),
    (never_dial_the_dead, ("partition",), 4.0, 1.0, 0.5),
]


@pytest.mark.parametrize(
    ("broken", "families", "rate", "fsync", "delay"),
    BREAKS,
    ids=[one[0].__name__ for one in BREAKS],
)
def test_a_broken_mechanism_is_caught(
    broken: Break,
    families: tuple[str, ...],
    rate: float,
    fsync: float,
    delay: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in range(TRIED):
        plan = Plan(seed, 3 + seed % 3, families, rate, fsync=fsync, delay=delay)
        broken(monkeypatch)
        wrong = run(plan).wrong
        monkeypatch.undo()
        if wrong:
            with capsys.disabled():
                print(f"\n{broken.__name__}: seed {seed}: {wrong[0]}")  # noqa: T201
            assert run(plan).wrong == [], "it is wrong unbroken, too"
            return
    pytest.fail(f"{broken.__name__}: none of {TRIED} seeds noticed")
