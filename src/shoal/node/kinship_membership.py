"""Membership on kinship: SWIM with Lifeguard in Rust, on a thread of its own, so that a busy
event loop causes no false death.

kinship binds UDP and TCP on one port number, hence not the one of RPC.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping

import kinship
import structlog

from shoal.model.errors import Unavailable
from shoal.model.ids import is_id, short
from shoal.node.membership import (
    META_LIMIT,
    MemberDown,
    MemberLeft,
    MemberMeta,
    MemberRefuted,
    MemberSaid,
    MembershipEvent,
    MembershipStats,
    MemberSuspect,
    MemberUp,
    MetaTooLarge,
)
from shoal.node.rpc import Endpoint

log = structlog.get_logger("shoal.membership")

_JOIN = 10.0  # seconds for one of the seeds to answer
_LEAVE = 2.0  # seconds for the news of leaving to spread
_THERE = (kinship.State.ALIVE, kinship.State.SUSPECT)


class KinshipMembership:
    """Membership of one cloud's nodes. `keys` are the cloud's gossip keys (32 bytes each); the
    first one encrypts, all decrypt. `advertise` is what peers dial when `bind` is a wildcard.
    Raises MetaTooLarge.
    """

    def __init__(
        self,
        *,
        node_id: str,
        cloud: str,
        bind: Endpoint,
        keys: list[bytes],
        meta: Mapping[str, str],
        advertise: Endpoint | None = None,
    ) -> None:
        self._node_id = node_id
        self._bind = bind
        try:
            self._config = kinship.Config.lan(
                name=node_id,
                cluster=cloud,
                bind=str(bind),
                advertise=str(advertise) if advertise else None,
                keys=list(keys),
                meta=dict(meta),
                max_meta_bytes=META_LIMIT,
                # 20 nodes see a death within 2 to 4 s with these three (`python -m bench`).
                probe_interval=0.4,
                probe_timeout=0.2,
                suspicion_mult=3,
            )
        except kinship.ConfigError as error:
            if error.field == "meta":
                raise MetaTooLarge(str(error)) from error
            raise
        self._cluster: kinship.Cluster | None = None
        self._known: dict[str, kinship.Member] = {}

    @property
    def endpoint(self) -> Endpoint:
        return self._bind if self._cluster is None else Endpoint.parse(self._cluster.local.addr)

    async def start(self) -> None:
        kinship.log_to_python()
        try:
            self._cluster = await kinship.Cluster(self._config).start()
        except (kinship.KinshipError, OSError) as error:
            where = f"{self._bind} (UDP and TCP)"
            raise Unavailable(f"membership cannot listen on {where}: {error}") from error

    async def stop(self, *, leave: bool) -> None:
        if self._cluster is None:
            return
        try:
            if leave:
                await self._cluster.leave(_LEAVE)
            await self._cluster.close()
        except kinship.KinshipClosed:
            pass

    async def join(self, seeds: Iterable[Endpoint]) -> int:
        try:
            async with asyncio.timeout(_JOIN):
                return await self._running.join([str(seed) for seed in seeds])
        except (kinship.JoinError, TimeoutError) as error:
            log.info("no seed answered", error=str(error))
            return 0

    async def update_meta(self, meta: Mapping[str, str]) -> None:
        try:
            await self._running.set_meta(meta)
        except kinship.MetaTooLarge as error:
            raise MetaTooLarge(str(error)) from error

    def stats(self) -> MembershipStats:
        if self._cluster is None:
            return MembershipStats()
        stats = self._cluster.stats()
        return MembershipStats(
            health=stats.local_health,
            probes=stats.probes_sent,
            failed_probes=stats.probes_failed,
            suspicions=stats.suspicions,
        )

    async def say(self, node_id: str, data: bytes) -> None:
        try:
            await self._running.send(node_id, data)
        except kinship.KinshipError as error:
            raise Unavailable(f"nothing can be said to node {short(node_id)}: {error}") from error

    async def install_key(self, key: bytes) -> None:
        """First step of a rotation, on every node: understand packets under `key`."""
        await self._running.keyring.install(key)

    async def use_key(self, key: bytes) -> None:
        """Second step: send under `key`."""
        await self._running.keyring.use(key)

    async def drop_key(self, key: bytes) -> None:
        """Last step: forget an old key."""
        await self._running.keyring.remove(key)

    async def events(self) -> AsyncGenerator[MembershipEvent, None]:
        stream = self._running.events()  # subscribed before the list is read: no gap
        for event in self._resync():
            yield event
        async for raw in stream:
            if isinstance(raw, kinship.EventsLost):
                log.warning("membership events were lost", count=raw.count)
                for event in self._resync():
                    yield event
            else:
                for event in self._translate(raw):
                    yield event

    # -- inside ---------------------------------------------------------------------------------

    @property
    def _running(self) -> kinship.Cluster:
        assert self._cluster is not None, "start() first"
        return self._cluster

    def _resync(self) -> Iterator[MembershipEvent]:
        """Events that lead from what was told so far to the present list."""
        now = {member.name: member for member in self._running.members()}
        for name in self._known.keys() - now.keys():
            del self._known[name]
            gone = self._running.member(name)
            left = gone is not None and gone.state is kinship.State.LEFT
            yield MemberLeft(name) if left else MemberDown(name)
        for member in now.values():
            yield from self._seen(member)

    def _translate(self, event: kinship.Event) -> Iterator[MembershipEvent]:
        match event:
            case kinship.NameConflict(member=member, other_addr=other):
                log.warning("two nodes claim one id", node=short(member.name), other=other)
            case kinship.UserMessage(sender=sender, data=data):
                yield MemberSaid(sender.name, data)
            case kinship.MemberDead(member=member) | kinship.MemberLeft(member=member):
                yield from self._gone(member, left=isinstance(event, kinship.MemberLeft))
            case (
                kinship.MemberJoined(member=member)
                | kinship.MemberSuspect(member=member)
                | kinship.MemberRecovered(member=member)
                | kinship.MemberUpdated(member=member)
            ):
                yield from self._seen(member)

    def _gone(self, member: kinship.Member, *, left: bool) -> Iterator[MembershipEvent]:
        known = self._known.get(member.name)
        if known is None or known.epoch > member.epoch:
            return  # told already, or about a run before the one we know
        current = self._running.member(member.name)
        if current and current.state in _THERE and current.epoch > member.epoch:
            return  # kinship calls a restart leaving; the new run's MemberJoined follows
        del self._known[member.name]
        yield MemberLeft(member.name) if left else MemberDown(member.name)

    def _seen(self, member: kinship.Member) -> Iterator[MembershipEvent]:
        """What is new about a member that is there."""
        if member.name == self._node_id or not is_id(member.name):
            return
        known = self._known.get(member.name)
        if known is not None and known.epoch > member.epoch:
            return
        self._known[member.name] = member
        was = known.state if known is not None else kinship.State.ALIVE
        if known is None or known.epoch != member.epoch or known.addr != member.addr:
            at, meta = Endpoint.parse(member.addr), dict(member.meta)
            was = kinship.State.ALIVE
            yield MemberUp(member.name, at.host, at.port, member.epoch, meta)
        elif known.meta != member.meta:
            yield MemberMeta(member.name, dict(member.meta))
        if member.state is not was:
            suspect = member.state is kinship.State.SUSPECT
            yield MemberSuspect(member.name) if suspect else MemberRefuted(member.name)
