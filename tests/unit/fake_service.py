"""A Service of one node and one engine, kept in memory: what the Docker API is tested over."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from shoal.core.effects import EngineCall, Happened
from shoal.core.events import EngineChanged, EngineContainer, EngineResult
from shoal.engine import names
from shoal.engine.base import Engine
from shoal.model.container import ContainerView, Status
from shoal.model.errors import Conflict, NotFound, ShoalError, revive
from shoal.model.ids import Generation
from shoal.model.node import ImageInfo, NodeInfo
from shoal.model.ops import (
    Answer,
    CreateContainer,
    Created,
    Done,
    GetContainer,
    ListContainers,
    Listing,
    Operate,
    Operation,
    RemoveContainer,
    RenameContainer,
    TagImage,
    View,
)
from shoal.model.reference import parse_reference
from shoal.node.service import EnginePort, Member, WaitCondition, WaitOutcome

replace = msgspec.structs.replace

VCLUSTER = "default"


class FakeService:
    """See Service. `failure` makes every operation raise."""

    def __init__(self, engine: Engine, node_id: str = "a" * 64, cloud: str = "0" * 32) -> None:
        self.node_id = node_id
        self.cloud = cloud
        self.containers: dict[str, ContainerView] = {}
        self.failure: ShoalError | None = None
        self.info = NodeInfo(node_id, "a", "10.9.0.1")
        self.others: list[Member] = []
        self.tags: dict[str, str] = {}
        self.operations: list[Operation] = []
        self._engine = engine
        self._changed = asyncio.Condition()
        self._followers: set[asyncio.Queue[Happened]] = set()
        self._past: list[Happened] = []
        self._task: asyncio.Task[None] | None = None
        self._ended: dict[str, WaitOutcome] = {}
        self._calls = 0
        self._operating = asyncio.Lock()

    async def start(self) -> None:
        await self.refresh(self.node_id)
        self._task = asyncio.create_task(self._follow_engine())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._engine.close()

    def members(self) -> list[Member]:
        return [Member(self.info, "up", 0), *self.others]

    def engine(self, node_id: str) -> EnginePort:
        return self._engine.port()

    def engine_name(self, container_view: Any) -> str:
        return names.engine_name(VCLUSTER, container_view.id, container_view.generation)

    async def refresh(self, node_id: str) -> None:
        snapshot = await self._engine.snapshot()
        self.info = replace(
            self.info,
            engine=snapshot.info,
            images=snapshot.images,
            architecture=snapshot.architecture,
            capacity=snapshot.capacity or self.info.capacity,
        )

    async def resolve_image(self, vcluster: str, reference: str) -> tuple[ImageInfo, list[str]]:
        name = parse_reference(reference)
        for image in self.info.images:
            if reference in (image.id, image.id.removeprefix("sha256:")):
                return image, [self.node_id]
            if name is not None and name.familiar in image.tags:
                return image, [self.node_id]
        raise NotFound(f"No such image: {name.familiar if name else reference}")

    async def follow(self, vcluster: str) -> AsyncIterator[Happened]:
        queue: asyncio.Queue[Happened] = asyncio.Queue()
        self._followers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._followers.discard(queue)

    async def past(self, vcluster: str, since: int, until: int) -> list[Happened]:
        return [event for event in self._past if since <= event.time <= until]

    async def wait(
        self, vcluster: str, ref: str, condition: WaitCondition, *, exits: int | None = None
    ) -> WaitOutcome:
        seen = exits or 0

        def over() -> bool:
            view = self.containers.get(ref)
            if view is None:
                return True
            if condition == "next-exit":
                return view.status.exits > seen
            return condition == "not-running" and view.status.phase != "running"

        async with self._changed:
            await self._changed.wait_for(over)
        view = self.containers.get(ref)
        if view is None:
            return self._ended.get(ref, WaitOutcome(0))
        return WaitOutcome(view.status.exit_code)

    async def execute(
        self, vcluster: str, operation: Operation, *, timeout: float = 15.0
    ) -> Answer:
        self.operations.append(operation)
        if self.failure is not None:
            raise self.failure
        match operation:
            case CreateContainer():
                return await self._create(operation)
            case GetContainer(ref):
                return View(self._find(ref))
            case ListContainers():
                return Listing(tuple(self.containers.values()))
            case Operate():
                # Output may be seen, and answered by a signal, before the start has returned.
                async with self._operating:
                    return await self._operate(operation)
            case RemoveContainer():
                return await self._remove(self._find(operation.ref), operation)
            case RenameContainer():
                view = self._find(operation.ref)
                self.containers[view.id] = msgspec.structs.replace(view, name=operation.name)
                return Done(view.id)
            case TagImage(reference, image_id):
                self.tags[reference] = image_id
                return Done()
        raise AssertionError(f"the fake does not know {operation}")

    async def _create(self, operation: CreateContainer) -> Answer:
        if any(view.name == operation.name for view in self.containers.values()):
            raise Conflict(f'The container name "/{operation.name}" is already in use')
        view = ContainerView(
            id=operation.id,
            name=operation.name,
            spec=operation.spec,
            desired="created",
            status=Status(phase="created"),
            generation=Generation(1, 1, self.node_id),
            node=self.node_id,
            node_name=self.info.name,
            node_address=self.info.address,
        )
        self.containers[view.id] = view
        outcome = await self._call("create", view)
        if not outcome.ok:
            del self.containers[view.id]
            raise revive(outcome.status, outcome.error)
        return Created(view.id)

    async def _operate(self, operation: Operate) -> Answer:
        view = self._find(operation.ref)
        running = view.status.phase == "running"
        if operation.action == "kill" and not running:
            raise Conflict(f"Cannot kill container: {operation.ref}: it is not running")
        changed = {"start": not running, "stop": running}.get(operation.action, True)
        outcome = await self._call(
            operation.action, view, timeout=operation.timeout, signal=operation.signal
        )
        if not outcome.ok:
            raise revive(outcome.status, outcome.error)
        if outcome.container is not None:
            self._observe(outcome.container)
        return Done(view.id, changed=changed)

    async def _remove(self, view: ContainerView, operation: RemoveContainer) -> Answer:
        if view.status.phase == "running" and not operation.force:
            raise Conflict(f"You cannot remove a running container {view.id}. Stop it first")
        self._ended.setdefault(view.id, WaitOutcome(view.status.exit_code))
        await self._call("remove", view, volumes=operation.volumes)
        await self._gone(view.id)
        return Done(view.id)

    async def _gone(self, identifier: str) -> None:
        self.containers.pop(identifier, None)
        async with self._changed:
            self._changed.notify_all()

    async def _call(self, action: Any, view: ContainerView, **fields: Any) -> EngineResult:
        assert view.generation is not None
        self._calls += 1
        call = EngineCall(
            call=self._calls,
            action=action,
            id=view.id,
            generation=view.generation,
            name=self.engine_name(view),
            vcluster=VCLUSTER,
            container_name=view.name,
            body=view.spec.body,
            image_id=view.spec.image_id,
            image=view.spec.image,
            **fields,
        )
        return await self._engine.perform(call)

    async def _follow_engine(self) -> None:
        async for change in self._engine.events():
            if isinstance(change, EngineChanged):
                await self._on_change(change)
            else:
                await self.refresh(self.node_id)

    async def _on_change(self, change: EngineChanged) -> None:
        view = self.containers.get(change.container.id)
        if view is None:
            return
        self._tell(view, change)
        if change.action == "destroy":
            return
        self._observe(change.container)
        if change.action == "die":
            view = self.containers[view.id]
            status = replace(view.status, exits=view.status.exits + 1)
            self.containers[view.id] = view = replace(view, status=status)
            self._ended[view.id] = WaitOutcome(status.exit_code)
            if view.spec.auto_remove:
                await self._call("remove", view, volumes=True)
                await self._gone(view.id)
        async with self._changed:
            self._changed.notify_all()

    def _observe(self, container: EngineContainer) -> None:
        view = self.containers.get(container.id)
        if view is None:
            return
        status = replace(
            view.status,
            phase=container.phase,
            exit_code=container.exit_code,
            error=container.error,
            started=container.started,
            finished=container.finished,
            pid=container.pid,
            ports=container.ports,
            addresses=container.addresses,
        )
        self.containers[view.id] = replace(view, status=status)

    def _tell(self, view: ContainerView, change: EngineChanged) -> None:
        assert view.generation is not None
        event = Happened(
            vcluster=VCLUSTER,
            id=view.id,
            name=view.name,
            image=view.spec.image,
            generation=view.generation,
            seq=change.time,
            action=change.action,
            time=change.time or time.time_ns(),
            node=self.node_id,
            attributes=change.attributes,
        )
        self._past.append(event)
        for queue in self._followers:
            queue.put_nowait(event)

    def _find(self, reference: str) -> ContainerView:
        for view in self.containers.values():
            if reference in (view.id, view.name):
                return view
        found = [view for view in self.containers.values() if view.id.startswith(reference)]
        if len(found) != 1 or not reference:
            raise NotFound(f"No such container: {reference}")
        return found[0]
