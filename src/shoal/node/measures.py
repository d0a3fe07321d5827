"""How much of everything there is on a node, read in one go from what it has in memory."""

import contextlib
import os
from collections import Counter

import msgspec

from shoal import PROTOCOL, __version__
from shoal.core.keeper.vcluster import Vcluster
from shoal.core.node import NodeCore
from shoal.model.ids import DEFAULT, SYSTEM, short, vcluster_id
from shoal.model.resources import Capacity, Load
from shoal.node.daemon import Daemon
from shoal.node.link import LinkStats
from shoal.node.membership import MembershipStats
from shoal.node.store import StoreStats
from shoal.node.supervisor import RESTARTS


class VclusterMeasures(msgspec.Struct, frozen=True):
    """A vcluster that this node keeps or has a copy of. `unsettled`: this node keeps it, and not
    every copy equals its own; `pending`: containers that are not yet as asked for."""

    name: str
    keeper: bool
    records: int
    complete: bool
    conflicts: int
    unsettled: bool = False
    partial: bool = False
    pending: int = 0


class Measures(msgspec.Struct, frozen=True):
    """`members` by state; `containers` of this node by (vcluster, phase); `capacity` and `load`
    as its ledger has them; `clock_offset` (s) is how far stamps are moved off the own clock;
    `risks` is the number of lines that `shoal status` shows."""

    name: str
    ready: bool
    discovery: str
    members: dict[str, int]
    containers: dict[tuple[str, str], int]
    capacity: Capacity
    load: Load
    engine_up: bool
    vclusters: tuple[VclusterMeasures, ...]
    offers: int
    risks: int
    clock_offset: float
    store: StoreStats
    store_stalled: float
    store_free: int
    rpc: LinkStats
    rpc_out: int
    rpc_in: int
    membership: MembershipStats
    restarts: int = 0
    version: str = __version__
    protocol: int = PROTOCOL


def measure(daemon: Daemon, *, ready: bool, risks: int) -> Measures:
    core = daemon.shell.core
    own = core.members.own
    names = {vcluster_id(core.cloud, name): name for name in (SYSTEM, DEFAULT)}
    rpc_out, rpc_in = daemon.transport.connections()
    return Measures(
        name=own.name,
        ready=ready,
        discovery=core.candidates.name,
        members=dict(Counter(peer.state for peer in core.members.peers.values())),
        containers=_containers(core, names),
        capacity=core.host.ledger.capacity,
        load=core.host.ledger.load(),
        engine_up=own.engine.up,
        vclusters=tuple(
            _vcluster(item, names.get(item.id, short(item.id)))
            for item in core.vclusters.values()
            if item.copy.held or item.keeper is not None
        ),
        offers=core.market.strategy.held if core.market is not None else 0,
        risks=risks,
        clock_offset=core.context.clock.offset_ms() / 1000,
        store=daemon.store.stats,
        store_stalled=daemon.store.stalled(),
        store_free=_free(daemon),
        rpc=daemon.transport.stats,
        rpc_out=rpc_out,
        rpc_in=rpc_in,
        membership=daemon.membership.stats(),
        restarts=int(os.environ.get(RESTARTS, "0")),
    )


def _containers(core: NodeCore, names: dict[str, str]) -> dict[tuple[str, str], int]:
    entries = core.host.entries.values()
    return dict(
        Counter((names.get(one.vcluster, short(one.vcluster)), one.status.phase) for one in entries)
    )


def _vcluster(item: Vcluster, name: str) -> VclusterMeasures:
    keeper = item.keeper
    return VclusterMeasures(
        name=name,
        keeper=keeper is not None,
        records=len(item.copy.records),
        complete=item.copy.complete,
        conflicts=len(item.copy.conflicts),
        unsettled=keeper is not None and not keeper.replication.settled,
        partial=keeper is not None and keeper.partial,
        pending=len(keeper.notes()) if keeper is not None else 0,
    )


def _free(daemon: Daemon) -> int:
    with contextlib.suppress(OSError):
        return daemon.store.free_bytes()
    return 0
