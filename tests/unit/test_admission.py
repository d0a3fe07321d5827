import pytest

from shoal.core.host.admission import Ledger
from shoal.model.ids import Generation
from shoal.model.resources import Capacity, HostPort, Load, Resources

GIB = 1 << 30
ONE_CPU = Resources(cpu_millis=1000)


def generation(counter: int) -> Generation:
    return Generation(counter, counter, "w" * 64)


FIRST, SECOND = generation(1), generation(2)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(Capacity(cpu_millis=2000, memory=2 * GIB))


def refused(ledger: Ledger, container: str, resources: Resources) -> tuple[str, str]:
    refusal = ledger.admit(container, FIRST, resources, now=0, expires=None)
    assert refusal is not None
    ledger.validate()
    return refusal.filter, refusal.reason


def admitted(ledger: Ledger, container: str, resources: Resources) -> None:
    assert ledger.admit(container, FIRST, resources, now=0, expires=None) is None
    ledger.validate()


def test_the_last_core_goes_to_one_container(ledger: Ledger) -> None:
    admitted(ledger, "a", ONE_CPU)
    admitted(ledger, "b", ONE_CPU)
    assert refused(ledger, "c", ONE_CPU) == ("cpu", "needs 1.0 cpus, 0.0 free")


def test_memory_is_refused_beyond_the_capacity(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(memory=GIB))
    expected = ("memory", "needs 1.5 GiB of memory, 1 GiB free")
    assert refused(ledger, "b", Resources(memory=3 * GIB // 2)) == expected


def test_containers_without_sizes_are_never_refused_for_them(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(cpu_millis=2000, memory=2 * GIB))
    ledger.set_foreign(Load(cpu_millis=5000, memory=9 * GIB))
    admitted(ledger, "b", Resources())
    assert ledger.load().containers == 2


def test_asking_again_changes_nothing(ledger: Ledger) -> None:
    resources = Resources(cpu_millis=2000)
    for _ in range(3):
        assert ledger.admit("a", FIRST, resources, now=0, expires=30) is None
    assert ledger.load() == Load(cpu_millis=2000, containers=1)


def test_asking_again_lets_a_reservation_run_longer_never_shorter(ledger: Ledger) -> None:
    for expires in (30, 50, 40):
        ledger.admit("a", FIRST, ONE_CPU, now=0, expires=expires)
    assert ledger.next_expiry() == 50
    assert ledger.hold("a", FIRST)
    ledger.admit("a", FIRST, ONE_CPU, now=0, expires=60)
    assert ledger.next_expiry() is None


def test_a_newer_generation_takes_the_place_of_the_older(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(cpu_millis=2000))
    bigger = Resources(cpu_millis=1500, memory=GIB)
    assert ledger.admit("a", SECOND, bigger, now=0, expires=None) is None
    assert ledger.load() == Load(cpu_millis=1500, memory=GIB, containers=1)


def test_a_refused_newer_generation_leaves_the_older(ledger: Ledger) -> None:
    admitted(ledger, "a", ONE_CPU)
    refusal = ledger.admit("a", SECOND, Resources(cpu_millis=2500), now=0, expires=None)
    assert refusal is not None
    entry = ledger.get("a")
    assert entry is not None
    assert (entry.generation, entry.resources) == (FIRST, ONE_CPU)


def test_an_older_generation_is_refused_and_cannot_release(ledger: Ledger) -> None:
    ledger.admit("a", SECOND, ONE_CPU, now=0, expires=None)
    assert refused(ledger, "a", ONE_CPU)[0] == "generation"
    assert not ledger.release("a", FIRST)
    assert not ledger.hold("a", FIRST)
    assert ledger.release("a", SECOND)
    assert ledger.load() == Load()


def test_a_reservation_runs_out(ledger: Ledger) -> None:
    ledger.admit("a", FIRST, ONE_CPU, now=0, expires=30)
    assert ledger.expire(29) == ()
    assert [entry.container for entry in ledger.expire(30)] == ["a"]
    assert ledger.load() == Load()


def test_admission_drops_what_has_run_out(ledger: Ledger) -> None:
    ledger.admit("a", FIRST, Resources(cpu_millis=2000), now=0, expires=30)
    assert ledger.admit("b", FIRST, ONE_CPU, now=30, expires=60) is None
    assert ledger.get("a") is None


def test_a_held_entry_may_be_limited_again(ledger: Ledger) -> None:
    admitted(ledger, "a", ONE_CPU)
    assert ledger.limit("a", FIRST, 10)
    assert ledger.next_expiry() == 10


@pytest.mark.parametrize(
    ("first", "second", "taken"),
    [
        (HostPort(80), HostPort(80), True),
        (HostPort(80), HostPort(80, "udp"), False),
        (HostPort(80), HostPort(81), False),
        (HostPort(80, ip="10.0.0.1"), HostPort(80, ip="10.0.0.2"), False),
        (HostPort(80, ip="10.0.0.1"), HostPort(80), True),
        (HostPort(0), HostPort(0), False),
    ],
)
def test_a_host_port_belongs_to_one_container(
    ledger: Ledger, first: HostPort, second: HostPort, taken: bool
) -> None:
    admitted(ledger, "a", Resources(ports=(first,)))
    refusal = ledger.admit("b", FIRST, Resources(ports=(second,)), now=0, expires=None)
    assert (refusal is not None) == taken
    if refusal is not None:
        assert refusal.filter == "port"
        assert refusal.reason == f"port {second} is taken"


def test_one_container_cannot_have_a_port_twice(ledger: Ledger) -> None:
    twice = Resources(ports=(HostPort(80), HostPort(80, ip="10.0.0.1")))
    assert refused(ledger, "a", twice)[0] == "port"


def test_pinned_cores_are_exclusive_and_exist(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(pinned_cores=(1,)))
    busy = refused(ledger, "b", Resources(pinned_cores=(0, 1)))
    assert busy == ("cores", "core 1 is pinned by another container")
    absent = refused(ledger, "b", Resources(pinned_cores=(2,)))
    assert absent == ("cores", "core 2 does not exist (it has 0-1)")
    assert ledger.load() == Load(cpu_millis=1000, containers=1, pinned_cores=(1,))


def test_a_pinned_core_counts_in_full(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(cpu_millis=500, pinned_cores=(0,)))
    assert refused(ledger, "b", Resources(cpu_millis=1500))[0] == "cpu"


def test_containers_of_others_count(ledger: Ledger) -> None:
    ports = (HostPort(80),)
    foreign = Load(cpu_millis=1500, memory=GIB, containers=2, ports=ports, pinned_cores=(0,))
    ledger.set_foreign(foreign)
    assert refused(ledger, "a", ONE_CPU)[0] == "cpu"
    assert refused(ledger, "a", Resources(memory=GIB + 1))[0] == "memory"
    assert refused(ledger, "a", Resources(ports=ports))[0] == "port"
    assert refused(ledger, "a", Resources(pinned_cores=(0,)))[0] == "cores"
    assert ledger.load() == foreign


def test_what_is_there_already_is_adopted_without_room(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(cpu_millis=2000))
    ledger.adopt("b", FIRST, ONE_CPU)
    ledger.validate()
    assert ledger.load().cpu_millis == 3000
    ledger.adopt("b", generation(0), Resources())
    assert ledger.load().cpu_millis == 3000


def test_adopting_a_reservation_holds_it(ledger: Ledger) -> None:
    ledger.admit("a", FIRST, ONE_CPU, now=0, expires=30)
    ledger.adopt("a", FIRST, ONE_CPU)
    assert ledger.expire(1000) == ()


def test_promises_stand_when_the_capacity_shrinks(ledger: Ledger) -> None:
    admitted(ledger, "a", Resources(cpu_millis=2000))
    ledger.capacity = Capacity(1000, GIB)
    ledger.validate()
    assert refused(ledger, "b", Resources(cpu_millis=100)) == ("cpu", "needs 0.1 cpus, 0.0 free")
    assert ledger.get("a") is not None
