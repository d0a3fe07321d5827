"""The strategies without offers: random nodes, a master, and a view from hints."""

from discovery_port import MINUTE, SECOND, RecordingPort, demand

from shoal.core.discovery.central import ANSWER, BEAT, Central
from shoal.core.discovery.contract import Candidate
from shoal.core.discovery.messages import Ask, Choice, Free, GetFree, Report
from shoal.core.discovery.random_nodes import RandomNodes
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.strategies import strategy
from shoal.core.discovery.view import View
from shoal.core.ring.port import Draw, Timer

TOTAL = demand(0, 4, 4096)
NOTHING = demand(0, 0, 0)
WANTED = demand(0, 1, 500)


def random_nodes(tries: int = 1) -> tuple[RecordingPort, RandomNodes]:
    port = RecordingPort()
    made = RandomNodes(port=port, total=TOTAL, draw=Draw(1), settings=Settings(tries=tries))
    made.start()
    return port, made


def test_random_asks_the_nodes_of_a_random_place_until_one_fits() -> None:
    port, made = random_nodes()
    made.search(5, WANTED)
    [(_, token, count)] = port.take_finds()
    assert (token, count) == (5, 3)
    made.found(5, (1, 2, 3), 4)
    assert port.take_sent() == [(1, GetFree(5))]
    made.receive(1, Free(5, demand(0, 1, 100), NOTHING, 0))
    assert port.take_sent() == [(2, GetFree(5))]
    made.receive(2, Free(5, TOTAL, NOTHING, 0))
    assert port.answers == {5: [Candidate(2, 0, TOTAL, NOTHING, 0)]}
    assert port.sent == []


def test_random_looks_up_so_many_places_as_is_set() -> None:
    port, made = random_nodes(tries=2)
    made.search(5, WANTED)
    places = []
    for _ in range(2):
        [(key, _, _)] = port.take_finds()
        places.append(key)
        made.found(5, (1,), 4)
        made.receive(1, Free(5, NOTHING, NOTHING, 0))
    assert places[0] != places[1]
    assert port.answers == {5: []}


def test_random_passes_over_a_silent_node() -> None:
    port, made = random_nodes()
    made.search(5, WANTED)
    made.found(5, (1, 2), 4)
    [(delay, timer)] = port.timers
    port.now = delay
    made.fire(timer)
    assert [to for to, _ in port.take_sent()] == [1, 2]
    made.receive(1, Free(5, NOTHING, NOTHING, 0))
    assert port.answers == {}
    made.fire(port.timers[1][1])
    assert port.answers == {}
    port.now = 2 * delay
    made.fire(port.timers[1][1])
    assert port.answers == {5: []}


def test_a_node_says_what_it_has_free_now() -> None:
    port, made = random_nodes()
    made.changed(demand(0, 1, 100), demand(0, 3, 3996), 2)
    made.receive(7, GetFree(5))
    assert port.take_sent() == [(7, Free(5, demand(0, 1, 100), demand(0, 3, 3996), 2))]


def central(own: int) -> tuple[RecordingPort, Central]:
    port = RecordingPort()
    made = Central(port=port, own=own, total=TOTAL, draw=Draw(1), settings=Settings(master=7))
    made.start()
    return port, made


def test_workers_report_at_the_start_after_changes_and_regularly() -> None:
    port, made = central(own=9)
    assert port.take_sent() == [(7, Report(TOTAL, NOTHING, 0))]
    [(delay, timer)] = port.timers
    assert timer == Timer(BEAT, 0)
    assert 0 < delay <= 23 * MINUTE
    made.changed(demand(0, 3, 3596), WANTED, 1)
    report = Report(demand(0, 3, 3596), WANTED, 1)
    assert port.take_sent() == [(7, report)]
    made.fire(timer)
    assert port.take_sent() == [(7, report)]
    assert port.timers[1:] == [(15 * MINUTE, timer)]


def test_the_master_chooses_from_all_it_has_heard_of_and_itself() -> None:
    port, made = central(own=7)
    made.receive(1, Report(demand(0, 2, 2000), demand(0, 2, 2096), 2))
    made.receive(2, Report(TOTAL, NOTHING, 0))
    made.search(5, WANTED)
    assert [found.node for found in port.answers[5]] == [1, 2, 7]
    assert port.sent == []
    assert made.held == 3


def test_the_master_counts_a_choice_at_once_until_the_worker_says_otherwise() -> None:
    port, made = central(own=7)
    full = demand(0, 1, 500)
    made.receive(1, Report(full, demand(0, 3, 3596), 3))
    made.search(5, WANTED)
    made.search(6, WANTED)
    assert [found.node for found in port.answers[5]] == [1, 7]
    assert [found.node for found in port.answers[6]] == [7]
    made.receive(1, Report(full, demand(0, 3, 3596), 3))
    made.search(8, WANTED)
    assert port.answers[8][0].node == 1


def test_a_worker_passes_a_search_on_to_the_master() -> None:
    port, worker = central(own=9)
    port.take_sent()
    worker.search(5, WANTED)
    assert port.take_sent() == [(7, Ask(5, WANTED))]
    _, master = central(own=7)
    master_port = RecordingPort()
    master._port = master_port
    master.receive(9, Ask(5, WANTED))
    [(to, choice)] = master_port.take_sent()
    assert to == 9
    worker.receive(7, choice)
    assert [found.node for found in port.answers[5]] == [7]
    worker.fire(Timer(ANSWER, 5))


def test_a_worker_without_an_answer_finds_nothing() -> None:
    port, worker = central(own=9)
    worker.search(5, WANTED)
    assert port.timers[1:] == [(5 * SECOND, Timer(ANSWER, 5))]
    worker.fire(Timer(ANSWER, 5))
    assert port.answers == {5: []}
    worker.receive(7, Choice(5, ()))


def view() -> tuple[RecordingPort, View]:
    port = RecordingPort()
    made = strategy(
        "view", port=port, own=9, total=TOTAL, draw=Draw(1), settings=Settings(choices=2)
    )
    assert isinstance(made, View)
    made.start()
    return port, made


def test_a_view_chooses_from_hints_by_the_same_policy() -> None:
    port, made = view()
    made.hint(1, demand(0, 2, 2000), demand(0, 2, 2096), 2)
    made.hint(2, demand(0, 3, 3000), demand(0, 1, 1096), 1)
    made.search(5, WANTED)
    assert [found.node for found in port.answers[5]] == [1, 2]
    assert port.sent == []


def test_a_choice_counts_until_the_node_s_next_hint() -> None:
    port, made = view()
    made.hint(1, demand(0, 1, 600), demand(0, 3, 3496), 3)
    for token, expected in ((5, 1), (6, 9)):
        made.search(token, WANTED)
        assert port.answers[token][0].node == expected
    made.hint(1, demand(0, 1, 600), demand(0, 3, 3496), 3)
    made.search(7, WANTED)
    assert port.answers[7][0].node == 1


def test_a_node_that_is_gone_is_not_chosen_until_a_later_hint() -> None:
    port, made = view()
    amounts = (demand(0, 2, 2000), demand(0, 2, 2096), 2)
    made.hint(1, *amounts)
    made.gone(1)
    made.search(5, WANTED)
    assert [found.node for found in port.answers[5]] == [9]
    made.hint(1, *amounts)
    made.search(6, WANTED)
    assert port.answers[6][0].node == 1


def test_a_view_has_its_changes_announced() -> None:
    port, made = view()
    made.changed(NOTHING, TOTAL, 4)
    nothing_used = demand(0, 0, 0)
    assert port.announced == [(TOTAL, nothing_used, 0), (NOTHING, TOTAL, 4)]


def test_a_view_knows_its_own_node_s_changes() -> None:
    port, made = view()
    made.changed(NOTHING, TOTAL, 4)
    made.search(5, WANTED)
    assert port.answers == {5: []}
