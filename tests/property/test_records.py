"""Merging records is commutative, associative and idempotent, whatever is merged."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.core.keeper import records as r
from shoal.core.keeper.records import Record, Records, successor

_OBJECTS = ("a" * 64, "b" * 64)
_WRITERS = ("1" * 64, "2" * 64, "3" * 64)
_STATES = ("creating", "undone", "created")

_stamps = st.integers(min_value=0, max_value=40)
_generations = st.builds(
    lambda counter, stamp, writer: f"{counter}-{stamp:x}-{writer[:12]}",
    st.integers(min_value=1, max_value=9),
    _stamps,
    st.sampled_from(_WRITERS),
)


@st.composite
def _records(draw: st.DrawFn) -> Record:
    """A version of a record. What it says follows from its key and version, as in the cloud,
    where no writer uses a stamp twice."""
    concern = draw(
        st.sampled_from([r.SPEC, r.NAME, r.LIFE, r.DESIRED, r.PLACEMENT, r.STATUS, r.TOMBSTONE])
    )
    generation = draw(_generations) if concern in (r.PLACEMENT, r.STATUS) else ""
    stamp, writer = draw(_stamps), draw(st.sampled_from(_WRITERS))
    value = {"state": _STATES[(stamp + len(writer)) % 3], "by": writer[:1], "at": stamp}
    seen = draw(st.dictionaries(st.sampled_from([w[:12] for w in _WRITERS]), _stamps, max_size=2))
    return Record(draw(st.sampled_from(_OBJECTS)), concern, generation, stamp, writer, value, seen)


def _merged(records: list[Record]) -> Records:
    result = Records()
    for record in records:
        result.merge(record)
    return result


def _content(records: Records) -> set[tuple[r.RecordKey, r.Version]]:
    return {(record.key, record.version) for record in records}


@given(st.lists(_records(), max_size=30), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_order_of_merging_does_not_matter(records: list[Record], random: object) -> None:
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = _merged(records), _merged(shuffled)
    assert _content(one) == _content(other)
    assert one.total() == other.total()


@given(*[st.lists(_records(), max_size=15)] * 3)
@settings(max_examples=200, deadline=None)
def test_copies_that_merge_each_other_agree(
    first: list[Record], second: list[Record], third: list[Record]
) -> None:
    """(a + b) + c = a + (b + c), where + merges what the other one has kept."""
    left = _merged([*_merged([*_merged(first), *_merged(second)]), *_merged(third)])
    right = _merged([*_merged(first), *_merged([*_merged(second), *_merged(third)])])
    assert _content(left) == _content(right)
    assert left.total() == right.total()


@given(st.lists(_records(), max_size=30))
@settings(max_examples=200, deadline=None)
def test_merging_again_changes_nothing(records: list[Record]) -> None:
    merged = _merged(records)
    before = _content(merged)
    for record in records:
        change = merged.merge(record)
        assert change.stored is None
        assert not change.dropped
    assert _content(merged) == before


@given(st.lists(_records(), max_size=30))
@settings(max_examples=200, deadline=None)
def test_what_changes_say_leads_to_what_is_kept(records: list[Record]) -> None:
    """Whoever follows the changes, as the disk does, has the same records."""
    merged = Records()
    disk: dict[r.RecordKey, Record] = {}
    for record in records:
        change = merged.merge(record)
        for key in change.dropped:
            del disk[key]
        if change.stored is not None:
            disk[change.stored.key] = change.stored
    assert disk == {record.key: record for record in merged}
    assert _merged(list(disk.values())).total() == merged.total()


@given(st.lists(_records(), max_size=30))
@settings(max_examples=200, deadline=None)
def test_a_tombstone_stands_alone(records: list[Record]) -> None:
    merged = _merged(records)
    for object_id in _OBJECTS:
        if any(x.object == object_id and x.concern == r.TOMBSTONE for x in records):
            assert [x.concern for x in merged.of(object_id)] == [r.TOMBSTONE]


@given(st.lists(_records(), max_size=40))
@settings(max_examples=200, deadline=None)
def test_only_the_newest_generations_are_kept(records: list[Record]) -> None:
    merged = _merged(records)
    for object_id in _OBJECTS:
        for concern in (r.PLACEMENT, r.STATUS):
            kept = [x for x in merged.of(object_id) if x.concern == concern]
            given_ones = [x for x in records if (x.object, x.concern) == (object_id, concern)]
            newest = sorted({r.generation_order(x) for x in given_ones})[-r.GENERATIONS_KEPT :]
            if merged.tombstone(object_id) is None:
                assert sorted(r.generation_order(x) for x in kept) == newest


@given(st.lists(st.sampled_from(_STATES), min_size=1, max_size=8))
def test_a_life_only_goes_up(states: list[str]) -> None:
    rank = {"creating": 0, "undone": 1, "created": 2}
    merged = Records()
    seen = []
    for stamp, state in enumerate(states):
        merged.merge(Record(_OBJECTS[0], r.LIFE, "", stamp, _WRITERS[0], {"state": state}))
        found = merged.get(_OBJECTS[0], r.LIFE)
        assert found is not None
        seen.append(rank[found.value["state"]])
    assert all(before <= after for before, after in pairwise(seen))
    assert seen[-1] == max(rank[state] for state in states)


@given(st.lists(st.sampled_from(_WRITERS), min_size=1, max_size=20))
def test_a_chain_of_versions_has_no_conflict(writers: list[str]) -> None:
    """Each written in knowledge of the one before: in any order of arrival, the last one wins
    and nobody hears of a conflict, as long as few writers take turns."""
    key = (_OBJECTS[0], r.DESIRED, "")
    chain: list[Record] = []
    for stamp, writer in enumerate(writers):
        base = chain[-1] if chain else None
        chain.append(successor(base, key, stamp, writer, {"state": str(stamp)}))
    for order in (chain, chain[::-1]):
        merged = Records()
        assert all(merged.merge(record).conflict is None for record in order)
        found = merged.get(*key[:2])
        assert found == chain[-1]


def test_versions_that_did_not_know_each_other_conflict() -> None:
    one = Record(_OBJECTS[0], r.DESIRED, "", 5, _WRITERS[0], {"state": "running"})
    other = Record(_OBJECTS[0], r.DESIRED, "", 6, _WRITERS[1], {"state": "stopped"})
    for first, second in ((one, other), (other, one)):
        merged = Records()
        merged.merge(first)
        assert merged.merge(second).conflict == one
        assert merged.get(_OBJECTS[0], r.DESIRED) == other


def test_fields_that_a_member_does_not_know_survive_its_writes() -> None:
    key = (_OBJECTS[0], r.SPEC, "")
    newer = successor(None, key, 1, _WRITERS[0], {"image": "a", "from-the-future": 1})
    older = successor(newer, key, 2, _WRITERS[1], {"image": "b"})
    assert older.value == {"image": "b", "from-the-future": 1}
