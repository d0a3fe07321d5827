"""The members of the cloud as this node sees them, and when their absence may be acted on."""

from typing import Literal

import msgspec

from shoal.core.context import SECOND, Context
from shoal.core.effects import Learned, Rejoin
from shoal.core.messages import Hello
from shoal.core.ring.chord_ring import ChordRing
from shoal.model.node import NodeInfo

SPACE = "members"
REDIAL_EVERY = 10 * SECOND
#: Storm brakes (design: storms are braked).
UNSEEN_GRACE = 60 * SECOND
FIND_PEERS_WITHIN = 5 * SECOND
STORM_WINDOW = 10 * SECOND
STORM_GRACE = 30 * SECOND
ENGINE_GRACE = 60 * SECOND

State = Literal["up", "suspect", "down", "left"]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(NodeInfo).decode


def revision_of(remembered: bytes | None) -> int:
    """Revision of an inventory as it is stored, 0 of none."""
    return 0 if remembered is None else _decode(remembered).revision


class Peer(msgspec.Struct):
    """A remembered node. `since` is monotonic, `since_wall` wall clock ns of the last change of
    state; `engine_down_since` is monotonic, 0 while the engine answers; `heard` is the revision
    of this node's own that the peer has."""

    info: NodeInfo
    state: State
    since: int
    since_wall: int
    seen: bool  # since this node's own start
    engine_down_since: int = 0
    heard: int = 0

    @property
    def present(self) -> bool:
        return self.state in ("up", "suspect")


class Members:
    """Peers by id, the ring over those present, and the brakes on replacing."""

    def __init__(self, context: Context, own: NodeInfo, remembered: list[bytes]) -> None:
        self._context = context
        self._booted = context.now.mono
        self._storm_until = 0
        self.ring = ChordRing(context)
        self.peers: dict[str, Peer] = {}
        for blob in remembered:
            info = _decode(blob)
            self.peers[info.id] = self._peer(info, "down", seen=False)
            context.emit(Learned(info))
        self.peers[own.id] = self._peer(own, "up", seen=True)
        context.after(REDIAL_EVERY, "redial")

    def _peer(self, info: NodeInfo, state: State, *, seen: bool) -> Peer:
        now = self._context.now
        return Peer(info, state, now.mono, now.wall, seen)

    @property
    def own(self) -> NodeInfo:
        return self.peers[self._context.node_id].info

    def present(self) -> list[str]:
        return [node for node, peer in self.peers.items() if peer.present]

    def others(self) -> list[str]:
        return [node for node in self.present() if node != self._context.node_id]

    def to_be_asked(self) -> list[str]:
        """Whom a new keeper asks: those present, and soon after the start all remembered ones,
        of whom membership may not have heard yet."""
        if self._context.now.mono - self._booted >= FIND_PEERS_WITHIN:
            return self.others()
        own = self._context.node_id
        return [node for node, peer in self.peers.items() if node != own and peer.state != "left"]

    def is_present(self, node: str) -> bool:
        peer = self.peers.get(node)
        return peer is not None and peer.present

    def is_draining(self, node: str) -> bool:
        peer = self.peers.get(node)
        return peer is not None and peer.info.draining

    def draining(self) -> list[str]:
        """The nodes whose containers are to go elsewhere now. One whose engine is away could not
        give up what it has: it waits."""
        return [
            node
            for node, peer in self.peers.items()
            if peer.info.draining and peer.state == "up" and peer.info.engine.up
        ]

    def name(self, node: str) -> str:
        peer = self.peers.get(node)
        return peer.info.name if peer is not None else node[:12]

    def update_own(self, info: NodeInfo) -> None:
        """Take this node's new inventory and tell everybody present."""
        self.peers[info.id].info = info
        self._remember(info)
        for node in self.others():
            self._introduce(node)

    def _introduce(self, node: str, *, reply: bool = False) -> None:
        self._context.send(node, Hello(self.own, reply, self.peers[node].info.revision))

    def hello(self, message: Hello) -> bool:
        """A peer introduced itself. Answers whether anything about it changed."""
        info = message.info
        if info.id == self._context.node_id:
            return False
        peer = self.peers.get(info.id)
        if peer is not None and not peer.present and peer.state != "left":
            self._context.emit(Rejoin(info.id))
        changed = peer is None or info.revision > peer.info.revision
        if peer is None:
            # It is alive, but only membership says so for everybody: until then it is down.
            self.peers[info.id] = self._peer(info, "down", seen=False)
        elif changed:
            self._note_engine(peer, info)
            peer.info = info
        if changed:
            self._remember(info)
            self._context.emit(Learned(info))
        peer = self.peers[info.id]
        peer.heard = max(peer.heard, message.heard)
        if message.reply:
            self._introduce(info.id)
        return changed

    def _note_engine(self, peer: Peer, info: NodeInfo) -> None:
        if info.engine.up:
            peer.engine_down_since = 0
        elif not peer.engine_down_since:
            peer.engine_down_since = self._context.now.mono

    def up(self, node: str, address: str, port: int) -> bool:
        """Membership sees the node alive. Answers whether it was absent before."""
        peer = self.peers.get(node)
        if peer is None:
            info = NodeInfo(id=node, name=node[:12], address=address, port=port)
            peer = self.peers[node] = self._peer(info, "down", seen=False)
            self._context.emit(Learned(info))
        appeared = not peer.present
        self._change(peer, "up")
        peer.seen = True
        self.ring.up(node)
        if appeared:
            self._introduce(node, reply=True)
        return appeared

    def suspect(self, node: str) -> None:
        peer = self.peers.get(node)
        if peer is not None and peer.state == "up":
            self._change(peer, "suspect")
            self.ring.suspect(node)

    def down(self, node: str, *, left: bool) -> bool:
        """Membership holds the node for dead. Answers whether it was present before."""
        peer = self.peers.get(node)
        if peer is None or node == self._context.node_id:
            return False
        vanished = peer.present
        self._change(peer, "left" if left else "down")
        if vanished:
            self.ring.down(node)
            if not left:
                self._brake_a_storm()
        return vanished

    def _change(self, peer: Peer, state: State) -> None:
        if peer.state != state:
            now = self._context.now
            peer.state, peer.since, peer.since_wall = state, now.mono, now.wall

    def _brake_a_storm(self) -> None:
        """Somebody vanished: do nothing for a while if most are gone at once. Those that are
        back do not count, however often they went."""
        now = self._context.now.mono
        gone = sum(
            peer.state == "down" and peer.seen and now - peer.since < STORM_WINDOW
            for peer in self.peers.values()
        )
        # Of two, one is half and not over half: a cloud of two hosts heals at once.
        if gone * 2 > len(self.present()) + gone:
            self._storm_until = now + STORM_GRACE

    def redial(self) -> None:
        """Say hello to those believed dead: an answer brings separated halves together. And to
        those who have not heard the last news of this node: a message was lost."""
        self._context.after(REDIAL_EVERY, "redial")
        for node, peer in self.peers.items():
            uninformed = peer.present and peer.heard < self.own.revision
            if node != self._context.node_id and (peer.state == "down" or uninformed):
                self._introduce(node, reply=True)

    def gone(self, node: str, *, engine_grace: int = ENGINE_GRACE) -> tuple[bool, str]:
        """Whether containers of a node may be replaced now, else why not, in words. Its engine
        may be away for `engine_grace` ns."""
        now = self._context.now.mono
        peer = self.peers.get(node)
        if peer is None:
            return self._after(self._booted + UNSEEN_GRACE, "its host was never seen by this node")
        if peer.present:
            if peer.engine_down_since:
                return self._after(
                    peer.engine_down_since + engine_grace,
                    f"the engine of host {peer.info.name} does not answer",
                )
            return False, ""
        if not peer.seen:
            return self._after(
                self._booted + UNSEEN_GRACE,
                f"host {peer.info.name} was not seen since this node started",
            )
        if now < self._storm_until:
            return self._after(self._storm_until, "over half of the hosts vanished at once")
        return True, ""

    def _after(self, at: int, reason: str) -> tuple[bool, str]:
        left = at - self._context.now.mono
        if left <= 0:
            return True, ""
        return False, f"{reason}: waiting {-(-left // SECOND)} s more before replacing"

    def _remember(self, info: NodeInfo) -> None:
        self._context.put(SPACE, info.id, _encode(info))
