"""The durable store: order, group commit, failures that leave nothing behind."""

import asyncio
import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cloud_fixture import run, until

from shoal.core.effects import Delete, Put
from shoal.node.store import SqliteStore, StoreFailed


def put(key: str, value: bytes = b"v", space: str = "s") -> Put:
    return Put(space, key, value)


@contextlib.asynccontextmanager
async def opened(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path)
    try:
        yield store
    finally:
        await store.close()


def limit_pages(store: SqliteStore) -> None:
    """Make the disk full: SQLite may not grow its file any more."""
    store._database.execute("PRAGMA max_page_count=1")


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "state" / "store.db"
        async with opened(path) as store:
            await store.commit([put("a", b"1"), put("b", b"2"), put("a", b"1", space="t")])
            await store.commit([put("a", b"3"), Delete("s", "b"), Delete("s", "never")])
            await store.commit([])
        async with opened(path) as store:
            assert sorted(store.load()) == [("s", "a", b"3"), ("t", "a", b"1")]
        assert path.stat().st_mode & 0o077 == 0

    run(main())


def test_commits_made_together_share_transactions_and_keep_their_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "store.db") as store:
            statements: list[str] = []
            store._database.set_trace_callback(statements.append)
            order: list[int] = []

            async def commit(number: int) -> None:
                await store.commit([put("same", str(number).encode())])
                order.append(number)

            await asyncio.gather(*(commit(number) for number in range(500)))
            assert order == list(range(500))
            assert list(store.load()) == [("s", "same", b"499")]
            assert statements.count("COMMIT") < 100

    run(main())


def test_a_full_disk_fails_all_until_the_state_is_loaded_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "store.db") as store:
            await store.commit([put("a", b"old")])
            assert store.healthy
            limit_pages(store)
            large = [put(str(n), b"x" * 4096) for n in range(50)]
            first = asyncio.create_task(store.commit([put("a", b"new"), *large]))
            second = asyncio.create_task(store.commit([put("b")]))
            with pytest.raises(StoreFailed, match="is full: free some space"):
                await first
            with pytest.raises(StoreFailed):
                await second
            with pytest.raises(StoreFailed, match="until the state is reloaded"):
                await store.commit([put("c")])
            assert not store.healthy
            assert "full" in store.failure
            store._database.execute("PRAGMA max_page_count=1000000")
            assert list(store.load()) == [("s", "a", b"old")]
            await store.commit([put("c")])
            assert store.healthy
            assert store.free_bytes() > 0

    run(main())


def test_a_stalled_disk_is_visible_and_an_idle_one_is_not_stalled(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "store.db"
        async with opened(path) as store:
            await store.commit([put("a")])
            assert store.stalled() == 0.0
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            commit = asyncio.create_task(store.commit([put("b")]))
            await until(lambda: store.stalled() > 0.2)
            other.execute("COMMIT")
            other.close()
            await commit
            assert store.stalled() == 0.0

    run(main())


def test_a_caller_that_gives_up_loses_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path / "store.db") as store:
            commit = asyncio.create_task(store.commit([put("a")]))
            await asyncio.sleep(0)
            commit.cancel()
            await store.commit([put("b")])
            assert [key for _, key, _ in store.load()] == ["a", "b"]
            assert store.stalled() == 0.0

    run(main())


def test_an_unusable_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database at all, whatever its name says" * 20)
    with pytest.raises(StoreFailed, match="cannot be written"):
        SqliteStore(path)


WRITER = """
import asyncio, sys
from pathlib import Path
from shoal.core.effects import Put
from shoal.node.store import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    for number in range(1_000_000):
        await store.commit([Put("s", "n", str(number).encode())])
        print(number, flush=True)

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(50):
            acknowledged = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read().split()
        acknowledged = int(rest[-1]) if rest else acknowledged

    async def main() -> None:
        async with opened(path) as store:
            ((_, _, value),) = store.load()
            assert int(value) >= acknowledged

    run(main())
