"""The daemon: puts the parts of a node together and is the Service that its APIs see."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

from shoal import PROTOCOL, __version__
from shoal.core.effects import (
    Announce,
    Effect,
    EngineCall,
    Happened,
    Learned,
    Rejoin,
    Reply,
    Send,
)
from shoal.core.events import Event, Now, PeerDown, PeerSuspect, PeerUp, Received, Request
from shoal.core.node import NodeCore
from shoal.engine.base import Engine
from shoal.engine.http import HttpPort
from shoal.model.container import ContainerView
from shoal.model.errors import NotFound, ShoalError, Unavailable, revive
from shoal.model.ids import SYSTEM, vcluster_id
from shoal.model.node import ImageInfo, NodeInfo
from shoal.model.ops import (
    Answer,
    Failed,
    GetContainer,
    GetImage,
    GetRemoved,
    ImageTag,
    Objects,
    Operation,
    View,
)
from shoal.model.options import NodeOptions
from shoal.node import images, membership
from shoal.node.doctor.peers import Prober
from shoal.node.doorman import Doorman
from shoal.node.engine_driver import EngineDriver
from shoal.node.following import EventHub, Merge
from shoal.node.identity import Credentials, Identity
from shoal.node.kinship_membership import KinshipMembership
from shoal.node.membership import MEMBERSHIP_OFFSET
from shoal.node.operating import Operating
from shoal.node.recording import RecordedCore, open_recording
from shoal.node.rpc import CallContext, Endpoint, Methods
from shoal.node.service import EnginePort, Member, WaitCondition, WaitOutcome
from shoal.node.shell import Shell
from shoal.node.store import DATABASE, SqliteStore
from shoal.node.transport import Transport
from shoal.node.waiting import wait

REFRESH = "refresh"
_SLACK = 2.0  # seconds by which the core's own deadline comes first


class Daemon:
    """One running node. `start` and `stop` are its life; everything else is Service."""

    def __init__(
        self,
        options: NodeOptions,
        address: str,
        identity: Identity,
        credentials: Credentials,
        gossip_key: bytes,
        engine: Engine | None = None,
    ) -> None:
        self.node_id = identity.node_id
        self.cloud = credentials.cloud
        self._discovery = credentials.discovery
        self.hub = EventHub()
        self.store = SqliteStore(Path(options.state_dir, DATABASE))
        self._recording = open_recording(Path(options.record)) if options.record else None
        self._options = options
        self._address = address
        self._started = time.time_ns()
        self._replies: dict[int, asyncio.Future[Answer]] = {}
        self._tokens = 0
        self._ports: dict[str, HttpPort] = {}
        self._background: set[asyncio.Task[object]] = set()
        methods = Methods()
        self.hub.register(methods)
        methods.unary(REFRESH, self._refreshed, takes=type(None))
        self.operating = Operating(
            core=lambda: self.shell.core, feed=self._answered, transport=lambda: self.transport
        )
        self.operating.register(methods)
        self.transport = Transport(
            identity,
            credentials,
            methods,
            on_notify=lambda sender, payload: self.shell.feed(Received(sender, payload)),
            engine_socket=options.engine.removeprefix("unix://"),
        )
        self.driver = EngineDriver(engine or self._docker(), self._feed)
        self.shell = Shell(
            self.store, self._build, self._perform, self._disk_failed, self._disk_is_back
        )
        self._up: dict[str, PeerUp] = {}
        self.membership = KinshipMembership(
            node_id=self.node_id,
            cloud=self.cloud,
            bind=Endpoint(address, options.port + MEMBERSHIP_OFFSET),
            keys=[gossip_key],
            meta={"rpc": str(options.port)},
        )
        self.doorman = Doorman(
            identity,
            credentials,
            gossip_key,
            execute=self._in_system,
            members=lambda: [member.info for member in self.members() if member.state != "left"],
            transport=lambda: self.transport,
            now=time.time_ns,
        )
        self.doorman.register(methods)
        self.prober = Prober(
            self.node_id,
            transport=lambda: self.transport,
            membership=self.membership,
            members=self.members,
        )
        self.prober.register(methods)
        self._merge = Merge(self.transport, lambda: self.shell.core.members.present())

    def _docker(self) -> Engine:
        from shoal.engine.docker import DockerEngine

        socket = self._options.engine
        return DockerEngine(socket, cloud=self.cloud, node=self.node_id, peer=self.engine)

    def _build(self, now: Now) -> NodeCore:
        own = NodeInfo(
            id=self.node_id,
            name=self._options.name,
            address=self._address,
            port=self._options.port,
            site=self._options.site,
            labels=self._options.labels,
            cpu_class=self._options.cpu_class,
            protocol=PROTOCOL,
            version=__version__,
            started=self._started,
        )
        stored = self.store.load()
        discovery = self._discovery
        if self._recording is not None:
            return RecordedCore(self._recording, now, self.cloud, own, stored, discovery=discovery)
        return NodeCore(now, self.cloud, own, stored, discovery=discovery)

    # -- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen, take part, and read the engine. Raises Unavailable or OSError."""
        self.transport.start(self._address, self._options.port)
        self.shell.start()
        await self.membership.start()
        self._spawn(self._watch_members())
        self._spawn(self._meet())
        self.driver.start()

    async def stop(self) -> None:
        for task in self._background:
            task.cancel()
        await self.membership.stop(leave=False)
        await self.driver.stop()
        for port in self._ports.values():
            await port.close()
        self.shell.stop()
        await self.transport.stop()
        await self.store.close()
        if self._recording is not None:
            self._recording.close()

    async def settled(self, timeout: float) -> None:
        """Wait until the engine was read and a remembered peer was met, or for `timeout` s."""
        end = time.monotonic() + timeout
        members = self.shell.core.members
        while time.monotonic() < end:
            alone = len(self.shell.core.members.peers) == 1
            if self.driver.answered.is_set() and (alone or members.others()):
                return
            await asyncio.sleep(0.02)

    def _spawn(self, work: Coroutine[object, object, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _meet(self) -> None:
        """Find the peers of old; membership goes on trying by itself once it knows one."""
        peers = self.shell.core.members.peers
        while not self.shell.core.members.others():
            seeds = [_seed(peer.info) for node, peer in peers.items() if node != self.node_id]
            if seeds and await self.membership.join(seeds):
                return
            await asyncio.sleep(1.0)

    async def _watch_members(self) -> None:
        async for event in self.membership.events():
            match event:
                case membership.MemberUp():
                    port = int(event.meta.get("rpc", event.port - MEMBERSHIP_OFFSET))
                    up = PeerUp(event.node_id, event.address, port, event.epoch)
                    known = self._up.get(event.node_id)
                    if known is not None and known.epoch != up.epoch:
                        self._hang_up(event.node_id)
                    self._up[event.node_id] = up
                    self._feed(up)
                case membership.MemberRefuted():
                    self._feed(self._up[event.node_id])
                case membership.MemberSaid():
                    self.prober.heard(event.node_id, event.data)
                case membership.MemberSuspect():
                    self._feed(PeerSuspect(event.node_id))
                case membership.MemberDown():
                    self.transport.disconnect(event.node_id)
                    self._hang_up(event.node_id)
                    self._up.pop(event.node_id, None)
                    self._feed(PeerDown(event.node_id))
                case membership.MemberLeft():
                    self._up.pop(event.node_id, None)
                    self._feed(PeerDown(event.node_id, left=True))

    def _hang_up(self, node_id: str) -> None:
        """Close the connections to a node's engine that are kept for later: who lost power said no
        goodbye, and what is sent on them would fail."""
        if (port := self._ports.pop(node_id, None)) is not None:
            self._spawn(port.close())

    # -- the core's effects --------------------------------------------------------------------

    def _feed(self, event: Event) -> None:
        self.shell.feed(event)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                self.transport.notify(effect.to, effect.payload)
            case Reply():
                future = self._replies.pop(effect.token, None)
                if future is not None and not future.done():
                    future.set_result(effect.answer)
            case EngineCall():
                self.driver.call(effect)
            case Happened():
                self.hub.publish(effect)
            case Learned():
                info = effect.info
                self.transport.set_peer(info.id, info.address, info.port, name=info.name)
            case Rejoin():
                self._spawn(self._rejoin(effect.node))
            case Announce():
                pass  # peers were told by message; membership carries no more than the port

    async def _rejoin(self, node: str) -> None:
        peer = self.shell.core.members.peers.get(node)
        if peer is not None:
            await self.membership.join([_seed(peer.info)])

    def _disk_failed(self, text: str) -> None:
        replies, self._replies = self._replies, {}
        for future in replies.values():
            if not future.done():
                future.set_result(Failed(503, text))

    def _disk_is_back(self) -> None:
        for up in list(self._up.values()):
            self._feed(up)
        self._spawn(self.driver.refresh())

    # -- Service -------------------------------------------------------------------------------

    async def execute(
        self, vcluster: str, operation: Operation, *, timeout: float = 15.0
    ) -> Answer:
        deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(timeout * 1e9)
        request = secrets.token_hex(16)
        return await self._answered(
            lambda token: Request(token, request, vcluster, operation, deadline), timeout=timeout
        )

    async def _answered(
        self, event_of: Callable[[int], Event], *, timeout: float = _SLACK
    ) -> Answer:
        """Have the core take an event, and wait for its reply to the event's token."""
        self._tokens += 1
        token = self._tokens
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._replies[token] = future
        self._feed(event_of(token))
        try:
            answer = await asyncio.wait_for(future, timeout + _SLACK)
        except TimeoutError:
            raise Unavailable("this node's disk does not keep up: see its log") from None
        finally:
            self._replies.pop(token, None)
        if isinstance(answer, Failed):
            raise revive(answer.status, answer.text)
        return answer

    async def _in_system(self, operation: Operation) -> Answer:
        return await self.execute(vcluster_id(self.cloud, SYSTEM), operation)

    def members(self) -> list[Member]:
        peers = self.shell.core.members.peers.values()
        found = [Member(peer.info, peer.state, peer.since_wall) for peer in peers]
        return sorted(found, key=lambda member: (member.info.name, member.info.id))

    def engine(self, node_id: str) -> EnginePort:
        if node_id == self.node_id:
            return self.driver.engine.port()
        port = self._ports.get(node_id)
        if port is None:
            name = self.shell.core.members.name(node_id)
            port = HttpPort(
                lambda: self.transport.engine_connector(node_id), f"the engine of host {name}"
            )
            self._ports[node_id] = port
        return port

    def engine_name(self, container_view: ContainerView) -> str:
        name = container_view.status.engine_name
        if not name:
            raise Unavailable(f"container {container_view.name} is still being created: try again")
        return name

    async def resolve_image(self, vcluster: str, reference: str) -> tuple[ImageInfo, list[str]]:
        answer = await self.execute(vcluster, GetImage(images.familiar(reference)))
        assert isinstance(answer, ImageTag)
        try:
            return images.find(reference, answer.image_id, self._present())
        except ShoalError:
            await self._refresh_all()
            return images.find(reference, answer.image_id, self._present())

    def _present(self) -> list[NodeInfo]:
        members = self.shell.core.members
        return [members.peers[node].info for node in members.present()]

    async def _refresh_all(self) -> None:
        """Somebody may have got the image a moment ago: look everywhere before saying no."""
        work = [self.refresh(node) for node in self.shell.core.members.present()]
        await asyncio.gather(*work, return_exceptions=True)

    async def refresh(self, node_id: str) -> None:
        info = await self.transport.call(node_id, REFRESH, None, returns=NodeInfo, timeout=5.0)
        self.shell.core.learn(info)

    async def _refreshed(self, context: CallContext, args: None) -> NodeInfo:
        await self.driver.refresh()
        return self.shell.core.members.own

    def follow(self, vcluster: str) -> AsyncIterator[Happened]:
        return self._merge.follow(vcluster)

    async def past(self, vcluster: str, since: int, until: int) -> list[Happened]:
        return await self._merge.past(vcluster, since, until)

    async def wait(
        self, vcluster: str, ref: str, condition: WaitCondition, *, exits: int | None = None
    ) -> WaitOutcome:
        async def look() -> ContainerView:
            return await self._view(vcluster, ref)

        try:
            return await wait(look, self.follow(vcluster), condition, exits=exits)
        except NotFound:
            removed = await self.execute(vcluster, GetRemoved(ref))
            if exits is None or not isinstance(removed, Objects) or not removed.records:
                raise
            return WaitOutcome(int(removed.records[ref]["exit_code"]))

    async def _view(self, vcluster: str, ref: str) -> ContainerView:
        answer = await self.execute(vcluster, GetContainer(ref))
        assert isinstance(answer, View)
        return answer.container


def _seed(info: NodeInfo) -> Endpoint:
    return Endpoint(info.address, info.port + MEMBERSHIP_OFFSET)
