"""All cores of a node, as one state machine: `handle(now, event) -> effects`.

The shell keeps three duties: it calls again at `next_timer()`, it writes what a step persists
before any effect of that step or a later one leaves the node, and after a restart it gives back
exactly what was written.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from shoal.core import events as e
from shoal.core import messages as m
from shoal.core.candidates import Candidates, Everybody
from shoal.core.context import SECOND, Context, Timer
from shoal.core.discovery.contract import StrategyName
from shoal.core.effects import Announce, Effect, Log, Reply
from shoal.core.events import Now
from shoal.core.host.agent import RELEASED, HostAgent
from shoal.core.host.entry import LEDGER
from shoal.core.keeper.copy import HOLDS, conflicts_of
from shoal.core.keeper.vcluster import Vcluster
from shoal.core.members import SPACE as MEMBERS
from shoal.core.members import Members, revision_of
from shoal.core.orders import SPACE as ORDERS
from shoal.core.orders import Orders
from shoal.core.placement import ClusterView
from shoal.core.requests import Requests
from shoal.model.ids import DEFAULT, SYSTEM, vcluster_id
from shoal.model.node import NodeInfo
from shoal.model.ops import Done

if TYPE_CHECKING:
    from shoal.core.sought import Sought

COPIES = 3
SYSTEM_COPIES = 5
#: Changes of load are told at most this often.
ANNOUNCE_EVERY = SECOND

Stored = Iterable[tuple[str, str, bytes]]

_decode = msgspec.msgpack.Decoder(m.Envelope).decode


class NodeCore:
    """One node. `stored` is all that its disk has: (space, key, value)."""

    def __init__(
        self,
        now: Now,
        cloud: str,
        own: NodeInfo,
        stored: Stored,
        *,
        founder: bool = False,
        discovery: StrategyName = "view",
    ) -> None:
        """`founder`: this node creates the cloud, so what it has is all there is. `discovery` is
        the same on all nodes of a cloud."""
        spaces: dict[str, dict[str, bytes]] = {}
        for space, key, value in stored:
            spaces.setdefault(space, {})[key] = value
        self.cloud = cloud
        remembered = spaces.get(MEMBERS, {})
        # Above the last one, or peers that have it would ignore this run's inventory.
        self.context = Context(own.id, now, revision_of(remembered.get(own.id)))
        self._configured_labels = own.labels
        self._orders = Orders.load(spaces.get(ORDERS, {}))
        ordered = self._orders.fields(own.labels)
        own = msgspec.structs.replace(own, revision=self.context.stamp(), **ordered)
        others = [blob for node, blob in remembered.items() if node != own.id]
        self.members = Members(self.context, own, others)
        self.view = ClusterView()
        for node in self.members.peers:
            self._look(node)
        self.market: Sought | None = None
        self.candidates: Candidates = Everybody()
        if discovery != "view":
            self.market = self.candidates = self._sought(discovery)
        rows = list(spaces.get(LEDGER, {}).values())
        guards = list(spaces.get(RELEASED, {}).items())
        self.host = HostAgent(self.context, self.members, rows, guards)
        self.requests = Requests(self.context, self.members)
        self.vclusters: dict[str, Vcluster] = {}
        self._announced = own
        self._system = vcluster_id(cloud, SYSTEM)
        self._restore(spaces, founder=founder)
        self.context.after(ANNOUNCE_EVERY, "announce")

    def _sought(self, discovery: StrategyName) -> "Sought":
        from shoal.core.sought import Sought  # most daemons never need it

        return Sought(self.context, self.members, discovery, self._candidates_found)

    def _restore(self, spaces: dict[str, dict[str, bytes]], *, founder: bool) -> None:
        holds = spaces.get(HOLDS, {})
        known = [self._system, vcluster_id(self.cloud, DEFAULT), *sorted(holds)]
        for vcluster in dict.fromkeys(known):
            copy = self._vcluster(vcluster).copy
            for blob in spaces.get(f"v/{vcluster}", {}).values():
                copy.load(blob)
            for key, blob in spaces.get(conflicts_of(vcluster), {}).items():
                copy.load_conflict(key, blob)
            if founder:
                copy.mark(complete=True)
            elif vcluster in holds:
                copy.held, copy.complete = True, holds[vcluster] == b"complete"
        for item in list(self.vclusters.values()):
            item.ring_changed()
        self._deliver_local()

    def _vcluster(self, vcluster: str) -> Vcluster:
        found = self.vclusters.get(vcluster)
        if found is None:
            copies = SYSTEM_COPIES if vcluster == self._system else COPIES
            found = self.vclusters[vcluster] = Vcluster(
                self.context,
                self.members,
                self.view,
                self.candidates,
                self.host.bundle,
                vcluster,
                copies,
            )
        return found

    # -- the shell's interface -----------------------------------------------------------------

    def start(self) -> list[Effect]:
        """Effects of having been made."""
        return self.context.take()

    def next_timer(self) -> int | None:
        """Monotonic ns at which `handle` wants a Tick."""
        return self.context.next_timer()

    def handle(self, now: Now, event: e.Event) -> list[Effect]:
        """One step. Never raises for anything that peers, users or the engine do."""
        self.context.now = now
        self._dispatch(event)
        self._deliver_local()
        return self.context.take()

    def learn(self, info: NodeInfo) -> None:
        """A peer's inventory, asked for by the shell: it need not wait for the peer's message."""
        if self.members.hello(m.Hello(info)):
            self._look(info.id)

    # -- events --------------------------------------------------------------------------------

    def _dispatch(self, event: e.Event) -> None:
        match event:
            case e.Tick():
                while (timer := self.context.due()) is not None:
                    self._fire(timer)
                    self._deliver_local()
            case e.Received():
                self._receive(event)
            case e.Request():
                self._vcluster(event.vcluster)
                self.requests.begin(event)
            case e.EngineResult():
                self.host.engine_answered(event)
            case e.EngineChanged():
                self.host.engine_changed(event)
            case e.EngineSnapshot():
                self._engine_seen(event)
            case e.Operator():
                self._operator_asks(event)
            case e.PeerUp():
                self._peer_up(event)
            case e.PeerSuspect():
                self.members.suspect(event.node)
                self._look(event.node)
            case e.PeerDown():
                self._peer_down(event)

    def _peer_up(self, event: e.PeerUp) -> None:
        appeared = self.members.up(event.node, event.address, event.port)
        self._look(event.node)
        if appeared:
            if self.market is not None:
                self.market.came(event.node)
            for item in list(self.vclusters.values()):
                item.ring_changed()

    def _peer_down(self, event: e.PeerDown) -> None:
        vanished = self.members.down(event.node, left=event.left)
        self._look(event.node)
        if vanished:
            if self.market is not None:
                self.market.gone(event.node)
            for item in list(self.vclusters.values()):
                item.peer_gone(event.node)
            self.requests.peer_gone(event.node)

    def _candidates_found(self, container: str) -> None:
        for item in list(self.vclusters.values()):
            if item.keeper is not None:
                item.keeper.candidates_found(container)

    def _look(self, node: str) -> None:
        """Let placement see a peer as it is now."""
        peer = self.members.peers.get(node)
        if peer is not None:
            self.view.update(peer.info, up=peer.state == "up")

    def _operator_asks(self, event: e.Operator) -> None:
        self._orders = self._orders.changed(event.change)
        self.context.put(ORDERS, *self._orders.row())
        self._change_own(self._orders.fields(self._configured_labels))
        self.context.emit(Reply(event.token, Done(self.context.node_id)))

    def _engine_seen(self, event: e.EngineSnapshot) -> None:
        own = self.members.own
        changes: dict[str, object] = {"engine": event.info}
        if event.info.up:
            changes["images"] = event.images
            changes["architecture"] = event.architecture or own.architecture
            if event.capacity is not None:
                changes["capacity"] = event.capacity
        self._change_own(changes)
        self.host.snapshot(event)

    def _change_own(self, changes: dict[str, object]) -> None:
        own = self.members.own
        changed = msgspec.structs.replace(own, load=self.host.load, **changes)
        if changed == own:
            return
        changed = msgspec.structs.replace(changed, revision=self.context.stamp())
        self.members.update_own(changed)
        self._look(changed.id)
        self.context.emit(Announce(changed))
        if self.market is not None:
            self.market.changed(changed)

    # -- timers --------------------------------------------------------------------------------

    def _fire(self, timer: Timer) -> None:
        own: dict[str, Callable[[], None]] = {
            "redial": self.members.redial,
            "report": self.host.report_every,
            "restate": self.host.resend,
            "awake": self.host.awake,
            "announce": self._announce,
        }
        keyed: dict[str, Callable[[str], None]] = {
            "drive": self.host.drive,
            "part": self.host.parted,
            "ask-again": self.requests.ask_again,
            "ask-copies": self.requests.ask_copies,
            "take-stale": self.requests.take_stale,
            "deadline": self.requests.deadline,
            "ring": self.members.ring.fire,
        }
        if self.market is not None:
            keyed["market"] = self.market.fire
        if timer.kind in own:
            own[timer.kind]()
        elif timer.kind in keyed:
            keyed[timer.kind](timer.key)
        else:
            self._fire_vcluster(timer)

    def _fire_vcluster(self, timer: Timer) -> None:
        item = self._vcluster(timer.key)
        if timer.kind == "learn":
            item.learn_again()
        elif timer.kind == "sync":
            item.synchronise()
        else:
            item.nudge()

    def _announce(self) -> None:
        self.context.after(ANNOUNCE_EVERY, "announce")
        self._change_own({})

    # -- messages ------------------------------------------------------------------------------

    def _receive(self, event: e.Received) -> None:
        try:
            envelope = _decode(event.payload)
        except msgspec.MsgspecError as error:
            fields = {"sender": event.sender, "error": str(error)}
            self.context.emit(Log("warning", "message not understood", fields))
            return
        self.context.clock.observe(envelope.stamp)
        self.context.clock.heard(event.sender, envelope.wall, self.context.now.wall)
        self._message(event.sender, envelope.body)

    def _deliver_local(self) -> None:
        """Handle what this node said to itself, until it falls silent."""
        local = self.context.local
        while local:
            self._message(self.context.node_id, local.pop(0))

    def _message(self, sender: str, message: m.Message) -> None:
        if self._to_host(sender, message) or self._to_requests(message):
            return
        if isinstance(message, m.Hello):
            if self.members.hello(message):
                self._look(message.info.id)
        elif isinstance(message, m.OnRing):
            self.members.ring.heard(sender, message)
        elif isinstance(message, m.OnMarket):
            if self.market is not None:
                self.market.receive(sender, message.body)
        else:
            self._to_vcluster(sender, message)

    def _to_host(self, sender: str, message: m.Message) -> bool:
        match message:
            case m.Assign():
                self.host.assigned(sender, message)
            case m.Release():
                self.host.released(sender, message)
            case m.StatusKept():
                self.host.kept(message)
            case m.Reported():
                self.host.reported(message)
            case m.Want():
                self.host.wanted(sender, message)
            case m.FetchImage():
                self.host.fetch(message)
            case _:
                return False
        return True

    def _to_requests(self, message: m.Message) -> bool:
        match message:
            case m.Told():
                self.requests.told(message)
            case m.Redirect():
                self.requests.redirected(message)
            case _:
                return False
        return True

    def _to_vcluster(self, sender: str, message: m.Message) -> None:
        item = self._vcluster(message.vcluster)  # type: ignore[union-attr]
        match message:
            case m.Ask():
                item.ask(sender, message)
            case m.Pull():
                item.pull(sender, message)
            case m.Pulled():
                item.pulled(sender, message)
            case m.Keeping():
                item.heard_keeping(sender)
                self.host.report(item.id, sender)
            case m.Replicate():
                item.replicate(sender, message)
            case m.SyncDigest():
                item.digest(sender, message)
            case m.SyncEqual():
                item.equal(sender, message)
            case m.SyncKeys():
                item.keys(sender, message)
            case m.SyncRecords():
                item.records(sender, message)
            case _ if item.keeper is not None:
                item.keeper.hear(sender, message)
