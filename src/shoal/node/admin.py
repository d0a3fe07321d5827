"""The node's own affairs for the native API: its status, and tokens for new nodes."""

import time
from typing import TYPE_CHECKING

import msgspec

from shoal import __version__
from shoal.api.native.ports import StatusReport, TokenSummary, VclusterStatus
from shoal.core.keeper.vcluster import Vcluster
from shoal.model.ids import DEFAULT, SYSTEM, vcluster_id
from shoal.model.node import NodeChange, NodeInfo, Tenancy
from shoal.model.ops import Answer, Objects, Operation, ReadObjects, WriteObject
from shoal.model.options import NodeOptions
from shoal.node.certificates import fingerprint
from shoal.node.daemon import Daemon
from shoal.node.doctor.findings import Examination
from shoal.node.doorman import TOKEN
from shoal.node.identity import Credentials
from shoal.node.measures import Measures, measure
from shoal.node.tokens import TokenRecord, create_token

if TYPE_CHECKING:
    from shoal.node.metrics import Exposition

#: Nodes that a token names, so that one of them is there when it is used.
_ADDRESSES = 4


class Admin:
    """AdminPort over a daemon."""

    def __init__(self, daemon: Daemon, credentials: Credentials, options: NodeOptions) -> None:
        self._daemon = daemon
        self._credentials = credentials
        self._options = options
        self._exposition: Exposition | None = None
        self.ready = False

    def status(self) -> StatusReport:
        core = self._daemon.shell.core
        own = core.members.own
        counts: dict[str, int] = {}
        for peer in core.members.peers.values():
            counts[peer.state] = counts.get(peer.state, 0) + 1
        names = {vcluster_id(core.cloud, name): name for name in (SYSTEM, DEFAULT)}
        known = [item for item in core.vclusters.values() if item.id in names]
        return StatusReport(
            ready=self.ready,
            node=own.id,
            name=own.name,
            address=own.endpoint,
            cloud=core.cloud,
            version=__version__,
            discovery=core.candidates.name,
            offers=core.market.strategy.held if core.market is not None else 0,
            members=counts,
            vclusters=tuple(self._vcluster(item, names[item.id]) for item in known),
            risk=tuple(self._risks()),
            pending=tuple(self._pending()),
        )

    def _vcluster(self, item: Vcluster, name: str) -> VclusterStatus:
        members = self._daemon.shell.core.members
        keeper, *copies = [members.name(node) for node in item.holders()]
        return VclusterStatus(name, item.id, keeper, tuple(copies))

    def _risks(self) -> list[str]:
        core = self._daemon.shell.core
        risks = []
        if not core.members.others():
            risks.append("at risk: one copy only, no other node is reachable")
        keepers = [item.keeper for item in core.vclusters.values() if item.keeper is not None]
        if any(keeper.partial for keeper in keepers):
            risks.append("partial: no copy of the records is reachable, only hosts' ledgers")
        if not core.members.own.engine.up:
            risks.append(f"the engine of host {core.members.own.name} does not answer")
        if self._daemon.store.failure:
            risks.append(f"disk: {self._daemon.store.failure}")
        return risks

    def _pending(self) -> list[str]:
        """What this node, as keeper, has not been able to do yet."""
        lines = []
        for item in self._daemon.shell.core.vclusters.values():
            if item.keeper is not None:
                lines += [f"{name}: {note}" for name, note in item.keeper.notes()]
        return lines

    async def examine(self) -> Examination:
        from shoal.node.doctor.visit import visit_node  # late: most nodes never need it

        daemon = self._daemon
        own = daemon.shell.core.members.own
        return await visit_node(self._options, own, daemon.prober, self._clock_offsets)

    def metrics(self) -> tuple[bytes, str]:
        from shoal.node.metrics import CONTENT_TYPE, Exposition  # late: see there

        if self._exposition is None:
            self._exposition = Exposition(self._measure)
        return self._exposition.text(), CONTENT_TYPE

    def log(self, lines: int) -> list[str]:
        from shoal.node.own_log import last_lines  # late: for `shoal debug` only

        return last_lines(lines)

    def _measure(self) -> Measures:
        return measure(self._daemon, ready=self.ready, risks=len(self._risks()))

    def _clock_offsets(self) -> dict[str, int]:
        """How far (ns) peers' clocks were ahead when last heard."""
        offsets = self._daemon.shell.core.context.clock.offsets_ms()
        return {node: offset * 1_000_000 for node, offset in offsets.items()}

    async def create_token(self, ttl_seconds: int) -> str:
        up = [m.info for m in self._daemon.members() if m.state == "up"]
        own = self._daemon.node_id
        addresses = [info.endpoint for info in sorted(up, key=lambda info: info.id != own)]
        token, record = create_token(
            tuple(addresses[:_ADDRESSES]),
            fingerprint(self._credentials.authorities[0]),
            now=time.time_ns(),
            lifetime=ttl_seconds * 1_000_000_000,
            made_on=self._daemon.shell.core.members.own.name,
        )
        write = WriteObject(f"{TOKEN}:{token.token_id}", TOKEN, msgspec.structs.asdict(record))
        await self._in_system(write)
        return str(token)

    async def tokens(self) -> list[TokenSummary]:
        answer = await self._in_system(ReadObjects(TOKEN))
        assert isinstance(answer, Objects)
        found = []
        for name, value in answer.records.items():
            record = msgspec.convert(value, TokenRecord)
            token_id = name.removeprefix(f"{TOKEN}:")
            found.append(TokenSummary(token_id, record.created, record.expires, record.made_on))
        return sorted(found, key=lambda token: (token.created, token.id))

    async def remove_token(self, token_id: str) -> None:
        await self._in_system(WriteObject(f"{TOKEN}:{token_id}", TOKEN, None))

    async def _in_system(self, operation: Operation) -> Answer:
        return await self._daemon.execute(vcluster_id(self._daemon.cloud, SYSTEM), operation)

    # -- other nodes ---------------------------------------------------------------------------

    async def change_node(self, node_id: str, change: NodeChange) -> NodeInfo:
        return await self._daemon.operating.change(node_id, change)

    async def tenancy(self, node_id: str) -> Tenancy:
        return await self._daemon.operating.tenancy(node_id)
