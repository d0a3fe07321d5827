"""What the engine of a container's host answers: archives both ways, processes, statistics."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from scripted_engine import ENGINE_WEB, WEB, Place, over, refusing

STAT = "X-Docker-Container-Path-Stat"
PIECE = b"x" * (1 << 16)
#: Far more than sockets and streams hold between the client and the engine.
PIECES = 512


def test_an_archive_comes_with_the_facts_about_its_path() -> None:
    async def archive(request: web.Request) -> web.Response:
        assert dict(request.query) == {"path": "/etc/a b"}
        headers = {STAT: "eyJ9", "Content-Type": "application/x-tar"}
        return web.Response(body=b"tar", headers=headers)

    async def test(place: Place) -> None:
        for method, body in (("GET", b"tar"), ("HEAD", b"")):
            answer = await place.api.request(method, "/containers/web/archive?path=/etc/a%20b&x=1")
            assert (answer.status, answer.headers[STAT]) == (200, "eyJ9")
            assert await answer.read() == body

    over(
        test,
        ("GET", "/containers/NAME/archive", archive),
        ("HEAD", "/containers/NAME/archive", archive),
    )


@pytest.mark.parametrize(("asked", "coding"), [("gzip", "gzip"), ("", "identity")])
def test_an_archive_is_compressed_only_for_a_client_that_takes_it(asked: str, coding: str) -> None:
    async def archive(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == coding
        return web.Response(body=b"packed", headers={"Content-Encoding": coding})

    async def test(place: Place) -> None:
        reader, writer = await asyncio.open_unix_connection(place.socket)
        head = f"Accept-Encoding: {asked}\r\n" if asked else ""
        line = "GET /containers/web/archive?path=/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        writer.write(f"{line}{head}\r\n".encode())
        answer = await reader.read()
        assert f"Content-Encoding: {coding}\r\n".encode() in answer
        assert b"packed" in answer
        writer.close()

    over(test, ("GET", "/containers/NAME/archive", archive))


def test_a_path_that_is_not_there_is_said_with_the_containers_own_name() -> None:
    async def test(place: Place) -> None:
        got = await place.message("GET", "/containers/web/archive?path=/no")
        assert got == (404, "Could not find the file /no in container web")
        got = await place.message("PUT", "/containers/web/archive?path=/no", data=b"")
        assert got == (404, "Could not find the file /no in container web")
        head = await place.api.head("/containers/web/archive?path=/no")
        assert head.status == 404

    async def missing(request: web.Request) -> web.StreamResponse:
        name = request.path.split("/")[3]
        return await refusing(404, f"Could not find the file /no in container {name}")(request)

    over(
        test,
        *(("PUT", "/containers/NAME/archive", missing),),
        *((method, "/containers/NAME/archive", missing) for method in ("GET", "HEAD")),
    )


@pytest.mark.parametrize("sized", [True, False])
def test_an_upload_goes_on_as_it_comes_and_waits_for_a_slow_engine(sized: bool) -> None:
    sent = 0
    reading = asyncio.Event()
    received = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(PIECES):
            yield PIECE
            sent += 1

    async def slow(request: web.Request) -> web.Response:
        nonlocal received
        assert dict(request.query) == {"path": "/", "noOverwriteDirNonDir": "true"}
        await reading.wait()
        async for data in request.content.iter_any():
            received += len(data)
        return web.Response(status=200)

    async def test(place: Place) -> None:
        headers = {"Content-Type": "application/x-tar"}
        if sized:
            headers["Content-Length"] = str(PIECES * len(PIECE))
        upload = asyncio.create_task(
            place.api.put(
                "/containers/web/archive?path=/&noOverwriteDirNonDir=true",
                data=pieces(),
                headers=headers,
            )
        )
        await still(lambda: sent)
        assert 0 < sent < PIECES // 4
        reading.set()
        assert (await upload).status == 200
        assert received == PIECES * len(PIECE)

    over(test, ("PUT", "/containers/NAME/archive", slow))


def test_an_upload_that_is_refused_early_is_answered_early() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield PIECE
        await asyncio.Event().wait()

    async def test(place: Place) -> None:
        got = await place.message("PUT", "/containers/web/archive?path=/", data=endless())
        assert got == (400, "no")

    over(test, ("PUT", "/containers/NAME/archive", refusing(400, "no")))


def test_an_upload_whose_client_goes_away_ends_at_the_engine_as_broken() -> None:
    began, broken = asyncio.Event(), asyncio.Event()

    async def taking(request: web.Request) -> web.Response:
        try:
            async for _ in request.content.iter_any():
                began.set()
        except BaseException:
            broken.set()
            raise
        raise AssertionError("half an upload came as a whole one")

    async def test(place: Place) -> None:
        _, writer = await asyncio.open_unix_connection(place.socket)
        writer.write(b"PUT /containers/web/archive?path=/ HTTP/1.1\r\nHost: x\r\n")
        writer.write(b"Content-Length: 100000\r\n\r\n" + b"x" * 1000)
        await began.wait()
        writer.close()
        await broken.wait()

    over(test, ("PUT", "/containers/NAME/archive", taking))


def test_a_download_waits_for_a_slow_client() -> None:
    sent = 0

    async def export(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        await response.prepare(request)
        for _ in range(PIECES):
            await response.write(PIECE)
            sent += 1
        return response

    async def test(place: Place) -> None:
        answer = await place.api.get("/containers/web/export")
        await still(lambda: sent)
        assert 0 < sent < PIECES // 4
        assert len(await answer.read()) == PIECES * len(PIECE)

    over(test, ("GET", "/containers/NAME/export", export))


def test_processes_and_changes_come_as_the_engine_says() -> None:
    async def top(request: web.Request) -> web.Response:
        assert dict(request.query) == {"ps_args": "-o pid"}
        return web.json_response({"Titles": ["PID"], "Processes": [["1"]]})

    async def changes(request: web.Request) -> web.Response:
        return web.json_response([{"Path": "/a", "Kind": 1}])

    async def test(place: Place) -> None:
        answer = await place.api.get("/containers/web/top?ps_args=-o+pid")
        assert await answer.json() == {"Titles": ["PID"], "Processes": [["1"]]}
        answer = await place.api.get("/containers/web/changes")
        assert await answer.json() == [{"Path": "/a", "Kind": 1}]

    over(test, ("GET", "/containers/NAME/top", top), ("GET", "/containers/NAME/changes", changes))


def test_samples_of_statistics_carry_the_containers_own_name_however_they_are_cut() -> None:
    sample = b'{"id":"%s","name":"/shoal-x","memory_stats":{"usage":%d}}'

    async def stats(request: web.Request) -> web.StreamResponse:
        assert dict(request.query) == {"stream": "1", "one-shot": "0"}
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        both = b"\n".join(sample % (ENGINE_WEB.encode(), number) for number in (1, 2))
        for cut in range(0, len(both), 50):
            await response.write(both[cut : cut + 50])
            await asyncio.sleep(0.001)
        return response

    async def test(place: Place) -> None:
        answer = await place.api.get("/containers/web/stats?stream=1&one-shot=0")
        assert answer.content_type == "application/json"
        lines = (await answer.read()).splitlines()
        ours = b'{"id":"%s","name":"/web","memory_stats":{"usage":%d}}'
        assert lines == [ours % (WEB.encode(), number) for number in (1, 2)]

    over(test, ("GET", "/containers/NAME/stats", stats))


@pytest.mark.parametrize("what", ["top", "changes", "stats", "export", "archive?path=/"])
def test_a_missing_container_is_dockers_404(what: str) -> None:
    async def test(place: Place) -> None:
        got = await place.message("GET", f"/containers/nobody/{what}")
        assert got == (404, "No such container: nobody")

    over(test)


async def still(count: Callable[[], int]) -> None:
    """Until a number stays as it is."""
    last = -1
    while last != count() or not last:
        last = count()
        await asyncio.sleep(0.3)
