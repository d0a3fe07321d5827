"""A node is never over-committed, whatever sequence of calls its ledger sees."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shoal.core.host.admission import Ledger
from shoal.core.placement.fit import cpu_need
from shoal.model.ids import Generation
from shoal.model.resources import Capacity, HostPort, Load, Resources

MIB = 1 << 20

containers = st.sampled_from(("a", "b", "c", "d"))
generations = st.integers(1, 3).map(lambda counter: Generation(counter, counter, "w"))
amounts = st.sampled_from((0, 100, 500, 1000, 2000, 5000))
memories = st.sampled_from((0, 64, 512, 1024, 4096)).map(lambda count: count * MIB)
cores = st.sets(st.integers(0, 4), max_size=2).map(lambda found: tuple(sorted(found)))
ports = st.lists(
    st.builds(HostPort, st.sampled_from((0, 80, 81)), ip=st.sampled_from(("", "10.0.0.1"))),
    max_size=2,
).map(tuple)
resources = st.builds(Resources, amounts, memories, cores, ports)
expiries = st.one_of(st.none(), st.integers(1, 20))


class Books(RuleBasedStateMachine):
    """Compares the ledger with the plainest model: a dict of who was promised what."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(Capacity(4000, 2048 * MIB))
        self.now = 0
        self.promised: dict[str, tuple[Generation, Resources]] = {}
        self.until: dict[str, int | None] = {}
        self.foreign = Load()
        self.asked = True  # whether the books were asked about all that is in them

    def _run_out(self) -> None:
        for key, until in list(self.until.items()):
            if until is not None and until <= self.now:
                del self.promised[key], self.until[key]

    @rule(key=containers, generation=generations, wanted=resources, runs=expiries)
    def admit(self, key: str, generation: Generation, wanted: Resources, runs: int | None) -> None:
        self._run_out()
        expires = None if runs is None else self.now + runs
        before = self.ledger.load()
        refusal = self.ledger.admit(key, generation, wanted, now=self.now, expires=expires)
        known = self.promised.get(key)
        if refusal is not None:
            assert known != (generation, wanted)
            assert self.ledger.load().cpu_millis <= before.cpu_millis
            return
        assert known is None or generation >= known[0]
        if known == (generation, wanted):
            held = self.until[key]
            self.until[key] = None if held is None or expires is None else max(held, expires)
        else:
            self.promised[key] = (generation, wanted)
            self.until[key] = expires
            self._check_room(wanted)

    def _check_room(self, wanted: Resources) -> None:
        """What was just promised fits beside all the rest."""
        load = self.ledger.load()
        assert not cpu_need(wanted) or load.cpu_millis <= self.ledger.capacity.cpu_millis
        assert not wanted.memory or load.memory <= self.ledger.capacity.memory
        assert not set(wanted.pinned_cores) & set(self.foreign.pinned_cores)

    @rule(key=containers, generation=generations, wanted=resources)
    def adopt(self, key: str, generation: Generation, wanted: Resources) -> None:
        self.ledger.adopt(key, generation, wanted)
        known = self.promised.get(key)
        if known is None or known[0] < generation:
            self.promised[key] = (generation, wanted)
            self.until[key] = None
            self.asked = False
        elif known[0] == generation:
            self.until[key] = None

    @rule(key=containers, generation=generations)
    def hold(self, key: str, generation: Generation) -> None:
        known = self.promised.get(key)
        matches = known is not None and known[0] == generation
        assert self.ledger.hold(key, generation) == matches
        if matches:
            self.until[key] = None

    @rule(key=containers, generation=generations, runs=st.integers(1, 20))
    def limit(self, key: str, generation: Generation, runs: int) -> None:
        known = self.promised.get(key)
        matches = known is not None and known[0] == generation
        assert self.ledger.limit(key, generation, self.now + runs) == matches
        if matches:
            self.until[key] = self.now + runs

    @rule(key=containers, generation=generations)
    def release(self, key: str, generation: Generation) -> None:
        known = self.promised.get(key)
        matches = known is not None and known[0] <= generation
        assert self.ledger.release(key, generation) == matches
        if matches:
            del self.promised[key], self.until[key]

    @rule(passed=st.integers(0, 10))
    def let_time_pass(self, passed: int) -> None:
        self.now += passed
        self.ledger.expire(self.now)
        self._run_out()

    @rule(load=st.builds(Load, amounts, memories, st.integers(0, 2), ports, cores))
    def others_change(self, load: Load) -> None:
        self.ledger.set_foreign(load)
        self.foreign = load

    @rule(cpu=st.sampled_from((1000, 4000)), memory=st.sampled_from((512, 2048)))
    def capacity_changes(self, cpu: int, memory: int) -> None:
        old = self.ledger.capacity
        self.ledger.capacity = Capacity(cpu, memory * MIB)
        self.asked = self.asked and cpu >= old.cpu_millis and memory * MIB >= old.memory

    @invariant()
    def the_books_hold_what_was_promised(self) -> None:
        self.ledger.validate()
        entries = self.ledger.reservations()
        assert self.promised == {one.container: (one.generation, one.resources) for one in entries}
        assert self.until == {one.container: one.expires for one in entries}

    @invariant()
    def a_node_is_not_over_committed(self) -> None:
        if not self.asked:
            return
        wanted = [one for _, one in self.promised.values()]
        capacity = self.ledger.capacity
        assert sum(map(cpu_need, wanted)) <= capacity.cpu_millis
        assert sum(one.memory for one in wanted) <= capacity.memory
        pinned = [core for one in wanted for core in one.pinned_cores]
        assert len(pinned) == len(set(pinned))
        assert all(0 <= core < 4 for core in pinned)


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
