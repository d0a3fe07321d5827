"""What the bench's row of a thousand members concludes from what it is told."""

import json

from bench.member_cloud import Sighting, against_the_living, groups, newcomers, seen_by
from bench.member_group import endpoint
from bench.own_network import Traffic, counters
from bench.processor import busy


def test_every_member_is_in_one_group_and_the_last_ones_are_alone() -> None:
    made = groups(1000, 10, 7)
    assert [number for group in made for number in group] == list(range(1000))
    assert [len(group) for group in made[10:]] == [1] * 7
    assert {len(group) for group in made[:10]} == {99, 100}


def test_fewer_join_together_the_more_must_hear_of_it() -> None:
    assert [newcomers(there) for there in (0, 1, 100, 500, 1000, 100_000)] == [1, 16, 16, 8, 4, 1]


def test_members_listen_at_addresses_of_their_own() -> None:
    found = {str(endpoint(number)) for number in range(1000)}
    assert len(found) == 1000
    assert {"127.45.0.1:7442", "127.45.3.250:7442"} <= found


def test_a_death_is_seen_when_an_observer_is_first_told() -> None:
    told = [
        Sighting("suspect", 1, 9, 10.0),
        Sighting("down", 1, 9, 14.0),
        Sighting("down", 2, 9, 15.0),
        Sighting("down", 1, 9, 16.0),
        Sighting("down", 3, 8, 17.0),
    ]
    assert seen_by(told, 9) == {1: 14.0, 2: 15.0}


def test_only_those_who_were_not_dead_by_then_are_falsely_held_for_dead() -> None:
    told = [
        Sighting("down", 1, 9, 14.0),  # it died at 10
        Sighting("down", 1, 8, 19.0),  # a second too early
        Sighting("down", 2, 7, 14.0),  # it lives
        Sighting("suspect", 2, 6, 14.0),
    ]
    killed = {9: 10.0, 8: 20.0}
    assert against_the_living(told, killed, "down") == 2
    assert against_the_living(told, killed, "suspect") == 1


def test_counters_are_read_by_name() -> None:
    listing = {
        "nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"counter": {"name": "datagrams", "packets": 5, "bytes": 780, "handle": 1}},
            {"counter": {"name": "streams", "packets": 2, "bytes": 104, "handle": 2}},
        ]
    }
    found = counters(json.dumps(listing))
    assert found == {"datagrams": Traffic(5, 780), "streams": Traffic(2, 104)}
    assert found["datagrams"].since(Traffic(2, 80)) == Traffic(3, 700)


def test_idle_ticks_are_not_work_and_guests_are_counted_once() -> None:
    #                 user nice system idle wait irq softirq stolen guest guest_nice
    assert busy("cpu  100 20 30 5000 400 5 6 7 50 10\ncpu0 1 2 3\n") == 168
