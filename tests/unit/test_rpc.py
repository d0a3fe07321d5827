"""Calls, streams and notifications between real sockets on loopback."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from cloud_fixture import cloud_of, run, until

from shoal.model.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    NotSupported,
    ShoalError,
    TooLarge,
    Unavailable,
)
from shoal.node.certificates import fingerprint
from shoal.node.identity import load_or_create_identity
from shoal.node.link import LinkLimits
from shoal.node.rpc import (
    CallContext,
    Endpoint,
    ForeignCloud,
    Hello,
    ProtocolMismatch,
    Scope,
    Unreachable,
    negotiate,
)
from shoal.node.server import ServerLimits
from shoal.node.strangers import call_as_stranger, fetch_authority

QUICK = LinkLimits(dial=10.0, ping_after=0.1, dead_after=0.5, idle=60.0)


class Sum(msgspec.Struct):
    a: int
    b: int


async def add(context: CallContext, args: Sum) -> int:
    return args.a + args.b


@pytest.mark.parametrize("with_uvloop", [True, False])
def test_a_call_returns_what_the_handler_returns(tmp_path: Path, with_uvloop: bool) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            seen: list[CallContext] = []

            async def who(context: CallContext, args: None) -> str:
                seen.append(context)
                return "b"

            b.methods.unary("add", add, takes=Sum)
            b.methods.unary("who", who, takes=type(None))
            assert await a.transport.call(b.id, "add", Sum(2, 3), returns=int) == 5
            scope = Scope("alice", "v1", "r1")
            assert await a.transport.call(b.id, "who", None, returns=str, scope=scope) == "b"
            assert seen[0].peer == a.id
            assert seen[0].scope == scope
            assert seen[0].cloud == a.credentials.cloud
            assert seen[0].address == "127.0.0.1"

    run(main(), with_uvloop=with_uvloop)


def test_calls_work_over_ipv6(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path, host="::1") as (a, b):
            b.methods.unary("add", add, takes=Sum)
            assert await a.transport.call(b.id, "add", Sum(2, 3), returns=int) == 5

    run(main())


def test_a_node_can_call_and_stream_from_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path, 1) as (a,):

            async def numbers(context: CallContext, args: int) -> AsyncIterator[int]:
                for number in range(args):
                    yield number

            a.methods.unary("add", add, takes=Sum)
            a.methods.streaming("numbers", numbers, takes=int)
            assert await a.transport.call(a.id, "add", Sum(2, 3), returns=int) == 5
            got = [n async for n in a.transport.stream(a.id, "numbers", 3, yields=int)]
            assert got == [0, 1, 2]
            a.transport.notify(a.id, b"me")
            await until(lambda: a.heard == [(a.id, b"me")])

    run(main())


def test_errors_keep_their_status_and_text(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):

            async def fail(context: CallContext, args: None) -> None:
                raise Conflict("the name `web` is taken")

            async def crash(context: CallContext, args: None) -> None:
                raise RuntimeError("oops")

            b.methods.unary("fail", fail, takes=type(None))
            b.methods.unary("crash", crash, takes=type(None))
            b.methods.unary("add", add, takes=Sum)
            none = type(None)
            with pytest.raises(Conflict, match="the name `web` is taken"):
                await a.transport.call(b.id, "fail", None, returns=none)
            with pytest.raises(ShoalError, match="BUG: `crash` failed") as caught:
                await a.transport.call(b.id, "crash", None, returns=none)
            assert caught.value.status == 500
            with pytest.raises(NotSupported, match="does not know the call `nothing`"):
                await a.transport.call(b.id, "nothing", None, returns=none)
            with pytest.raises(BadRequest, match="arguments of `add`"):
                await a.transport.call(b.id, "add", "text", returns=int)
            with pytest.raises(ShoalError, match="answer to `add` makes no sense"):
                await a.transport.call(b.id, "add", Sum(1, 2), returns=str)

    run(main())


def test_a_late_answer_is_unreachable_and_the_handler_is_cancelled(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            ended = asyncio.Event()

            async def slow(context: CallContext, args: None) -> None:
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.set()

            b.methods.unary("slow", slow, takes=type(None))
            with pytest.raises(Unavailable):
                await a.transport.call(b.id, "slow", None, returns=type(None), timeout=0.2)
            await asyncio.wait_for(ended.wait(), 10)

    run(main())


def test_an_absent_peer_is_unreachable_at_once_and_nothing_was_done(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            await b.transport.stop()
            with pytest.raises(Unreachable, match=r"node .* does not answer: .*refused") as caught:
                await a.transport.call(b.id, "add", Sum(1, 2), returns=int)
            assert not caught.value.maybe_done
            with pytest.raises(Unreachable, match="address of node"):
                await a.transport.call("f" * 64, "add", Sum(1, 2), returns=int)

    run(main())


def test_a_lost_connection_fails_calls_that_may_have_been_done(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            entered = asyncio.Event()

            async def slow(context: CallContext, args: None) -> None:
                entered.set()
                await asyncio.sleep(60)

            b.methods.unary("slow", slow, takes=type(None))
            call = asyncio.create_task(
                a.transport.call(b.id, "slow", None, returns=type(None), timeout=30)
            )
            await asyncio.wait_for(entered.wait(), 10)
            a.transport.disconnect(b.id)
            with pytest.raises(Unreachable) as caught:
                await call
            assert caught.value.maybe_done

    run(main())


def test_a_silent_peer_is_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path, link_limits=QUICK) as (a, b):
            stuck = asyncio.Event()

            async def slow(context: CallContext, args: None) -> None:
                for connection in b.transport._serving:
                    connection.transport.pause_reading()  # as if the host had gone
                stuck.set()
                await asyncio.sleep(60)

            b.methods.unary("slow", slow, takes=type(None))
            with pytest.raises(Unreachable, match="broke") as caught:
                await a.transport.call(b.id, "slow", None, returns=type(None), timeout=30)
            assert caught.value.maybe_done
            assert stuck.is_set()

    run(main())


def test_an_idle_connection_that_is_used_again_is_not_given_up(tmp_path: Path) -> None:
    async def main() -> None:
        limits = msgspec.structs.replace(QUICK, dead_after=0.3)
        async with cloud_of(tmp_path, link_limits=limits) as (a, b):
            b.methods.unary("add", add, takes=Sum)
            for _ in range(3):
                assert await a.transport.call(b.id, "add", Sum(1, 1), returns=int) == 2
                await asyncio.sleep(1.2)
            assert a.transport.stats.dials == 1

    run(main())


def test_idle_connections_close_and_open_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path, link_limits=LinkLimits(idle=0.1)) as (a, b):
            b.methods.unary("add", add, takes=Sum)
            await a.transport.call(b.id, "add", Sum(1, 1), returns=int)
            await until(lambda: not b.transport._serving)
            await a.transport.call(b.id, "add", Sum(1, 1), returns=int)
            assert a.transport.stats.dials == 2

    run(main())


def test_notifications_arrive_in_order_with_their_sender(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            sent = [str(number).encode() for number in range(1000)]
            for payload in sent:
                a.transport.notify(b.id, payload)
            await until(lambda: len(b.heard) == 1000)
            assert b.heard == [(a.id, payload) for payload in sent]

    run(main())


def test_notifications_to_nobody_are_dropped_and_counted(tmp_path: Path) -> None:
    async def main() -> None:
        limits = LinkLimits(queued_messages=10)
        async with cloud_of(tmp_path, 3, link_limits=limits) as (a, b, c):
            await b.transport.stop()
            for number in range(50):
                a.transport.notify(b.id, str(number).encode())
            a.transport.notify(c.id, b"fine")  # a dead peer is in nobody's way
            await until(lambda: c.heard == [(a.id, b"fine")])
            await until(lambda: a.transport.stats.dropped == 50)
            a.transport.notify("f" * 64, b"who?")
            assert a.transport.stats.dropped == 51
            b.listen(port=b.endpoint.port)
            a.transport.notify(b.id, b"again")
            await until(lambda: b.heard == [(a.id, b"again")])

    run(main())


def test_a_stream_goes_no_faster_than_its_reader_and_is_freed_on_break(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            produced = 0
            closed = asyncio.Event()

            async def endless(context: CallContext, args: None) -> AsyncIterator[int]:
                nonlocal produced
                try:
                    while True:
                        produced += 1
                        yield produced
                finally:
                    closed.set()

            b.methods.streaming("endless", endless, takes=type(None))
            items = a.transport.stream(b.id, "endless", None, yields=int)
            got = [await anext(items) for _ in range(200)]
            assert got == list(range(1, 201))
            await asyncio.sleep(0.1)
            assert produced <= 200 + 130
            await items.aclose()
            await asyncio.wait_for(closed.wait(), 10)
            (connection,) = b.transport._serving
            await until(lambda: not connection._tasks)
            assert not connection._windows

    run(main())


def test_streams_end_fail_and_break_with_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):

            async def failing(context: CallContext, args: None) -> AsyncIterator[str]:
                yield "one"
                raise Conflict("no more")

            async def quiet(context: CallContext, args: None) -> AsyncIterator[str]:
                yield "one"
                await asyncio.sleep(60)

            b.methods.streaming("failing", failing, takes=type(None))
            b.methods.streaming("quiet", quiet, takes=type(None))
            items = a.transport.stream(b.id, "failing", None, yields=str)
            assert await anext(items) == "one"
            with pytest.raises(Conflict, match="no more"):
                await anext(items)
            items = a.transport.stream(b.id, "quiet", None, yields=str)
            assert await anext(items) == "one"
            a.transport.forget_peer(b.id)
            with pytest.raises(Unreachable):
                await anext(items)
            await until(lambda: not b.transport._serving)

    run(main())


def test_more_streams_than_allowed_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        limits = ServerLimits(streams=1)
        async with cloud_of(tmp_path, server_limits=limits) as (a, b):

            async def quiet(context: CallContext, args: None) -> AsyncIterator[str]:
                yield "one"
                await asyncio.sleep(60)

            b.methods.streaming("quiet", quiet, takes=type(None))
            async with contextlib.aclosing(
                a.transport.stream(b.id, "quiet", None, yields=str)
            ) as first:
                assert await anext(first) == "one"
                with pytest.raises(Unavailable, match="streams are open"):
                    await anext(a.transport.stream(b.id, "quiet", None, yields=str))

    run(main())


def test_a_stranger_may_join_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path, 1) as (b,):
            stranger = load_or_create_identity(tmp_path / "stranger")

            async def join(context: CallContext, args: str) -> str:
                assert context.peer == ""
                return f"hello {args}"

            b.methods.unary("join", join, takes=str, public=True)
            b.methods.unary("add", add, takes=Sum)
            wanted = fingerprint(b.credentials.authorities[0])
            authority = await fetch_authority(b.endpoint, wanted)
            assert authority == b.credentials.authorities[0]

            async def call(method: str, args: object, returns: type) -> object:
                return await call_as_stranger(
                    b.endpoint,
                    method,
                    args,
                    authority=authority,
                    node_id=stranger.node_id,
                    returns=returns,
                )

            assert await call("join", "x", str) == "hello x"
            with pytest.raises(Forbidden, match="only nodes of this cloud"):
                await call("add", Sum(1, 2), int)
            with pytest.raises(ShoalError, match="not of the cloud that made this token"):
                await fetch_authority(b.endpoint, bytes(32))

    run(main())


def test_nodes_of_another_cloud_and_removed_nodes_are_refused(tmp_path: Path) -> None:
    async def main() -> None:
        removed: set[str] = set()
        async with (
            cloud_of(tmp_path, admit=lambda node: node not in removed) as (a, b),
            cloud_of(tmp_path, 1) as (foreign,),
        ):
            b.methods.unary("add", add, takes=Sum)
            a.transport.set_peer(foreign.id, foreign.endpoint.host, foreign.endpoint.port)
            with pytest.raises(ForeignCloud, match="is no node of this cloud"):
                await a.transport.call(foreign.id, "add", Sum(1, 2), returns=int)
            foreign.transport.add_authority(b.credentials.authorities[0])
            foreign.transport.set_peer(b.id, b.endpoint.host, b.endpoint.port)
            with pytest.raises(Unreachable, match="does not accept"):
                await foreign.transport.call(b.id, "add", Sum(1, 2), returns=int)
            a.transport.set_peer("e" * 64, b.endpoint.host, b.endpoint.port)
            with pytest.raises(Unreachable, match="another node answers"):
                await a.transport.call("e" * 64, "add", Sum(1, 2), returns=int)
            assert await a.transport.call(b.endpoint, "add", Sum(1, 2), returns=int) == 3
            removed.add(a.id)
            with pytest.raises(Forbidden, match="was removed from this cloud"):
                await a.transport.call(b.endpoint, "add", Sum(1, 2), returns=int)

    run(main())


def test_a_peer_that_talks_rubbish_is_dropped(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            b.methods.unary("add", add, takes=Sum)
            assert await a.transport.call(b.id, "add", Sum(1, 2), returns=int) == 3
            connection = a.transport._links[b.id]._connection
            assert connection is not None
            connection.transport.write(b"\x00\x00\x00\x03abc")
            await until(lambda: connection.lost)
            assert await a.transport.call(b.id, "add", Sum(1, 2), returns=int) == 3
            reader, writer = await asyncio.open_connection("127.0.0.1", b.endpoint.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert len(await reader.read(100)) < 100  # at most a TLS alert
            writer.close()

    run(main())


def test_connections_over_the_limit_and_unfinished_handshakes_are_closed(tmp_path: Path) -> None:
    async def main() -> None:
        limits = ServerLimits(connections=2, handshake=1.5)
        async with cloud_of(tmp_path, server_limits=limits) as (a, b):
            b.methods.unary("add", add, takes=Sum)
            idle = [await asyncio.open_connection("127.0.0.1", b.endpoint.port) for _ in range(2)]
            with pytest.raises(Unreachable):
                await a.transport.call(b.id, "add", Sum(1, 2), returns=int)
            for reader, _ in idle:
                assert await asyncio.wait_for(reader.read(), 10) == b""
            assert await a.transport.call(b.id, "add", Sum(1, 2), returns=int) == 3
            for _, writer in idle:
                writer.close()

    run(main())


def test_protocols_are_negotiated() -> None:
    def theirs(protocol: int, oldest: int) -> Hello:
        return Hello(protocol, oldest, "c", "n")

    assert negotiate(theirs(3, 1), protocol=5, oldest=2) == 3
    assert negotiate(theirs(9, 4), protocol=5, oldest=2) == 5
    with pytest.raises(ProtocolMismatch, match="update Shoal on your node"):
        negotiate(theirs(1, 1), protocol=5, oldest=2)
    with pytest.raises(ProtocolMismatch, match="update Shoal on this node"):
        negotiate(theirs(9, 6), protocol=5, oldest=2)


def test_a_node_that_is_too_old_learns_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):
            monkeypatch.setattr(
                "shoal.node.transport.hello", lambda cloud, node: Hello(0, 0, cloud, node)
            )
            with pytest.raises(ProtocolMismatch, match="refused the connection: your node speaks"):
                await a.transport.call(b.id, "add", Sum(1, 2), returns=int)

    run(main())


def test_endpoints_read_and_write_addresses() -> None:
    assert Endpoint.parse("10.0.0.1:7440") == Endpoint("10.0.0.1", 7440)
    assert Endpoint.parse("[fd00::1]:7440") == Endpoint("fd00::1", 7440)
    assert str(Endpoint("fd00::1", 7440)) == "[fd00::1]:7440"
    for wrong in ("host", ":7440", "host:", "host:99999", "host:x"):
        with pytest.raises(ValueError, match="is no address"):
            Endpoint.parse(wrong)


def test_calls_that_wait_for_a_dial_fail_when_the_way_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path, 1) as (a,):
            with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, says nothing
                b = "b" * 64
                a.transport.set_peer(b, "127.0.0.1", silent.getsockname()[1])
                call = asyncio.create_task(
                    a.transport.call(b, "add", Sum(1, 2), returns=int, timeout=30)
                )
                await until(lambda: a.transport.stats.dials == 1)
                a.transport.disconnect(b)
                with pytest.raises(Unreachable, match="was closed"):
                    await call
                with pytest.raises(Unreachable, match="in time"):
                    await a.transport.call(b, "add", Sum(1, 2), returns=int, timeout=0.2)

    run(main())


def test_calls_and_answers_over_the_limit_are_errors(tmp_path: Path) -> None:
    async def main() -> None:
        async with cloud_of(tmp_path) as (a, b):

            async def much(context: CallContext, args: int) -> bytes:
                return bytes(args)

            b.methods.unary("much", much, takes=int)
            b.methods.unary("add", add, takes=Sum)
            with pytest.raises(TooLarge, match="the call `add` is too large"):
                await a.transport.call(b.id, "add", bytes(17 << 20), returns=int)
            with pytest.raises(TooLarge, match="the answer is too large"):
                await a.transport.call(b.id, "much", 17 << 20, returns=bytes)
            assert len(await a.transport.call(b.id, "much", 15 << 20, returns=bytes)) == 15 << 20
            a.transport.notify(b.id, bytes(17 << 20))
            assert a.transport.stats.dropped == 1

    run(main())
