"""Findings about the ways to peers and about the members as a whole, from facts alone."""

from collections import Counter
from collections.abc import Sequence

from shoal.model.node import NodeInfo
from shoal.node.doctor.findings import Finding, ok, problem, warning
from shoal.node.doctor.peers import PeerFacts, Way
from shoal.node.membership import MEMBERSHIP_OFFSET

SECOND = 1_000_000_000
#: How far (ns) clocks may differ; from the second on stamps follow the peers' median.
CLOCK_WARNING = SECOND
CLOCK_PROBLEM = 5 * SECOND
#: IPv6 demands it of every link, and membership's datagrams fill it.
SMALLEST_MTU = 1280


def judge_peers(
    own: NodeInfo, peers: Sequence[PeerFacts], offsets: dict[str, int], now: int
) -> list[Finding]:
    """`offsets` (ns) is what the node heard of peers' clocks in passing, `now` wall clock ns."""
    found = _members(own, peers)
    for peer in peers:
        found += judge_peer(own, peer, offsets.get(peer.info.id), now)
    return found


def _members(own: NodeInfo, peers: Sequence[PeerFacts]) -> list[Finding]:
    if not peers:
        fix = "`shoal token create` here, `shoal join` on the next machine"
        return [warning("members", "the cloud has this one node only: nothing has a copy", fix)]
    infos = [own, *(peer.info for peer in peers)]
    return [_names(infos), _versions(own, [own, *(p.info for p in peers if p.present)])]


def _names(infos: list[NodeInfo]) -> Finding:
    counts = Counter(info.name for info in infos)
    shared = sorted(name for name, count in counts.items() if count > 1)
    if not shared:
        return ok("names", f"{len(infos)} nodes, each with a name of its own")
    text = f"several nodes have the same name: {', '.join(shared)}"
    return warning("names", text, "start each with a --name of its own, or use ids")


def _versions(own: NodeInfo, infos: list[NodeInfo]) -> Finding:
    versions: dict[str, list[str]] = {}
    for info in infos:
        versions.setdefault(info.version or "unknown", []).append(info.name)
    if len(versions) == 1:
        return ok("versions", f"all members run version {own.version}")
    parts = [f"{version} on {', '.join(sorted(names))}" for version, names in versions.items()]
    text = f"members run different versions: {'; '.join(sorted(parts))}"
    return warning("versions", text, "finish the upgrade, node by node")


def judge_peer(own: NodeInfo, peer: PeerFacts, offset: int | None, now: int) -> list[Finding]:
    if not peer.present:
        return [_absent(peer, now)]
    found = [*_there(own, peer), *_back(own, peer)]
    found += [] if found else [ok("ports", _both_ways(peer), node=peer.info.name)]
    if not peer.info.engine.up:
        text = f"the engine of {peer.info.name} does not answer"
        fix = f"`shoal doctor` on {peer.info.name}"
        found.append(problem("engine", text, fix, node=peer.info.name))
    return [*found, *_mtu(own, peer), *_clock(peer, offset)]


def _both_ways(peer: PeerFacts) -> str:
    port = peer.info.port
    return (
        f"{peer.info.name}: TCP {port} and membership {port + MEMBERSHIP_OFFSET} (TCP and UDP) "
        "work both ways"
    )


def _absent(peer: PeerFacts, now: int) -> Finding:
    name, ago = peer.info.name, max(0, now - peer.since) // SECOND
    if peer.there is not None and not peer.there.calls:
        port = peer.info.port + MEMBERSHIP_OFFSET
        text = f"{name} answers on TCP {peer.info.port}, but membership holds it for dead"
        fix = f"open UDP and TCP {port} between this machine and {peer.info.address}, both ways"
        return problem("members", text, fix, node=name)
    text = f"{name} ({peer.info.endpoint}) is {peer.state} since {ago} s and does not answer"
    fix = f"start the machine {name} and its daemon, or remove it from the cloud"
    return problem("members", text, fix, node=name)


def _there(own: NodeInfo, peer: PeerFacts) -> list[Finding]:
    """What does not get through from here to the peer."""
    name = peer.info.name
    return _blocked(peer.there, peer.heard_there, own, peer.info, f"this machine to {name}", name)


def _back(own: NodeInfo, peer: PeerFacts) -> list[Finding]:
    """What does not get through from the peer to here."""
    name = peer.info.name
    if peer.back is None:
        text = f"{name} could not be asked to dial back: {peer.unasked}"
        fix = f"run `shoal doctor` on {name} too"
        return [warning("ports", text, fix, node=name)]
    return _blocked(peer.back, peer.heard_back, peer.info, own, f"{name} to this machine", name)


def _blocked(
    way: Way | None, heard: bool | None, source: NodeInfo, target: NodeInfo, words: str, node: str
) -> list[Finding]:
    """`heard`: whether datagrams on this way arrived."""
    found = []
    membership = target.port + MEMBERSHIP_OFFSET

    def blocked(what: str, why: str) -> Finding:
        fix = f"open {what} from {source.address} on {target.name} ({target.address})"
        return problem("ports", f"{what} from {words} is blocked{why}", fix, node=node)

    if way is not None and way.calls:
        found.append(blocked(f"TCP {target.port}", f": {way.calls}"))
    if way is not None and way.membership:
        found.append(blocked(f"TCP {membership}", f": {way.membership}"))
    if heard is False:
        found.append(blocked(f"UDP {membership}", ": none of its datagrams arrived"))
    if way is not None and way.large:
        text = f"large packets from {words} get lost: {way.large}"
        fix = "give the interfaces of both the MTU of the way between, or let ICMP through"
        found.append(problem("mtu", text, fix, node=node))
    return found


def _mtu(own: NodeInfo, peer: PeerFacts) -> list[Finding]:
    there = peer.there.mtu if peer.there is not None else 0
    back = peer.back.mtu if peer.back is not None else 0
    name = peer.info.name
    known = [mtu for mtu in (there, back) if mtu]
    if known and min(known) < SMALLEST_MTU:
        text = f"packets between this machine and {name} may have {min(known)} bytes only"
        fix = f"raise the interface's MTU to {SMALLEST_MTU} at least"
        return [warning("mtu", text, fix, node=name)]
    if there and back and there != back:
        text = f"the MTU to {name} is {there}, the one from it {back}"
        fix = f"set the same MTU on {own.name} and {name}"
        return [warning("mtu", text, fix, node=name)]
    return [ok("mtu", f"packets of {there} bytes to {name}", node=name)] if there else []


def _clock(peer: PeerFacts, heard: int | None) -> list[Finding]:
    """What its own answer said a moment ago counts for more than what was heard in passing."""
    asked = peer.there.clock if peer.there is not None else None
    offset = asked if asked is not None else heard
    name = peer.info.name
    if offset is None:
        return []
    words = f"the clock of {name} is {abs(offset) / SECOND:.1f} s "
    words += "ahead of ours" if offset > 0 else "behind ours"
    fix = f"let chrony or systemd-timesyncd set the clocks of this machine and of {name}"
    if abs(offset) > CLOCK_PROBLEM:
        return [problem("clock", words, fix, node=name)]
    if abs(offset) > CLOCK_WARNING:
        return [warning("clock", words, fix, node=name)]
    return [ok("clock", f"the clock of {name} agrees with ours", node=name)]
