"""Exec: whose it is, where it is, and streams both ways."""

import asyncio
import contextlib
from typing import Any

import msgspec
import pytest
from aiohttp import web
from scripted_engine import ENGINE_WEB, WEB, Handler, Place, over, refusing

from shoal.api.docker.execid import exec_id
from shoal.api.docker.hijack import take_over
from shoal.engine import names
from shoal.node.service import Member

NODE = "a" * 64
ENGINE_ID = "d" * 64
ID = NODE + ENGINE_ID
#: A node that has no memory of the exec asks the engine for these two.
INSPECTED = f"/exec/{ENGINE_ID}/json"
OWNER = f"/containers/{ENGINE_WEB}/json"


async def created(request: web.Request) -> web.Response:
    assert await request.json() == {"Cmd": ["true"], "Env": ["a=b"]}
    return web.json_response({"Id": ENGINE_ID}, status=201)


async def inspected(request: web.Request) -> web.Response:
    return web.json_response(
        {"ID": ENGINE_ID, "ContainerID": ENGINE_WEB, "ExitCode": 7, "Running": False}
    )


def owner(**labels: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        found = {
            names.CLOUD: "0" * 32,
            names.VCLUSTER: "default",
            names.ID: WEB,
            names.NAME: "web",
            **labels,
        }
        return web.json_response({"Name": "/shoal-x", "Config": {"Labels": found}})

    return handler


async def started(request: web.Request) -> web.StreamResponse:
    """What comes in goes out, with an end of its own after the end of the input."""
    assert await request.json() == {"Detach": False, "Tty": False}
    response, client = await take_over(request, "application/vnd.docker.multiplexed-stream")
    while data := await client.reader.read(1 << 16):
        await client.write(data)
    await client.write(b" and bye")
    await client.finish()
    return response


KNOWN = (("GET", INSPECTED, inspected), ("GET", OWNER, owner()))
START = ("POST", f"/exec/{ENGINE_ID}/start", started)


def test_an_exec_is_created_in_the_containers_engine_and_its_id_carries_the_node() -> None:
    async def test(place: Place) -> None:
        body = {"Cmd": ["true"], "Env": ["a=b"]}
        answer = await place.api.post("/v1.41/containers/web/exec", json=body)
        assert (answer.status, await answer.json()) == (201, {"Id": ID})
        document = await (await place.api.get(f"/v1.41/exec/{ID}/json")).json()
        assert document == {"ID": ID, "ContainerID": WEB, "ExitCode": 7, "Running": False}

    over(test, ("POST", "/containers/NAME/exec", created), KNOWN[0])


def test_any_node_finds_an_exec_by_its_id_alone() -> None:
    async def test(place: Place) -> None:
        document = await (await place.api.get(f"/exec/{ID}/json")).json()
        assert (document["ID"], document["ContainerID"]) == (ID, WEB)

    over(test, *KNOWN)


@pytest.mark.parametrize("label", [names.CLOUD, names.VCLUSTER])
def test_execs_of_others_do_not_exist(label: str) -> None:
    async def test(place: Place) -> None:
        for method, what in (("GET", "json"), ("POST", "start"), ("POST", "resize")):
            got = await place.message(method, f"/exec/{ID}/{what}", json={"Detach": False})
            assert got == (404, f"No such exec instance: {ID}")

    over(test, KNOWN[0], ("GET", OWNER, owner(**{label: "another"})), START)


@pytest.mark.parametrize("identifier", ["x", "d" * 64, "b" * 128, NODE + "E" * 64])
def test_an_unknown_exec_is_said_so(identifier: str) -> None:
    async def test(place: Place) -> None:
        got = await place.message("GET", f"/exec/{identifier}/json")
        assert got == (404, f"No such exec instance: {identifier}")

    over(test)


def test_an_exec_that_the_engine_forgot_is_said_so_with_the_id_that_was_asked_for() -> None:
    async def test(place: Place) -> None:
        got = await place.message("POST", f"/exec/{ID}/start", json={})
        assert got == (404, f"No such exec instance: {ID}")

    over(test, ("GET", INSPECTED, refusing(404, f"No such exec instance: {ENGINE_ID}")))


def test_an_exec_on_a_dead_host_says_which() -> None:
    async def test(place: Place) -> None:
        dead = msgspec.structs.replace(place.service.info, id="b" * 64, name="b")
        place.service.others = [Member(dead, "down", 0)]
        there = exec_id("b" * 64, ENGINE_ID)
        got = await place.message("POST", f"/exec/{there}/start", json={"Detach": False})
        assert got == (503, f"host b of exec instance {there} is unreachable")
        view = place.service.containers[WEB]
        gone = msgspec.structs.replace(view, unreachable_since=1, node_name="b")
        place.service.containers[WEB] = gone
        got = await place.message("POST", "/containers/web/exec", json={"Cmd": ["true"]})
        assert got == (503, "host b of container web is unreachable")

    over(test)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "invalid JSON: got EOF"),
        (b"{", 400, "invalid JSON"),
        (b"{}", 400, "No exec command specified"),
        (b'{"Cmd":["true"]}', 409, f"Container {WEB} is paused, unpause"),
    ],
)
def test_a_refused_exec_has_dockers_words(body: bytes, status: int, words: str) -> None:
    async def test(place: Place) -> None:
        got, text = await place.message("POST", "/containers/web/exec", data=body, headers=JSON)
        assert got == status
        assert words in text

    paused = refusing(409, f"Container {ENGINE_WEB} is paused, unpause the container before exec")
    over(test, ("POST", "/containers/NAME/exec", paused))


JSON = {"Content-Type": "application/json"}


def test_a_detached_exec_and_a_size_for_its_terminal() -> None:
    seen: list[Any] = []

    async def start(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.Response(status=200)

    async def resize(request: web.Request) -> web.Response:
        seen.append(dict(request.query))
        return web.Response(status=200)

    async def test(place: Place) -> None:
        answer = await place.api.post(f"/exec/{ID}/start", json={"Detach": True, "Tty": False})
        assert (answer.status, await answer.read()) == (200, b"")
        answer = await place.api.post(f"/exec/{ID}/resize?h=3&w=4&x=5")
        assert (answer.status, await answer.read()) == (200, b"")
        assert seen == [{"Detach": True, "Tty": False}, {"h": "3", "w": "4"}]

    over(
        test,
        *KNOWN,
        ("POST", f"/exec/{ENGINE_ID}/start", start),
        ("POST", f"/exec/{ENGINE_ID}/resize", resize),
    )


@pytest.mark.parametrize("detach", [True, False])
def test_a_start_that_the_engine_refuses_is_refused_in_the_users_words(detach: bool) -> None:
    async def test(place: Place) -> None:
        got = await place.message("POST", f"/exec/{ID}/start", json={"Detach": detach})
        assert got == (409, f"Error: Exec command {ID} has already run in container web")

    text = f"Error: Exec command {ENGINE_ID} has already run in container shoal-x"
    over(test, *KNOWN, ("POST", f"/exec/{ENGINE_ID}/start", refusing(409, text)))


@pytest.mark.parametrize("upgrade", [True, False])
def test_output_of_an_exec_still_comes_after_its_input_has_ended(upgrade: bool) -> None:
    async def test(place: Place) -> None:
        body = b'{"Detach": false, "Tty": false}'
        head = f"POST /v1.41/exec/{ID}/start HTTP/1.1\r\nHost: x\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        if upgrade:
            head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        reader, writer = await asyncio.open_unix_connection(place.socket)
        writer.write(head.encode() + b"\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        status = b"HTTP/1.1 101 UPGRADED" if upgrade else b"HTTP/1.1 200 OK"
        assert answer.startswith(status)
        assert b"application/vnd.docker.multiplexed-stream" in answer
        assert b"chunked" not in answer
        writer.write(b"x" * 1_000_000)
        writer.write_eof()
        assert await reader.read() == b"x" * 1_000_000 + b" and bye"
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    over(test, *KNOWN, START)
