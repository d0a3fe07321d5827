"""A node of memory only behind the real native API, for tests of the API and of the command."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from shoal.api.native.app import make_app
from shoal.api.native.ports import StatusReport, TokenSummary, VclusterStatus
from shoal.cli import main as command
from shoal.core.effects import Happened
from shoal.core.orders import Orders
from shoal.model.container import ContainerSpec, ContainerView, PortBinding, RestartPolicy, Status
from shoal.model.errors import Conflict, NotFound, Unavailable
from shoal.model.ids import Generation, vcluster_id
from shoal.model.node import EngineInfo, ImageInfo, NodeChange, NodeInfo, Tenancy
from shoal.model.ops import (
    Answer,
    Done,
    GetContainer,
    ListContainers,
    Listing,
    NodeVerdict,
    Operate,
    Operation,
    RemoveContainer,
    View,
    Why,
    WhyContainer,
)
from shoal.model.resources import Capacity, Load
from shoal.node.doctor.findings import Examination, Finding, examination
from shoal.node.service import EnginePort, Member, WaitCondition, WaitOutcome

CLOUD = "6f9619ff8b86d011b42d00c04fc964ff"
NODE_A, NODE_B = "a" * 64, "ab" * 32
SECOND = 1_000_000_000


def node_info(identifier: str, name: str, address: str) -> NodeInfo:
    return NodeInfo(
        id=identifier,
        name=name,
        address=address,
        capacity=Capacity(4000, 8 << 30),
        load=Load(500, 512 << 20, 2),
        engine=EngineInfo(up=True, version="28.2.2", api_version="1.50"),
        images=(ImageInfo("sha256:" + "1" * 64, ("busybox:latest",)),),
        version="0.1.0",
    )


def container(name: str, **changes: Any) -> ContainerView:
    """A container that has been running on node a for 90 s, but for the changes."""
    now = time.time_ns()
    digit = f"{sum(name.encode()) % 16:x}"
    view = ContainerView(
        id=digit * 64,
        name=name,
        spec=ContainerSpec(
            image="demo/web",
            image_id="sha256:" + "2" * 64,
            body={"Image": "demo/web", "Labels": {"tier": name}},
            created=now - 100 * SECOND,
        ),
        desired="running",
        status=Status(
            phase="running",
            started=now - 90 * SECOND,
            ports=(PortBinding(80, "tcp", "0.0.0.0", 8080), PortBinding(80, "tcp", "::", 8080)),
        ),
        generation=Generation(1, 7, NODE_A),
        node=NODE_A,
        node_name="a",
        node_address="10.9.0.2",
    )
    return msgspec.structs.replace(view, **changes)


def exited(name: str) -> ContainerView:
    status = Status(phase="exited", exit_code=3, finished=time.time_ns() - 5 * SECOND)
    return container(name, status=status, desired="stopped")


def lost(name: str) -> ContainerView:
    view = container(
        name,
        node=NODE_B,
        node_name="b",
        unreachable_since=time.time_ns() - 12 * SECOND - SECOND // 2,
    )
    spec = msgspec.structs.replace(view.spec, stays_because="it has a bind mount")
    return msgspec.structs.replace(view, spec=spec)


def restarting(name: str) -> ContainerView:
    status = Status(phase="exited", exit_code=1, finished=time.time_ns() - 2 * SECOND)
    view = container(name, status=status)
    spec = msgspec.structs.replace(view.spec, restart=RestartPolicy("always"))
    return msgspec.structs.replace(view, spec=spec)


def happened(action: str, seq: int, *, node: str = NODE_A, at: int | None = None) -> Happened:
    return Happened(
        vcluster=vcluster_id(CLOUD, "default"),
        id="d" * 64,
        name="web",
        image="demo/web",
        generation=Generation(1, 7, NODE_A),
        seq=seq,
        action=action,
        time=time.time_ns() if at is None else at,
        node=node,
        attributes={"exitCode": "0"} if action == "die" else {},
    )


class FakeService:
    """Containers in a list, events in a queue; what was executed is noted."""

    node_id = NODE_A
    cloud = CLOUD

    def __init__(self) -> None:
        self.views = [container("web"), exited("job"), lost("far")]
        self.executed: list[tuple[str, Operation, float]] = []
        self.events: asyncio.Queue[Happened] = asyncio.Queue()
        self.stale = self.partial = False

    async def execute(
        self, vcluster: str, operation: Operation, *, timeout: float = 15.0
    ) -> Answer:
        self.executed.append((vcluster, operation, timeout))
        match operation:
            case ListContainers():
                return Listing(tuple(self.views), self.stale, self.partial)
            case GetContainer(ref):
                return View(self._find(ref))
            case WhyContainer(ref):
                verdicts = (
                    NodeVerdict("a", eligible=True, score=70),
                    NodeVerdict("b", eligible=False, filter="ports", reason="8080/tcp is taken"),
                )
                return Why(self._find(ref), "runs on a: most free memory", verdicts, ("placed",))
            case Operate(ref) | RemoveContainer(ref):
                found = self._find(ref)
                if isinstance(operation, RemoveContainer) and not operation.force:
                    raise Conflict(f"container {ref} is running: stop it first or use force")
                return Done(found.id)
            case _:
                raise AssertionError(operation)

    def _find(self, ref: str) -> ContainerView:
        for view in self.views:
            if view.name == ref or view.id.startswith(ref):
                return view
        raise NotFound(f"No such container: {ref}")

    def members(self) -> list[Member]:
        return [
            Member(node_info(NODE_A, "a", "10.9.0.2"), "up", 1),
            Member(node_info(NODE_B, "b", "fd53::3"), "down", 2),
        ]

    async def follow(self, vcluster: str) -> AsyncIterator[Happened]:
        assert vcluster == vcluster_id(CLOUD, "default")
        while True:
            yield await self.events.get()

    async def past(self, vcluster: str, since: int, until: int) -> list[Happened]:
        raise NotImplementedError

    def engine(self, node_id: str) -> EnginePort:
        raise NotImplementedError

    def engine_name(self, container_view: Any) -> str:
        raise NotImplementedError

    async def resolve_image(self, vcluster: str, reference: str) -> tuple[ImageInfo, list[str]]:
        raise NotImplementedError

    async def refresh(self, node_id: str) -> None:
        raise NotImplementedError

    async def wait(
        self, vcluster: str, ref: str, condition: WaitCondition, *, exits: int | None = None
    ) -> WaitOutcome:
        raise NotImplementedError


class FakeAdmin:
    """Always the same report; tokens count up."""

    def __init__(self) -> None:
        self.lifetimes: list[int] = []
        self.findings: list[Finding] = []
        self.log_lines = ["level=info event=ready node=a"]
        self.kept = [TokenSummary("1f" * 6, time.time_ns() - 300 * SECOND, 0, "a")]
        self.changes: list[tuple[str, NodeChange]] = []
        self.unreachable = False
        #: What `tenancy` answers, the last one again and again.
        self.tenancies = [Tenancy(draining=True)]

    def status(self) -> StatusReport:
        return StatusReport(
            ready=True,
            node=NODE_A,
            name="a",
            address="10.9.0.2:7440",
            cloud=CLOUD,
            version="0.1.0",
            discovery="view",
            offers=0,
            members={"up": 1, "down": 1},
            vclusters=(VclusterStatus("default", vcluster_id(CLOUD, "default"), "a", ("b",)),),
            risk=("at risk: one copy only",),
        )

    async def examine(self) -> Examination:
        return examination("a", self.findings)

    def metrics(self) -> tuple[bytes, str]:
        return b"shoal_ready 1.0\n", "text/plain"

    def log(self, lines: int) -> list[str]:
        return self.log_lines[-lines:]

    async def create_token(self, ttl_seconds: int) -> str:
        self.lifetimes.append(ttl_seconds)
        return f"shoal1.token{len(self.lifetimes)}"

    async def tokens(self) -> list[TokenSummary]:
        return self.kept

    async def remove_token(self, token_id: str) -> None:
        self.kept = [each for each in self.kept if each.id != token_id]

    async def change_node(self, node_id: str, change: NodeChange) -> NodeInfo:
        if self.unreachable:
            raise Unavailable("node b is down: try again when it is back")
        self.changes.append((node_id, change))
        info = node_info(node_id, "a" if node_id == NODE_A else "b", "10.9.0.2")
        return msgspec.structs.replace(info, **Orders().changed(change).fields({}))

    async def tenancy(self, node_id: str) -> Tenancy:
        return self.tenancies.pop(0) if len(self.tenancies) > 1 else self.tenancies[0]


class FakeNode:
    """The application and what is behind it, served in a thread."""

    def __init__(self, directory: Path) -> None:
        self.service = FakeService()
        self.admin = FakeAdmin()
        self.socket = directory / "shoal.sock"
        self.loop = asyncio.new_event_loop()

    def happen(self, *events: Happened) -> None:
        for event in events:
            self.loop.call_soon_threadsafe(self.service.events.put_nowait, event)


@contextmanager
def served(directory: Path) -> Iterator[FakeNode]:
    node = FakeNode(directory)
    runner = web.AppRunner(make_app(node.service, node.admin), shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        await web.UnixSite(runner, str(node.socket)).start()

    thread = threading.Thread(target=node.loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(start(), node.loop).result(20)
        yield node
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), node.loop).result(20)
        node.loop.call_soon_threadsafe(node.loop.stop)
        thread.join(20)
        node.loop.close()


def shoal(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Run a command in this process; its exit code."""
    monkeypatch.setattr("sys.argv", ["shoal", *words])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code
