"""kinship behind our port, on loopback."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import kinship
import pytest
from cloud_fixture import run, until

from shoal.model.errors import Unavailable
from shoal.node.kinship_membership import KinshipMembership
from shoal.node.membership import (
    META_LIMIT,
    MemberDown,
    MemberLeft,
    MemberMeta,
    MemberRefuted,
    Membership,
    MembershipEvent,
    MemberSuspect,
    MemberUp,
    MetaTooLarge,
    new_gossip_key,
)
from shoal.node.rpc import Endpoint

ANY = Endpoint("127.0.0.1", 0)


def node_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


class Member:
    """A running membership and what it told."""

    def __init__(self, name: str, key: bytes, **options: Any) -> None:
        self.id = node_id(name)
        self.told: list[MembershipEvent] = []
        settings: dict[str, Any] = {"bind": ANY, "meta": {"name": name}} | options
        self.membership = KinshipMembership(node_id=self.id, cloud="c" * 32, keys=[key], **settings)
        self._reader: asyncio.Task[None] | None = None

    async def start(self, seeds: Iterable["Member"] = ()) -> None:
        await self.membership.start()
        self._reader = asyncio.create_task(self._read())
        endpoints = [seed.membership.endpoint for seed in seeds]
        if endpoints:
            assert await self.membership.join(endpoints) >= 1

    async def _read(self) -> None:
        async for event in self.membership.events():
            self.told.append(event)

    async def stop(self, *, leave: bool = False) -> None:
        await self.membership.stop(leave=leave)
        if self._reader is not None:
            await asyncio.wait_for(self._reader, 10)

    def sees(self, kind: type, other: "Member") -> bool:
        return any(isinstance(e, kind) and e.node_id == other.id for e in self.told)


@contextlib.asynccontextmanager
async def members(*names: str) -> AsyncIterator[list[Member]]:
    key = new_gossip_key()
    running = [Member(name, key) for name in names]
    for number, member in enumerate(running):
        await member.start(running[:1] if number else [])
    try:
        await until(
            lambda: all(a.sees(MemberUp, b) for a in running for b in running if a is not b)
        )
        yield running
    finally:
        for member in running:
            await member.stop()


def test_nodes_see_each_other_with_address_and_metadata() -> None:
    async def main() -> None:
        async with members("a", "b", "c") as (a, b, c):
            port: Membership = b.membership
            (up,) = [e for e in a.told if isinstance(e, MemberUp) and e.node_id == b.id]
            assert (up.address, up.port) == ("127.0.0.1", port.endpoint.port)
            assert up.meta == {"name": "b"}
            assert up.epoch > 0
            assert not a.sees(MemberUp, a)
            await b.membership.update_meta({"name": "b", "load": "5"})
            changed = MemberMeta(b.id, {"name": "b", "load": "5"})
            await until(lambda: changed in a.told and changed in c.told)

    run(main())


def test_nodes_see_each_other_over_ipv6_and_behind_wildcards() -> None:
    async def main() -> None:
        key = new_gossip_key()
        a = Member("a", key, bind=Endpoint("::1", 0))
        b = Member("b", key, bind=Endpoint("::", 0), advertise=Endpoint("::1", 0))
        await a.start()
        await b.start([a])
        try:
            await until(lambda: a.sees(MemberUp, b) and b.sees(MemberUp, a))
            (up,) = a.told
            assert isinstance(up, MemberUp)
            assert (up.address, up.port) == ("::1", b.membership.endpoint.port)
        finally:
            await a.stop()
            await b.stop()

    run(main())


def test_a_silent_death_is_suspected_and_then_known_in_seconds() -> None:
    async def main() -> None:
        async with members("a", "b", "c", "d") as (a, b, c, d):
            await d.stop()
            loop = asyncio.get_running_loop()
            began = loop.time()
            await until(lambda: all(m.sees(MemberDown, d) for m in (a, b, c)))
            assert loop.time() - began < 8
            assert a.sees(MemberSuspect, d)
            assert not any(m.sees(MemberDown, n) for m in (a, b, c) for n in (a, b, c))

    run(main())


def test_a_farewell_is_no_death() -> None:
    async def main() -> None:
        async with members("a", "b") as (a, b):
            await b.stop(leave=True)
            await until(lambda: a.sees(MemberLeft, b))
            assert not a.sees(MemberDown, b)

    run(main())


def test_a_restart_is_a_new_run_and_no_farewell() -> None:
    async def main() -> None:
        async with members("a", "b") as (a, b):
            endpoint = b.membership.endpoint
            (first,) = [e for e in a.told if isinstance(e, MemberUp)]
            key = new_gossip_key()
            await a.membership.install_key(key)
            await a.membership.use_key(key)
            await b.stop()
            again = Member("b", key, bind=endpoint)
            await again.start([a])
            try:
                await until(lambda: sum(isinstance(e, MemberUp) for e in a.told) == 2)
                ups = [e for e in a.told if isinstance(e, MemberUp)]
                assert ups[1].epoch > first.epoch
                assert not a.sees(MemberLeft, b)
            finally:
                await again.stop()

    run(main())


def test_strangers_without_the_key_are_not_seen() -> None:
    async def main() -> None:
        async with members("a", "b") as (a, b):
            stranger = Member("x", new_gossip_key())
            await stranger.membership.start()
            assert await stranger.membership.join([a.membership.endpoint]) == 0
            await stranger.stop()
            assert not a.sees(MemberUp, stranger)
            assert not b.sees(MemberUp, stranger)

    run(main())


def test_too_much_metadata_and_a_taken_port_are_errors() -> None:
    async def main() -> None:
        large = {"name": "x" * META_LIMIT}
        with pytest.raises(MetaTooLarge):
            Member("x", new_gossip_key(), meta=large)
        async with members("a", "b") as (a, b):
            with pytest.raises(MetaTooLarge):
                await a.membership.update_meta(large)
            taken = Member("x", new_gossip_key(), bind=b.membership.endpoint)
            with pytest.raises(Unavailable, match="membership cannot listen on"):
                await taken.membership.start()

    run(main())


# -- the translation of kinship's events, without a network --------------------------------------


class FakeCluster:
    def __init__(self) -> None:
        self.there: dict[str, kinship.Member] = {}

    def members(self) -> list[kinship.Member]:
        return [m for m in self.there.values() if m.state.value < 2]

    def member(self, name: str) -> kinship.Member | None:
        return self.there.get(name)


def at(state: kinship.State, *, epoch: int = 1, meta: dict[str, str] | None = None) -> Any:
    return kinship.Member(node_id("b"), "10.0.0.2:7442", state, 0, meta or {}, epoch)


def translator() -> tuple[KinshipMembership, FakeCluster]:
    membership = Member("a", new_gossip_key()).membership
    cluster = FakeCluster()
    membership._cluster = cluster  # type: ignore[assignment]
    return membership, cluster


def test_lost_events_are_made_up_for_from_the_list() -> None:
    membership, cluster = translator()
    b = node_id("b")
    cluster.there = {b: at(kinship.State.ALIVE)}
    assert list(membership._resync()) == [MemberUp(b, "10.0.0.2", 7442, 1, {})]
    cluster.there = {b: at(kinship.State.SUSPECT)}
    assert list(membership._resync()) == [MemberSuspect(b)]
    cluster.there = {b: at(kinship.State.ALIVE, meta={"x": "1"})}
    assert list(membership._resync()) == [MemberMeta(b, {"x": "1"}), MemberRefuted(b)]
    cluster.there = {b: at(kinship.State.DEAD)}
    assert list(membership._resync()) == [MemberDown(b)]
    assert list(membership._resync()) == []
    cluster.there = {b: at(kinship.State.ALIVE, epoch=2)}
    assert list(membership._resync()) == [MemberUp(b, "10.0.0.2", 7442, 2, {})]
    cluster.there = {b: at(kinship.State.LEFT, epoch=2)}
    assert list(membership._resync()) == [MemberLeft(b)]


def test_news_of_an_old_run_changes_nothing() -> None:
    membership, cluster = translator()
    b = node_id("b")
    new = at(kinship.State.ALIVE, epoch=2)
    cluster.there = {b: new}
    assert len(list(membership._translate(kinship.MemberJoined(new)))) == 1
    for event in (
        kinship.MemberDead(at(kinship.State.DEAD)),
        kinship.MemberLeft(at(kinship.State.LEFT)),
        kinship.MemberSuspect(at(kinship.State.SUSPECT)),
    ):
        assert list(membership._translate(event)) == []
    assert list(membership._translate(kinship.MemberLeft(at(kinship.State.LEFT, epoch=2)))) == [
        MemberLeft(b)
    ]


def test_names_that_are_no_node_ids_are_ignored() -> None:
    membership, _ = translator()
    odd = kinship.Member("web-1", "10.0.0.3:7442", kinship.State.ALIVE, 0, {}, 1)
    assert list(membership._translate(kinship.MemberJoined(odd))) == []
