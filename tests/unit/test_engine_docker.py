"""DockerEngine against a real, private engine."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from real_engine import IMAGE, can_run, docker, eventually, private_engine

from shoal.core.effects import EngineAction, EngineCall
from shoal.core.events import EngineChanged, EngineContainer
from shoal.engine import names
from shoal.engine.base import ImagesChanged
from shoal.engine.docker import DockerEngine
from shoal.model.ids import Generation

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(can_run()), reason=can_run() or "an engine can run"),
]

CLOUD = "0" * 32
NODE = "a" * 64
ID = "c" * 64
GENERATION = Generation(3, 0x1234, NODE)


@pytest.fixture(scope="module")
def socket() -> Iterator[str]:
    with private_engine() as path:
        yield path


@asynccontextmanager
async def connected(socket: str, **options: Any) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine(socket, cloud=CLOUD, node=NODE, **options)
    try:
        yield engine
    finally:
        await engine.close()


def call(action: EngineAction, image_id: str = "", **fields: Any) -> EngineCall:
    defaults: dict[str, Any] = {
        "call": 1,
        "action": action,
        "id": ID,
        "generation": GENERATION,
        "name": names.engine_name("default", ID, GENERATION),
        "vcluster": "default",
        "container_name": "web",
        "image": IMAGE,
        "image_id": image_id,
        "body": {
            "Image": IMAGE,
            "Cmd": ["sleep", "1000"],
            "HostConfig": {"NetworkMode": "none", "Binds": ["data:/data"]},
        },
    }
    return EngineCall(**{**defaults, **fields})


async def image_id(engine: DockerEngine) -> str:
    images = (await engine.snapshot()).images
    return next(image.id for image in images if IMAGE in image.tags)


def test_a_container_lives_through_its_calls_and_each_may_be_repeated(socket: str) -> None:
    async def run() -> None:
        async with connected(socket) as engine:
            image = await image_id(engine)
            for action, phase in [
                ("create", "created"),
                ("create", "created"),
                ("start", "running"),
                ("start", "running"),
                ("inspect", "running"),
                ("restart", "running"),
                ("kill", "exited"),
                ("kill", "exited"),
                ("stop", "exited"),
            ]:
                outcome = await engine.perform(call(action, image, timeout=0))  # type: ignore[arg-type]
                assert outcome.ok, (action, outcome)
                assert outcome.container is not None
                if action != "kill":  # the signal is sent; death is told by an event
                    assert outcome.container.phase == phase
            assert outcome.container is not None
            assert outcome.container.generation == GENERATION
            assert (outcome.container.id, outcome.container.exit_code) == (ID, 137)
            assert "shoal-default-data" in docker(socket, "volume", "ls", "-q")
            for _ in range(2):
                assert (await engine.perform(call("remove", volumes=True))).ok
            outcome = await engine.perform(call("inspect"))
            assert (outcome.ok, outcome.status) == (False, 404)
            assert outcome.error == "No such container: web"

    asyncio.run(run())


def test_a_name_that_another_generation_holds_is_refused(socket: str) -> None:
    async def run() -> None:
        async with connected(socket) as engine:
            image = await image_id(engine)
            assert (await engine.perform(call("create", image))).ok
            other = await engine.perform(call("create", image, generation=Generation(3, 5, NODE)))
            assert (other.ok, other.status) == (False, 409)
            assert (await engine.perform(call("remove"))).ok

    asyncio.run(run())


def test_a_refused_create_leaves_nothing(socket: str) -> None:
    async def run() -> None:
        async with connected(socket) as engine:
            bad = {"Image": IMAGE, "HostConfig": {"Memory": 1}}
            outcome = await engine.perform(call("create", await image_id(engine), body=bad))
            assert (outcome.ok, outcome.status) == (False, 400)
            assert "6MB" in outcome.error
            assert (await engine.snapshot()).containers == ()

    asyncio.run(run())


def test_a_snapshot_tells_ours_from_strangers(socket: str) -> None:
    async def run() -> None:
        stranger = ("--network", "none", "--cpus", "0.5", "-m", "64m", IMAGE, "sleep", "1000")
        docker(socket, "run", "-d", "--name", "stranger", *stranger)
        async with connected(socket) as engine:
            await engine.perform(call("create", await image_id(engine)))
            snapshot = await engine.snapshot()
            await engine.perform(call("remove"))
        docker(socket, "rm", "-f", "stranger")
        assert snapshot.info.up
        assert snapshot.capacity is not None
        assert snapshot.capacity.cpu_millis >= 1000
        by_name = {container.name: container for container in snapshot.containers}
        assert by_name["stranger"].id == ""
        assert (by_name["stranger"].cpu_millis, by_name["stranger"].memory) == (500, 64 << 20)
        ours = by_name[names.engine_name("default", ID, GENERATION)]
        assert (ours.id, ours.vcluster, ours.cpu_millis) == (ID, "default", 0)

    asyncio.run(run())


def test_events_tell_the_state_at_each_and_none_is_missed_between_iterations(socket: str) -> None:
    async def run() -> list[EngineChanged]:
        async with connected(socket) as engine:
            image = await image_id(engine)
            quick: dict[str, Any] = {"Image": IMAGE, "Cmd": ["sh", "-c", "exit 7"]}
            quick["HostConfig"] = {"NetworkMode": "none"}
            await engine.perform(call("create", image, body=quick))
            await engine.perform(call("start"))
            seen: list[EngineChanged] = []
            async with asyncio.timeout(30):
                while not seen or seen[-1].action != "destroy":
                    async for change in engine.events():
                        assert isinstance(change, EngineChanged)
                        seen.append(change)
                        if change.action == "die":
                            await engine.perform(call("remove"))
                        break  # the next iteration goes on where this one ended
            return seen

    seen = asyncio.run(run())
    assert [change.action for change in seen] == ["create", "start", "die", "destroy"]
    died, gone = seen[2].container, seen[3].container
    assert (died.phase, died.exit_code, died.id) == ("exited", 7, ID)
    assert (gone.phase, gone.generation) == ("dead", GENERATION)
    assert not any(key.startswith("shoal.") for key in seen[2].attributes)


def test_an_engine_that_is_away_is_reported(socket: str) -> None:
    async def run() -> None:
        async with connected(socket + "-nowhere") as engine:
            assert not (await engine.snapshot()).info.up
            outcome = await engine.perform(call("start"))
            assert (outcome.ok, outcome.status) == (False, 503)
            assert [change async for change in engine.events()] == []

    asyncio.run(run())


def test_an_image_is_fetched_once_from_a_peer_and_checked(socket: str) -> None:
    async def run(other: str) -> None:
        docker(other, "rmi", IMAGE)
        async with connected(socket) as source:
            image = await image_id(source)
            async with connected(other, peer=lambda _: source.port()) as engine:
                missing = await engine.perform(call("create", image))
                assert (missing.status, missing.error) == (404, f"No such image: {IMAGE}")
                elsewhere = call("create", "sha256:" + "0" * 64, image_holders=(NODE, NODE))
                assert (await engine.perform(elsewhere)).status == 404
                calls = [
                    call("create", image, id=str(n) * 64, name=f"x{n}", image_holders=(NODE,))
                    for n in range(3)
                ]
                outcomes = await asyncio.gather(*map(engine.perform, calls))
                assert [outcome.error for outcome in outcomes] == ["", "", ""]
                snapshot = await engine.snapshot()
                assert [(i.id, i.tags) for i in snapshot.images] == [(image, (IMAGE,))]
                changes = [c async for c in first(engine, 1, ImagesChanged)]
                assert changes[0].action == "load"
                await asyncio.gather(
                    *(engine.perform(msgspec.structs.replace(c, action="remove")) for c in calls)
                )

    with private_engine() as other:
        asyncio.run(run(other))


def test_a_holder_that_does_not_answer_is_no_reason_to_pull(socket: str) -> None:
    async def run() -> None:
        away = DockerEngine("/nowhere", cloud=CLOUD, node=NODE)
        async with connected(socket, peer=lambda _: away.port()) as engine:
            wanted = call("create", "sha256:" + "0" * 64, image_holders=(NODE,))
            outcome = await engine.perform(wanted)
            assert outcome.status == 503
            assert "could not be fetched: aaaaaaaaaaaa: " in outcome.error
        await away.close()

    asyncio.run(run())


async def first(
    engine: DockerEngine, count: int, kind: type[ImagesChanged]
) -> AsyncIterator[ImagesChanged]:
    async with asyncio.timeout(30):
        async for change in engine.events():
            if isinstance(change, kind) and change.action in {"load", "tag"}:
                yield change
                count -= 1
                if not count:
                    return


def test_streams_are_hijacked_both_ways(socket: str) -> None:
    async def run() -> tuple[bytes, EngineContainer | None]:
        async with connected(socket) as engine:
            body: dict[str, Any] = {
                "Cmd": ["sh", "-c", "cat; exit 3"],
                "OpenStdin": True,
                "StdinOnce": True,
            }
            body["HostConfig"] = {"NetworkMode": "none"}
            await engine.perform(call("create", await image_id(engine), body=body))
            name = call("inspect").name
            params = {"stream": "1", "stdin": "1", "stdout": "1", "stderr": "1"}
            stream = await engine.port().hijack(f"/containers/{name}/attach", params=params)
            await engine.perform(call("start"))
            await stream.write(b"hello")
            await stream.write_eof()

            async def ended() -> bool:
                container = (await engine.perform(call("inspect"))).container
                return container is not None and container.phase == "exited"

            async with asyncio.timeout(30):
                output = await stream.reader.read()
                await eventually(ended)
            stream.close()
            outcome = await engine.perform(call("inspect"))
            await engine.perform(call("remove"))
            return output, outcome.container

    output, container = asyncio.run(run())
    assert output == b"\x01\x00\x00\x00\x00\x00\x00\x05hello"
    assert container is not None
    assert container.exit_code == 3
