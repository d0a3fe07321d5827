"""The calendar of a simulation keeps the order of events, however far ahead they are."""

from random import Random

from shoal.sim.experiments.wheel import Wheel


def _drain(wheel: Wheel, until: int) -> list[tuple[int, object]]:
    seen: list[tuple[int, object]] = []
    while wheel.tick < until:
        first = wheel.tick + 1
        stretch = wheel.stretch(until)
        for tick, events in enumerate(stretch, first):
            if events:
                wheel.tick = tick
                seen += [(tick, event[0]) for event in events]
                events.clear()
        wheel.tick = first + len(stretch) - 1
    return seen


def test_events_come_at_their_tick_and_in_the_order_they_were_put() -> None:
    random = Random(1)
    wheel = Wheel()
    due = sorted(
        (
            (random.choice((1, 7, 8191, 8192, 8193, 20_000, 100_000)), number)
            for number in range(500)
        ),
        key=lambda pair: pair[1],
    )
    for ahead, number in due:
        wheel.put(ahead, (number,))
    assert _drain(wheel, 120_000) == sorted(due, key=lambda pair: (pair[0], pair[1]))


def test_what_was_put_long_before_comes_before_what_was_put_late() -> None:
    wheel = Wheel()
    wheel.put(30_000, ("early",))
    seen = _drain(wheel, 29_990)
    wheel.put(10, ("late",))
    assert seen + _drain(wheel, 30_001) == [(30_000, "early"), (30_000, "late")]


def test_a_list_can_grow_while_it_is_worked_on() -> None:
    wheel = Wheel()
    wheel.put(3, ("first",))
    seen = []
    for tick, events in enumerate(wheel.stretch(10), 1):
        if events:
            wheel.tick = tick
        for event in events:
            seen.append(event[0])
            if event[0] == "first":
                wheel.put(0, ("second",))
                wheel.slot(2).append(("third",))
    assert seen == ["first", "second", "third"]


def test_stretches_end_where_asked_and_with_their_epoch() -> None:
    wheel = Wheel()
    assert len(wheel.stretch(100)) == 100
    assert len(wheel.stretch(1_000_000)) == 8191
    wheel.tick = 8191
    assert len(wheel.stretch(1_000_000)) == 8192
