"""Who is there, and when the absence of a host may be acted on: storms are braked."""

import msgspec

from shoal.core.context import SECOND, Context
from shoal.core.effects import Learned, Put, Rejoin, Send
from shoal.core.events import Now
from shoal.core.members import (
    ENGINE_GRACE,
    STORM_GRACE,
    STORM_WINDOW,
    UNSEEN_GRACE,
    Members,
)
from shoal.core.messages import Envelope, Hello
from shoal.model.node import EngineInfo, NodeInfo

_START = 1_000 * SECOND


def _info(name: str, **fields: object) -> NodeInfo:
    fields.setdefault("engine", EngineInfo(up=True))
    return NodeInfo(id=name * 64, name=name, address="10.9.0.1", **fields)  # type: ignore[arg-type]


class World:
    """Members of node `a`, and time."""

    def __init__(self, remembered: str = "") -> None:
        self.context = Context("a" * 64, Now(_START, _START))
        blobs = []
        if remembered:
            first = Members(self.context, _info("a"), [])
            for name in remembered:
                first.hello(Hello(_info(name)))
            blobs = [e.value for e in self.context.take() if isinstance(e, Put)]
        self.members = Members(self.context, _info("a"), blobs)
        self.context.take()

    def after(self, seconds: float) -> None:
        at = _START + int(seconds * SECOND)
        self.context.now = Now(at, at)

    def up(self, names: str) -> None:
        for name in names:
            self.members.up(name * 64, "10.9.0.2", 7440)
            self.members.hello(Hello(_info(name, revision=1)))

    def down(self, names: str) -> None:
        for name in names:
            self.members.down(name * 64, left=False)

    def gone(self, name: str) -> bool:
        return self.members.gone(name * 64)[0]

    def reason(self, name: str) -> str:
        return self.members.gone(name * 64)[1]


def test_a_host_that_died_is_replaced_at_once() -> None:
    world = World()
    world.up("bcd")
    assert not world.gone("b")
    world.after(1)
    world.down("b")
    assert world.gone("b")
    assert not world.gone("c")


def test_the_ring_holds_those_present() -> None:
    world = World()
    world.up("bc")
    assert sorted(world.members.ring.successors("key", 9)) == ["a" * 64, "b" * 64, "c" * 64]
    world.members.suspect("b" * 64)
    assert len(world.members.ring.successors("key", 9)) == 3
    world.down("b")
    assert "b" * 64 not in world.members.ring.successors("key", 9)


def test_a_host_unseen_since_the_own_start_has_a_minute() -> None:
    world = World(remembered="bc")
    assert not world.gone("b")
    assert "not seen since this node started" in world.reason("b")
    world.after(UNSEEN_GRACE / SECOND - 1)
    assert not world.gone("b")
    world.after(UNSEEN_GRACE / SECOND)
    assert world.gone("b")


def test_a_host_seen_and_lost_again_is_no_longer_unseen() -> None:
    world = World(remembered="bcd")
    world.up("bcd")
    world.down("b")
    assert world.gone("b")


def test_a_host_that_nobody_ever_saw_has_a_minute() -> None:
    world = World()
    assert "never seen" in world.reason("f")
    world.after(UNSEEN_GRACE / SECOND)
    assert world.gone("f")


def test_when_over_half_vanish_at_once_nothing_is_replaced_for_a_while() -> None:
    world = World()
    world.up("bcde")
    world.after(1)
    world.down("b")
    assert world.gone("b")
    world.down("cd")
    assert not world.gone("b")
    assert "over half" in world.reason("c")
    world.after(1 + STORM_GRACE / SECOND)
    assert world.gone("b")
    assert world.gone("c")


def test_hosts_that_vanish_one_by_one_are_no_storm() -> None:
    world = World()
    world.up("bcde")
    for number, name in enumerate("bcd"):
        world.after(1 + number * (1 + STORM_WINDOW / SECOND))
        world.down(name)
        assert world.gone(name)


def test_hosts_that_are_back_do_not_make_a_storm() -> None:
    world = World()
    world.up("bc")
    for second, name in ((1, "b"), (3, "c"), (5, "b")):
        world.after(second)
        world.down(name)
        assert world.gone(name)
        world.after(second + 1)
        world.up(name)


def test_a_cloud_of_two_heals_at_once() -> None:
    world = World()
    world.up("b")
    world.down("b")
    assert world.gone("b")


def test_those_who_say_goodbye_are_no_storm() -> None:
    world = World()
    world.up("bcde")
    for name in "bcd":
        world.members.down(name * 64, left=True)
    world.down("e")
    assert world.gone("e")


def test_an_unreachable_engine_is_a_state_and_not_a_death() -> None:
    world = World()
    world.up("b")
    world.members.hello(Hello(_info("b", revision=2, engine=EngineInfo(up=False))))
    assert not world.gone("b")
    assert "engine of host b does not answer" in world.reason("b")
    world.after(ENGINE_GRACE / SECOND)
    assert world.gone("b")
    world.members.hello(Hello(_info("b", revision=3)))
    assert world.members.gone("b" * 64) == (False, "")


def test_an_older_introduction_changes_nothing() -> None:
    world = World()
    world.up("b")
    assert world.members.hello(Hello(_info("b", revision=9, site="new")))
    assert not world.members.hello(Hello(_info("b", revision=8, site="old")))
    assert world.members.peers["b" * 64].info.site == "new"


def test_the_dead_are_dialled_and_an_answer_brings_them_back() -> None:
    world = World()
    world.up("bc")
    world.down("b")
    world.context.take()
    world.members.redial()
    assert [e.to for e in world.context.take() if isinstance(e, Send)] == ["b" * 64]
    world.members.hello(Hello(_info("b", revision=2)))
    assert Rejoin("b" * 64) in world.context.take()
    assert not world.members.is_present("b" * 64)  # until membership says so for everybody


def test_who_has_not_heard_the_last_news_is_told_again() -> None:
    world = World()
    world.up("bc")
    world.members.update_own(_info("a", revision=7))
    world.members.hello(Hello(_info("b", revision=2), heard=7))
    world.context.take()
    world.members.redial()
    assert [e.to for e in world.context.take() if isinstance(e, Send)] == ["c" * 64]
    world.members.hello(Hello(_info("c", revision=2), heard=7))
    world.context.take()
    world.members.redial()
    assert not [e for e in world.context.take() if isinstance(e, Send)]


def test_a_hello_says_which_one_of_the_receiver_was_heard() -> None:
    world = World()
    world.up("b")
    world.members.hello(Hello(_info("b", revision=5)))
    world.context.take()
    world.members.hello(Hello(_info("b", revision=5), reply=True))
    (sent,) = [e for e in world.context.take() if isinstance(e, Send)]
    assert msgspec.msgpack.decode(sent.payload, type=Envelope).body.heard == 5  # type: ignore[union-attr]


def test_members_are_remembered_with_their_addresses() -> None:
    world = World(remembered="bc")
    assert set(world.members.peers) == {"a" * 64, "b" * 64, "c" * 64}
    context = Context("a" * 64, Now(_START, _START))
    world.members.hello(Hello(_info("b", revision=5, port=7999)))
    blobs = [e.value for e in world.context.take() if isinstance(e, Put)]
    Members(context, _info("a"), blobs)
    learned = [e.info.port for e in context.take() if isinstance(e, Learned)]
    assert learned == [7999]


def test_soon_after_the_start_all_remembered_are_asked() -> None:
    world = World(remembered="bc")
    assert len(world.members.to_be_asked()) == 2
    world.after(6)
    assert world.members.to_be_asked() == []
