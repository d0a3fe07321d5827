"""The launcher: tries candidates in order, undoes what it cannot know (reference 2.3, 3.1)."""

from discovery_port import SECOND, RecordingPort, demand

from shoal.core.discovery.central import Central
from shoal.core.discovery.contract import Candidate, Demand
from shoal.core.discovery.launch import ANSWER, Launch, Launched, Launcher, Stop
from shoal.core.discovery.ledger import Ledger
from shoal.core.discovery.messages import Report
from shoal.core.discovery.random_nodes import RandomNodes
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.view import View
from shoal.core.ring.port import Draw, Timer

WANTED = demand(0, 1, 500)
TOTAL = demand(0, 4, 4096)


def launcher(
    timeout: int | None = 2 * SECOND, total: Demand = TOTAL
) -> tuple[RecordingPort, Launcher]:
    port = RecordingPort()
    discovery = RandomNodes(port=port, total=total, draw=Draw(1), settings=Settings())
    made = Launcher(
        port=port, ledger=Ledger(total), discovery=discovery, policy="binpack", timeout=timeout
    )
    return port, made


def candidate(node: int, used: int) -> Candidate:
    """A node with so many of its 4 cores in use."""
    return Candidate(node, node + 100, demand(0, 4 - used, 4096), demand(0, used, 0), used)


def submitted(timeout: int | None = 2 * SECOND) -> tuple[RecordingPort, Launcher]:
    port, made = launcher(timeout)
    made.submit(5, WANTED)
    assert len(port.take_finds()) == 1
    made.candidates(5, [candidate(1, 0), candidate(2, 2), candidate(3, 4)])
    return port, made


def test_the_best_candidate_is_tried_first_with_its_offer() -> None:
    port, made = submitted()
    assert port.take_sent() == [(2, Launch(5, 102, WANTED))]
    made.receive(2, Launched(5, True))
    assert port.placements == {5: 2}


def test_a_refusal_leads_to_the_next_and_the_last_one_to_failure() -> None:
    port, made = submitted()
    made.receive(2, Launched(5, False))
    assert port.take_sent()[-1] == (1, Launch(5, 101, WANTED))
    made.receive(1, Launched(5, False))
    assert port.placements == {5: None}


def test_without_candidates_a_request_fails() -> None:
    port, made = launcher()
    made.submit(5, WANTED)
    made.candidates(5, [])
    assert port.placements == {5: None}


def test_nodes_to_avoid_are_not_tried() -> None:
    port, made = launcher()
    made.submit(5, WANTED, avoid={2})
    made.candidates(5, [candidate(1, 0), candidate(2, 2)])
    assert port.take_sent() == [(1, Launch(5, 101, WANTED))]
    made.receive(1, Launched(5, False))
    assert port.placements == {5: None}


def test_a_silent_supplier_is_told_to_stop_and_passed_over() -> None:
    port, made = submitted()
    assert port.timers == [(2 * SECOND, Timer(ANSWER, 5))]
    port.take_sent()
    port.now = 2 * SECOND
    made.fire(Timer(ANSWER, 5))
    assert port.take_sent() == [(2, Stop(5)), (1, Launch(5, 101, WANTED))]
    made.receive(2, Launched(5, True))
    assert port.take_sent() == [(2, Stop(5))]
    made.receive(1, Launched(5, True))
    assert port.placements == {5: 1}
    made.receive(1, Launched(5, True))
    assert port.sent == []


def test_a_timer_that_comes_early_for_the_present_supplier_waits_on() -> None:
    port, made = submitted()
    port.now = SECOND
    made.receive(2, Launched(5, False))
    port.now = 2 * SECOND
    made.fire(Timer(ANSWER, 5))
    assert port.timers[1:] == [(SECOND, Timer(ANSWER, 5))]
    assert 5 not in port.placements


def test_stopping_reaches_the_node_that_runs_the_container() -> None:
    port, made = submitted(timeout=None)
    made.receive(2, Launched(5, True))
    port.take_sent()
    made.stop(5)
    made.stop(5)
    assert port.take_sent() == [(2, Stop(5))]


def test_stopping_a_request_under_way_ends_it_and_what_it_may_have_started() -> None:
    port, made = submitted()
    port.take_sent()
    made.stop(5)
    assert port.take_sent() == [(2, Stop(5))]
    made.receive(2, Launched(5, True))
    assert port.take_sent() == [(2, Stop(5))]
    assert port.placements == {}
    made.submit(6, WANTED)
    made.stop(6)
    made.candidates(6, [candidate(1, 0)])
    assert port.sent == []


def test_a_supplier_takes_what_fits_and_tells_discovery() -> None:
    port, made = launcher()
    made.receive(9, Launch(5, 0, demand(0, 3, 3000)))
    made.receive(9, Launch(6, 0, demand(0, 2, 100)))
    assert port.take_sent() == [(9, Launched(5, True)), (9, Launched(6, False))]
    assert made.ledger.free == demand(0, 1, 1096)
    made.receive(9, Stop(5))
    made.receive(9, Stop(5))
    assert made.ledger.free == TOTAL


def test_a_repeated_launch_is_the_same_launch_and_other_buyers_tokens_are_theirs() -> None:
    port, made = launcher()
    for buyer in (9, 9, 8):
        made.receive(buyer, Launch(5, 0, WANTED))
    assert [message.ok for _, message in port.take_sent()] == [True, True, True]
    assert made.ledger.containers == 2
    made.receive(7, Stop(5))
    assert made.ledger.containers == 2


def test_whoever_wrongly_believed_that_there_is_room_hears_the_truth_after_a_refusal() -> None:
    port = RecordingPort()
    worker = Central(port=port, own=9, total=TOTAL, draw=Draw(1), settings=Settings(master=0))
    made = Launcher(
        port=port, ledger=Ledger(TOTAL), discovery=worker, policy="binpack", timeout=None
    )
    made.receive(0, Launch(5, 0, demand(0, 5, 10)))
    assert port.take_sent() == [
        (0, Report(TOTAL, demand(0, 0, 0), 0)),
        (0, Launched(5, False)),
    ]


def test_a_view_needs_no_message_to_find_a_node() -> None:
    port = RecordingPort()
    view = View(port=port, own=9, total=TOTAL, settings=Settings())
    made = Launcher(port=port, ledger=Ledger(TOTAL), discovery=view, policy="binpack", timeout=None)
    view.start()
    made.submit(5, WANTED)
    assert [to for to, _ in port.answers.items()] == [5]
    made.candidates(5, port.answers[5])
    assert port.take_sent() == [(9, Launch(5, 0, WANTED))]
