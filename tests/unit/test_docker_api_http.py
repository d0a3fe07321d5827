"""The Docker API over HTTP, with an in-memory engine behind it."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from fake_service import FakeService

from shoal.api.docker.app import make_app
from shoal.engine.memory import MemoryEngine
from shoal.model.errors import Unavailable
from shoal.model.node import EngineInfo, ImageInfo, NodeInfo
from shoal.model.ops import CreateContainer, Operate, RenameContainer
from shoal.node.service import Member

IMAGE = ImageInfo("sha256:" + "1" * 64, ("busybox:latest", "bb:1"), created=5, architecture="amd64")
PLAIN = {"Image": "busybox", "Cmd": ["sleep", "1"]}

Api = TestClient[Any, Any]
Test = Callable[[Api, FakeService], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[Api, FakeService]]:
    service = FakeService(MemoryEngine(images=[IMAGE]))
    await service.start()
    app = make_app(service, vcluster="default", node_name="a")
    async with TestClient(TestServer(app)) as client:
        yield client, service
    await service.close()


def over(test: Test) -> None:
    async def run() -> None:
        async with asyncio.timeout(30), serving() as (api, service):
            await test(api, service)

    asyncio.run(run())


async def made(api: Api, **body: Any) -> str:
    answer = await api.post("/containers/create?name=web", json={**PLAIN, **body})
    assert answer.status == 201, await answer.text()
    return str((await answer.json())["Id"])


async def message(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    document = await answer.json()
    assert list(document) == ["message"]
    return answer.status, document["message"]


def test_ping_says_which_version_every_host_understands() -> None:
    async def test(api: Api, service: FakeService) -> None:
        newer = EngineInfo(up=True, api_version="1.47")
        service.others = [Member(NodeInfo("b" * 64, "b", "::1", engine=newer), "up", 0)]
        for method in ("GET", "HEAD"):
            answer = await api.request(method, "/_ping")
            assert answer.status == 200
            assert answer.headers["Api-Version"] == "1.41"
            assert answer.headers["Docker-Experimental"] == "false"
        assert (await api.get("/v1.41/version")).status == 200
        assert await message(await api.get("/v1.42/version")) == (
            400,
            "client version 1.42 is too new. Maximum supported API version is 1.41",
        )
        assert (await api.get("/v1.12/version")).status == 400
        service.others[0] = msgspec.structs.replace(service.others[0], state="down")
        info = await (await api.get("/info")).json()
        assert info["Swarm"]["LocalNodeState"] == "inactive"
        assert "node b is down" in info["Warnings"][0]

    over(test)


def test_a_container_goes_through_its_life() -> None:
    async def test(api: Api, service: FakeService) -> None:
        identifier = await made(api, Labels={"a": "b"})
        assert (await api.post("/containers/web/start")).status == 204
        assert (await api.post(f"/containers/{identifier[:6]}/start")).status == 304
        (entry,) = await (await api.get("/v1.41/containers/json")).json()
        assert (entry["Id"], entry["State"], entry["Labels"]) == (identifier, "running", {"a": "b"})
        assert (await api.post("/containers/web/kill?signal=TERM")).status == 204
        assert (await api.post("/containers/web/stop?t=3")).status == 304
        assert service.operations[-1] == Operate("web", "stop", timeout=3)
        assert await (await api.get("/containers/json")).json() == []
        document = await (await api.get("/containers/web/json")).json()
        assert document["State"]["ExitCode"] == 137
        assert (await api.delete("/containers/web")).status == 204
        assert await message(await api.get("/containers/web/json")) == (
            404,
            "No such container: web",
        )

    over(test)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("POST", "/containers/create", b"{", 400, "invalid JSON"),
        ("POST", "/containers/create", b"", 400, "EOF"),
        ("POST", "/containers/create", b"{}", 400, "no image"),
        ("POST", "/containers/create?name=-x", b"{}", 400, "Invalid container name (-x)"),
        ("POST", "/containers/create", b'{"Image":"no"}', 404, "No such image: no:latest"),
        ("POST", "/containers/create?platform=linux/arm64", b'{"Image":"bb:1"}', 404, "platform"),
        ("POST", "/containers/nobody/start", b"", 404, "No such container: nobody"),
        ("POST", "/containers/web/kill?signal=NO", b"", 400, "invalid signal: NO"),
        ("POST", "/containers/web/kill", b"", 409, "not running"),
        ("POST", "/containers/web/stop?t=soon", b"", 400, "t=soon: not an integer"),
        ("POST", "/containers/web/wait?condition=odd", b"", 400, 'invalid condition: "odd"'),
        ("POST", "/containers/nobody/wait", b"", 404, "No such container: nobody"),
        ("GET", "/containers/web/logs", b"", 400, "choose at least one stream"),
        ("GET", "/containers/web/logs?stdout=1", b"", 503, "in-memory engine"),
        ("POST", "/containers/web/attach?stream=1", b"", 503, "in-memory engine"),
        ("GET", "/containers/json?size=1", b"", 501, "sizes"),
        ("GET", "/containers/json?filters=x", b"", 400, "invalid filter"),
        ("POST", "/commit?container=web", b"{}", 501, "commit: not there yet"),
        ("DELETE", "/containers/web?link=1", b"", 501, "links"),
        ("GET", "/networks", b"", 501, "networks"),
        ("POST", "/v1.41/build", b"", 501, "builds"),
        ("GET", "/nonsense", b"", 404, "page not found"),
        ("GET", "/images/json?filters=%7B%22label%22%3A%5B%22a%22%5D%7D", b"", 501, "label"),
        ("GET", "/images/no/json", b"", 404, "No such image: no:latest"),
        ("POST", "/images/create?fromSrc=-", b"", 501, "importing"),
        ("POST", "/images/create?fromImage=A+b", b"", 400, "invalid reference format"),
    ],
)
def test_trouble_has_dockers_status_and_shape(
    method: str, path: str, body: bytes, status: int, words: str
) -> None:
    async def test(api: Api, service: FakeService) -> None:
        await made(api)
        before = len(service.containers)
        headers = {"Content-Type": "application/json"}
        got, text = await message(await api.request(method, path, data=body, headers=headers))
        assert got == status
        assert words in text
        assert len(service.containers) == before

    over(test)


def test_a_body_of_another_type_or_beyond_all_measure_is_refused() -> None:
    async def test(api: Api, service: FakeService) -> None:
        plain = {"Content-Type": "text/plain"}
        answer = await api.post("/containers/create", data=b"{}", headers=plain)
        assert answer.status == 400
        huge = json.dumps({"Image": "bb:1", "Env": ["x" * (5 << 20)]}).encode()
        as_json = {"Content-Type": "application/json"}
        answer = await api.post("/containers/create", data=io.BytesIO(huge), headers=as_json)
        assert answer.status == 413
        assert service.operations == []

    over(test)


def test_a_bug_is_one_line_for_the_client() -> None:
    async def test(api: Api, service: FakeService) -> None:
        service.failure = ValueError("secret")  # type: ignore[assignment]
        status, text = await message(await api.get("/containers/json"))
        assert status == 500
        assert "secret" not in text

    over(test)


def test_trouble_of_the_cloud_reaches_the_client() -> None:
    async def test(api: Api, service: FakeService) -> None:
        service.failure = Unavailable("no keeper within 15 s: try again")
        assert await message(await api.get("/containers/json")) == (
            503,
            "no keeper within 15 s: try again",
        )

    over(test)


def test_a_taken_name_is_refused_and_an_invented_one_is_tried_again() -> None:
    async def test(api: Api, service: FakeService) -> None:
        await made(api)
        answer = await api.post("/containers/create?name=web", json=PLAIN)
        assert answer.status == 409
        names = set()
        for _ in range(20):
            await (await api.post("/containers/create", json=PLAIN)).json()
            last = service.operations[-1]
            assert isinstance(last, CreateContainer)
            names.add(last.name)
        assert len(names) == 20

    over(test)


def test_wait_sends_its_headers_before_anything_ends() -> None:
    async def test(api: Api, service: FakeService) -> None:
        await made(api)
        answer = await api.post("/containers/web/wait?condition=next-exit")
        assert answer.status == 200
        await api.post("/containers/web/start")
        await api.post("/containers/web/kill")
        assert await answer.json(content_type=None) == {"StatusCode": 137}
        now = await api.post("/containers/web/wait")
        assert await now.json(content_type=None) == {"StatusCode": 137}

    over(test)


def test_waiting_for_removal_gives_the_last_exit_code() -> None:
    async def test(api: Api, service: FakeService) -> None:
        await made(api, HostConfig={"AutoRemove": True})
        answer = await api.post("/containers/web/wait?condition=removed")
        await api.post("/containers/web/start")
        await api.post("/containers/web/kill")
        assert await answer.json(content_type=None) == {"StatusCode": 137}
        assert service.containers == {}

    over(test)


def test_a_client_that_goes_away_frees_its_wait() -> None:
    async def test(api: Api, service: FakeService) -> None:
        await made(api)
        waiting = asyncio.Event()
        freed = asyncio.Event()
        wait = service.wait

        async def watched(*arguments: Any, **options: Any) -> Any:
            waiting.set()
            try:
                return await wait(*arguments, **options)
            finally:
                freed.set()

        service.wait = watched  # type: ignore[method-assign]
        answer = await api.post("/containers/web/wait")
        await waiting.wait()
        answer.close()
        await freed.wait()

    over(test)


def test_events_come_as_they_happen_and_end_at_until() -> None:
    async def test(api: Api, service: FakeService) -> None:
        answer = await api.get("/events", params={"filters": '{"event": ["start", "die"]}'})
        await made(api)
        await api.post("/containers/web/start")
        await api.post("/containers/web/kill")
        events = [json.loads(await answer.content.readline()) for _ in range(2)]
        assert [event["Action"] for event in events] == ["start", "die"]
        assert events[1]["Actor"]["Attributes"] == {
            "exitCode": "137",
            "image": "busybox",
            "name": "web",
            "node": "a",
        }
        answer.close()
        ended = await api.get("/events?until=1")
        assert await ended.read() == b""

    over(test)


def test_a_container_gets_another_name() -> None:
    async def test(api: Api, service: FakeService) -> None:
        container = await made(api)
        renamed = await api.post("/containers/web/rename?name=shop")
        assert renamed.status == 204
        assert service.operations[-1] == RenameContainer(container, "shop")
        for name, status in (("", 400), ("-x", 400)):
            answer = await api.post(f"/containers/shop/rename?name={name}")
            assert answer.status == status

    over(test)


def test_past_events_come_first_and_none_twice() -> None:
    async def test(api: Api, service: FakeService) -> None:
        await made(api)
        await api.post("/containers/web/start")
        answer = await api.get("/events?since=1")
        await api.post("/containers/web/kill")
        events = [json.loads(await answer.content.readline()) for _ in range(3)]
        assert [event["Action"] for event in events[:2]] == ["create", "start"]
        assert events[2]["Action"] in {"kill", "die"}
        answer.close()
        before = await api.get(f"/events?since=1&until={events[0]['time'] - 1}")
        assert await before.read() == b""

    over(test)


def test_images_of_all_live_nodes_are_one_list() -> None:
    async def test(api: Api, service: FakeService) -> None:
        there = (
            msgspec.structs.replace(IMAGE, tags=("bb:2",)),
            ImageInfo("sha256:" + "2" * 64, (), created=9),
        )
        service.others = [Member(NodeInfo("b" * 64, "b", "::1", images=there), "up", 0)]
        listed = await (await api.get("/images/json")).json()
        assert [image["RepoTags"] for image in listed] == [[], ["bb:1", "bb:2", "busybox:latest"]]
        for filters, count in (
            ({"dangling": ["true"]}, 1),
            ({"dangling": ["false"]}, 1),
            ({"reference": ["b?"]}, 1),
            ({"reference": ["nginx"]}, 0),
            ({"since": ["bb:1"]}, 1),
            ({"before": ["bb:1"]}, 0),
        ):
            answer = await api.get("/images/json", params={"filters": json.dumps(filters)})
            assert len(await answer.json()) == count, filters

    over(test)
