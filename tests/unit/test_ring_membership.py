"""One Chord node and what it sends: joining, stabilising, rectifying, leaving, hints."""

import msgspec
import pytest

from shoal.core.ring.chord import JOINING, MEETING, PROBING, Chord, Settings
from shoal.core.ring.messages import (
    Absent,
    Ask,
    Find,
    Found,
    Leaving,
    Nearer,
    Notify,
    RingMessage,
    State,
    Step,
    Stepped,
)
from shoal.core.ring.port import Timer


class Recorder:
    """A port that keeps what its node does."""

    now = 0

    def __init__(self) -> None:
        self.sent: list[tuple[int, object]] = []
        self.timers: list[Timer] = []
        self.answers: list[tuple[int, tuple[int, ...], int]] = []

    def send(self, to: int, message: object) -> None:
        self.sent.append((to, message))

    def after(self, delay: int, timer: Timer) -> None:
        self.timers.append(timer)

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        self.answers.append((token, nodes, hops))

    def take(self) -> list[tuple[int, object]]:
        sent, self.sent = self.sent, []
        return sent


QUIET = Settings(successors=3, maintenance=False, query_tries=1)


def member(
    own: int = 100, predecessor: int | None = 50, successors: tuple[int, ...] = (200, 300, 400)
) -> tuple[Chord, Recorder]:
    port = Recorder()
    chord = Chord(port, own, QUIET)
    chord.settle(predecessor, successors, ())
    return chord, port


def silence(chord: Chord, token: int) -> None:
    chord.fire(Timer("ring.query", token))


def test_a_newcomer_takes_the_list_of_the_node_before_it() -> None:
    port = Recorder()
    chord = Chord(port, 150, QUIET)
    chord.join(7)
    assert port.take() == [(7, Find(150, 150, JOINING, 1, 3))]
    assert not chord.joined
    before, _ = member()
    before.port = port
    before.receive(7, Find(150, 150, JOINING, 3, 3))
    [(to, answer)] = port.take()
    assert (to, answer) == (150, Found(JOINING, (200, 300, 400), 3))
    chord.receive(100, Found(JOINING, (200, 300, 400), 3))
    assert chord.joined
    assert (chord.predecessor, chord.successors) == (100, [200, 300, 400])
    chord.validate()


def test_joining_is_tried_again_until_somebody_answers() -> None:
    port = Recorder()
    chord = Chord(port, 150, QUIET)
    chord.join(7)
    port.take()
    chord.fire(Timer("ring.join", 0))
    assert port.take() == [(7, Find(150, 150, JOINING, 1, 3))]
    chord.receive(100, Found(JOINING, (200,), 3))
    chord.fire(Timer("ring.join", 0))
    assert port.take() == []


def test_a_ring_that_still_lists_the_newcomer_is_joined_all_the_same() -> None:
    port = Recorder()
    chord = Chord(port, 150, QUIET)
    chord.join(100)
    chord.receive(100, Found(JOINING, (150,), 1))
    assert (chord.predecessor, chord.successors) == (100, [100])


def test_stabilising_adopts_the_list_of_the_successor_and_then_a_better_one() -> None:
    chord, port = member()
    chord.stabilise()
    assert port.take() == [(200, Ask(1))]
    chord.stabilise()  # one query at a time
    assert port.take() == []
    chord.receive(200, State(1, 170, (310, 400, 500)))
    assert chord.successors == [200, 310, 400]
    assert port.take() == [(170, Ask(2))]
    chord.receive(170, State(2, 100, (200, 310, 400)))
    assert chord.successors == [170, 200, 310]
    assert port.take() == []  # it knows us already, no need to notify
    chord.validate()


def test_a_better_successor_that_is_dead_is_not_adopted() -> None:
    chord, port = member()
    chord.stabilise()
    chord.receive(200, State(1, 170, (300, 400)))
    port.take()
    silence(chord, 2)
    assert chord.successors == [200, 300, 400]
    assert port.take() == [(200, Notify())]


def test_a_dead_successor_is_dropped_and_the_next_one_is_notified() -> None:
    chord, port = member()
    chord.stabilise()
    port.take()
    silence(chord, 1)
    assert chord.successors == [300, 400]
    assert port.take() == [(300, Notify())]
    assert port.timers[-1].kind == "ring.haste"


def test_a_late_answer_is_ignored() -> None:
    chord, _ = member()
    chord.stabilise()
    silence(chord, 1)
    chord.receive(200, State(1, 170, (250, 300)))
    assert chord.successors == [300, 400]


def test_a_query_is_repeated_before_its_node_counts_as_dead() -> None:
    port = Recorder()
    chord = Chord(port, 100, msgspec.structs.replace(QUIET, query_tries=2))
    chord.settle(50, (200, 300), ())
    chord.stabilise()
    silence(chord, 1)
    assert port.take() == [(200, Ask(1)), (200, Ask(1))]
    assert chord.successors == [200, 300]
    silence(chord, 1)
    assert chord.successors == [300]


def test_rectifying_takes_a_nearer_predecessor_and_tells_the_old_one() -> None:
    chord, port = member()
    chord.receive(70, Notify())
    assert chord.predecessor == 70
    assert port.take() == [(50, Nearer(70, 1))]


def test_rectifying_asks_a_nearer_predecessor_before_it_is_given_up() -> None:
    chord, port = member()
    chord.receive(40, Notify())
    assert port.take() == [(50, Ask(1))]
    chord.receive(50, State(1, 40, (100,)))
    assert chord.predecessor == 50
    chord.receive(40, Notify())
    port.take()
    silence(chord, 2)
    assert chord.predecessor == 40


def test_a_ring_of_one_grows_to_two() -> None:
    port = Recorder()
    chord = Chord(port, 100, QUIET)
    chord.create()
    assert (chord.predecessor, chord.successors) == (None, [])
    chord.find(3, token=0)
    assert port.answers == [(0, (100,), 0)]
    chord.receive(200, Notify())
    assert chord.predecessor == 200
    assert port.take() == [(200, Ask(1))]
    chord.receive(200, State(1, 100, (100,)))
    assert chord.successors == [200]
    chord.validate()


def test_the_last_of_a_ring_is_alone() -> None:
    chord, port = member(predecessor=200, successors=(200,))
    chord.stabilise()
    silence(chord, 1)
    assert (chord.predecessor, chord.successors) == (None, [])
    chord.find(3, token=0)
    assert port.answers == [(0, (100,), 0)]


def test_leaving_tells_both_neighbours_and_answers_as_absent() -> None:
    chord, port = member()
    chord.leave()
    assert port.take() == [(50, Leaving(50)), (200, Leaving(50))]
    chord.receive(50, Ask(9))
    assert port.take() == [(50, Absent(9))]
    chord.receive(50, Find(150, 1, 2, 3, 1))  # what is on its way goes on
    assert port.take() == [(1, Found(2, (200,), 3))]
    chord.receive(50, Find(150, 150, JOINING, 3, 1))  # but nobody joins behind it
    assert port.take() == []


def test_a_farewell_is_believed_by_the_successor_and_verified_by_the_predecessor() -> None:
    chord, port = member()
    chord.receive(50, Leaving(20))
    assert chord.predecessor == 20
    chord.receive(200, Leaving(100))
    assert chord.successors == [200, 300, 400]
    assert port.take() == [(200, Ask(1))]
    chord.receive(200, Absent(1))
    assert chord.successors == [300, 400]


def test_up_is_asked_as_successor_and_taken_as_predecessor() -> None:
    chord, port = member()
    chord.up(150)
    assert port.take() == [(150, Ask(1))]
    chord.up(70)
    assert chord.predecessor == 70
    chord.up(10**18)
    assert 10**18 in chord.routes.nodes()


def test_of_many_hints_the_nearest_is_asked_next() -> None:
    chord, port = member()
    for node in (180, 170, 120, 160):
        chord.up(node)
    assert port.take() == [(180, Ask(1))]
    chord.receive(180, State(1, None, (200,)))
    assert port.take() == [(120, Ask(2))]


def test_down_removes_a_node_everywhere() -> None:
    chord, port = member(predecessor=300)
    chord.stabilise()
    port.take()
    chord.down(200)
    assert chord.successors == [300, 400]
    chord.down(300)
    assert chord.predecessor is None
    assert chord.successors == [400]
    assert chord.routes.nodes() == [400]
    chord.receive(200, State(1, 100, (300,)))  # its answer comes too late
    assert chord.successors == [400]
    chord.validate()


def test_departed_nodes_are_asked_and_met_again() -> None:
    port = Recorder()
    settings = Settings(successors=3, probes=1, remembered=2)
    chord = Chord(port, 100, settings)
    chord.settle(50, (200, 300), ())
    for node in (900, 800, 700):
        chord.down(node)
    port.take()
    assert chord.encounters.nodes == [800, 700]
    chord.fire(Timer("ring.probe", 0))
    assert port.take() == [(800, Ask(PROBING))]
    chord.fire(Timer("ring.probe", 0))
    assert port.take() == [(700, Ask(PROBING))]
    chord.receive(700, State(PROBING, 650, (850,)))
    assert chord.encounters.nodes == [800]
    assert port.take() == [(700, Find(100, 100, MEETING, 1, 3))]
    chord.receive(80, Found(MEETING, (120, 700), 2))  # our place in the other ring
    assert port.take() == [(120, Ask(1)), (50, Nearer(80, 1)), (80, Nearer(100, 1))]
    assert chord.predecessor == 80


def test_meeting_a_node_of_the_same_ring_changes_nothing() -> None:
    chord, port = member()
    chord.receive(50, Found(MEETING, (100, 200), 2))
    assert port.take() == []


def test_a_node_that_may_belong_further_on_is_passed_on() -> None:
    chord, port = member()
    chord.receive(1, Nearer(350, 1))
    assert port.take() == [(300, Nearer(350, 2))]
    chord.receive(1, Nearer(300, 1))  # known: no news
    assert port.take() == []
    chord.receive(1, Nearer(150, 1))
    assert port.take() == [(150, Ask(1))]


def test_look_ups_that_are_local_cost_nothing() -> None:
    chord, port = member()
    chord.find(70, token=1, count=2)  # own
    chord.find(150, token=2, count=9)  # the successor's
    assert port.answers == [(1, (100, 200), 0), (2, (200, 300, 400), 0)]
    assert port.take() == []


def test_a_hop_goes_to_the_nearest_node_before_the_key() -> None:
    chord, port = member()
    chord.receive(1, Find(350, 9, 4, 2, 1))
    assert port.take() == [(300, Find(350, 9, 4, 3, 1))]
    chord.receive(1, Find(350, 9, 4, chord.settings.hops, 1))
    assert port.take() == []  # enough hops


def test_a_step_does_without_the_silent() -> None:
    chord, port = member()
    chord.receive(9, Step(350, 4, 1, ()))
    assert port.take() == [(9, Stepped(4, (300, 200), False))]
    chord.receive(9, Step(350, 4, 2, (200, 300)))
    assert port.take() == [(9, Stepped(4, (400,), True))]


def test_a_node_outside_answers_no_look_ups() -> None:
    port = Recorder()
    chord = Chord(port, 100, QUIET)
    chord.find(3, token=0)
    assert port.answers == [(0, (), 0)]
    chord.receive(9, Find(350, 9, 4, 2, 1))
    chord.receive(9, Step(350, 4, 1, ()))
    assert port.take() == []


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="base 3"):
        Settings(base=3)
    with pytest.raises(ValueError, match="at least 1"):
        Settings(successors=0)


def test_messages_survive_the_wire() -> None:
    decoder = msgspec.msgpack.Decoder(RingMessage)
    for message in (
        Find(2**64 - 1, 2, 3, 4, 5),
        Found(-3, (1, 2), 4),
        Step(1, 2, 3, (4,)),
        Stepped(1, (2,), True),
        Ask(1),
        State(1, None, (2, 3)),
        Notify(),
        Nearer(1, 2),
        Leaving(None),
        Absent(1),
    ):
        assert decoder.decode(msgspec.msgpack.encode(message)) == message


def test_a_look_up_passes_a_suspected_successor_rather_than_the_key() -> None:
    chord, port = member(successors=(200, 300, 400))
    chord.suspect(200)
    chord.receive(50, Find(250, 7, 1, 1, 1))
    ((to, message),) = port.take()
    assert to == 200
    assert isinstance(message, Find)
