"""Stamps grow whatever clocks do, and follow the wall clock when they can."""

from shoal.core.clock import COUNTER_BITS, EPOCH_MS, TOLERANCE_MS, HybridClock, stamp_of, wall_of

_MS = 1_000_000
_NOW = (EPOCH_MS + 10_000_000) * _MS


def test_a_stamp_is_the_time_and_a_counter() -> None:
    clock = HybridClock()
    first = clock.stamp(_NOW)
    assert wall_of(first) == _NOW
    assert clock.stamp(_NOW) == first + 1
    assert clock.stamp(_NOW + _MS) == stamp_of(_NOW + _MS)


def test_a_clock_that_jumps_back_does_not_take_stamps_back() -> None:
    clock = HybridClock()
    before = clock.stamp(_NOW)
    assert clock.stamp(_NOW - 3600 * 1000 * _MS) == before + 1


def test_stamps_start_above_everything_stored() -> None:
    stored = stamp_of(_NOW + 3600 * 1000 * _MS)
    assert HybridClock(stored).stamp(_NOW) == stored + 1


def test_a_stamp_is_above_every_one_observed() -> None:
    clock = HybridClock()
    clock.observe(stamp_of(_NOW) + 77)
    assert clock.stamp(_NOW) == stamp_of(_NOW) + 78
    clock.observe(3)
    assert clock.stamp(_NOW) == stamp_of(_NOW) + 79


def test_a_clock_far_off_its_peers_stamps_by_their_median() -> None:
    clock = HybridClock()
    hour = 3600 * 1000
    for peer in ("a", "b", "c"):
        clock.heard(peer, _NOW + hour * _MS, _NOW)
    assert clock.offset_ms() == hour
    assert wall_of(clock.stamp(_NOW)) == _NOW + hour * _MS


def test_one_wrong_peer_moves_nobody() -> None:
    clock = HybridClock()
    clock.heard("wrong", _NOW + 3600 * 1000 * _MS, _NOW)
    assert clock.offset_ms() == 0
    clock.heard("right", _NOW, _NOW)
    clock.heard("also right", _NOW + 3 * _MS, _NOW)
    assert clock.offset_ms() == 0


def test_small_differences_are_left_alone() -> None:
    clock = HybridClock()
    for peer in ("a", "b", "c"):
        clock.heard(peer, _NOW + TOLERANCE_MS * _MS, _NOW)
    assert clock.offset_ms() == 0


def test_a_stamp_is_exact_as_a_json_number() -> None:
    end_of_range = stamp_of((EPOCH_MS + (1 << 41) - 1) * _MS) + (1 << COUNTER_BITS) - 1
    assert end_of_range < 1 << 53
    assert int(float(end_of_range)) == end_of_range


def test_times_before_the_epoch_have_the_lowest_stamp() -> None:
    assert stamp_of(0) == 0
