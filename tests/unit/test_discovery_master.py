"""The original's error of a master that is looked up on the ring before each report."""

from discovery_port import RecordingPort, demand

from shoal.core.discovery.central import Central
from shoal.core.discovery.messages import Report
from shoal.core.discovery.settings import Settings
from shoal.core.ring.port import Draw

TOTAL = demand(0, 4, 4096)
NOTHING = demand(0, 0, 0)
WANTED = demand(0, 1, 500)


def started(own: int) -> tuple[RecordingPort, Central]:
    port = RecordingPort()
    settings = Settings(master=7, lookup_master=True)
    made = Central(port=port, own=own, total=TOTAL, draw=Draw(1), settings=settings)
    made.start()
    return port, made


def test_each_report_begins_with_a_look_up_of_the_master() -> None:
    port, made = started(own=9)
    assert port.sent == []
    [(key, token, count)] = port.take_finds()
    assert (key, count) == (7, 1)
    assert token < 0
    made.found(token, (8,), 4)
    assert port.take_sent() == [(8, Report(TOTAL, NOTHING, 0))]
    [(_, beat)] = port.timers
    made.fire(beat)
    assert [key for key, _, _ in port.take_finds()] == [7]


def test_amounts_that_change_during_the_look_up_of_the_master_go_with_its_report() -> None:
    port, made = started(own=9)
    [(_, token, _)] = port.take_finds()
    made.changed(demand(0, 3, 3596), WANTED, 1)
    assert port.take_finds() == []
    made.found(token, (7,), 4)
    assert port.take_sent() == [(7, Report(demand(0, 3, 3596), WANTED, 1))]


def test_after_a_failed_look_up_of_the_master_the_next_report_looks_again() -> None:
    port, made = started(own=9)
    [(_, token, _)] = port.take_finds()
    made.found(token, (), 0)
    assert port.sent == []
    made.changed(TOTAL, NOTHING, 0)
    [(_, token, _)] = port.take_finds()
    made.found(token, (7,), 4)
    assert port.take_sent() == [(7, Report(TOTAL, NOTHING, 0))]


def test_the_master_does_not_look_itself_up() -> None:
    port, made = started(own=7)
    made.changed(TOTAL, NOTHING, 0)
    assert (port.finds, port.sent, made.held) == ([], [], 1)
