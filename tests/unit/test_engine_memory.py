"""The in-memory engine keeps the promises of a real one."""

import asyncio
from typing import Any

from shoal.core.effects import EngineAction, EngineCall
from shoal.core.events import EngineChanged
from shoal.engine.memory import MemoryEngine
from shoal.model.ids import Generation
from shoal.model.node import ImageInfo

IMAGE = ImageInfo("sha256:1", ("busybox:latest",))


def call(action: EngineAction, **fields: Any) -> EngineCall:
    defaults: dict[str, Any] = {
        "call": 1,
        "action": action,
        "id": "c" * 64,
        "generation": Generation(1, 1, "n"),
        "name": "shoal-default-c-g1",
        "image_id": IMAGE.id,
        "body": {"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}},
    }
    return EngineCall(**{**defaults, **fields})


def test_calls_are_idempotent_and_events_follow_in_order() -> None:
    async def run() -> list[tuple[str, str]]:
        engine = MemoryEngine(images=[IMAGE])
        seen: list[tuple[str, str]] = []

        async def follow() -> None:
            async for change in engine.events():
                assert isinstance(change, EngineChanged)
                seen.append((change.action, change.container.phase))

        follower = asyncio.create_task(follow())
        await asyncio.sleep(0)
        actions: list[EngineAction] = ["create", "start", "stop", "remove"]
        for action in actions:
            for _ in range(2):
                assert (await engine.perform(call(action))).ok
        await engine.close()
        await follower
        return seen

    assert asyncio.run(run()) == [
        ("create", "created"),
        ("start", "running"),
        ("kill", "running"),
        ("die", "exited"),
        ("stop", "exited"),
        ("destroy", "dead"),
    ]


def test_started_containers_end_as_configured() -> None:
    async def run() -> None:
        engine = MemoryEngine(images=[IMAGE])
        engine.behaviour.exit_after, engine.behaviour.exit_code = 0.0, 3
        await engine.perform(call("create"))
        started = (await engine.perform(call("start"))).container
        assert started is not None
        assert started.ports[0].host_port == 8080
        async with asyncio.timeout(10):
            async for change in engine.events():
                assert isinstance(change, EngineChanged)
                assert (change.action, change.container.exit_code) == ("die", 3)
                break

    asyncio.run(run())


def test_failures_and_absence_are_reported() -> None:
    async def run() -> None:
        engine = MemoryEngine()
        assert (await engine.perform(call("create"))).status == 404
        assert (await engine.perform(call("create", image_holders=("peer",)))).ok
        engine.behaviour.failures["start"] = (500, "boom")
        assert (await engine.perform(call("start"))).error == "boom"
        engine.behaviour.away = True
        assert (await engine.perform(call("stop"))).status == 503
        assert not (await engine.snapshot()).info.up

    asyncio.run(run())
