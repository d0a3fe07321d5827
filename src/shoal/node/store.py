"""The node's disk: small values under (space, key) in SQLite, written by a thread of its own.

Commits that wait while a transaction is being written share the next one (group commit), in
order. After a failed write what is in memory is ahead of the disk, so every commit fails until
`load()` has been called: whoever holds state must first go back to what is stored.
"""

import asyncio
import contextlib
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from shoal.core.effects import Delete, Put
from shoal.model.errors import Unavailable
from shoal.node.files import sync_directory

Write = Put | Delete

DATABASE = "records.db"  # in the state directory

_BATCH = 4096  # writes in one transaction, so that one commit never waits for a flood
_BUSY = 5.0  # seconds to wait for a foreign lock, such as a backup's
_CLOSE = 30.0  # seconds for what is queued to reach the disk

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  space TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (space, key)
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO records VALUES (?, ?, ?)"
_DELETE = "DELETE FROM records WHERE space = ? AND key = ?"


class StoreFailed(Unavailable):
    """A write did not reach the disk: it is full or broken."""


class KeyValue(Protocol):
    """A durable map. Values are replaced whole."""

    def load(self) -> Iterator[tuple[str, str, bytes]]:
        """Everything stored, as (space, key, value). Raises StoreFailed."""
        ...

    async def commit(self, writes: Sequence[Write]) -> None:
        """Return when `writes` and all commits before them are on disk, all or none of them.
        Raises StoreFailed; then nothing of it, nor of later commits, is stored."""
        ...


class StoreStats(msgspec.Struct):
    """Since the start: transactions on disk, the commits and single writes in them, and the
    seconds that they took in all; transactions that failed."""

    transactions: int = 0
    commits: int = 0
    writes: int = 0
    seconds: float = 0.0
    failures: int = 0


class _Commit(msgspec.Struct):
    writes: Sequence[Write]
    done: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    epoch: int  # how often the state had been loaded after a failure


class SqliteStore:
    """KeyValue in the file `path`. Used from one event loop at a time. Raises StoreFailed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.stats = StoreStats()  # changed on the writer's thread only
        self._queue: queue.SimpleQueue[_Commit | None] = queue.SimpleQueue()
        self._waiting = 0  # commits; changed on the event loop only
        self._progress = time.monotonic()
        self._failure = ""
        self._epoch = 0
        self._failed_epoch = -1  # commits of this epoch and before are lost
        self._closed = False
        self._database = self._open()
        self._thread = threading.Thread(target=self._run, name="shoal-store", daemon=True)
        self._thread.start()

    # -- KeyValue -------------------------------------------------------------------------------

    def load(self) -> Iterator[tuple[str, str, bytes]]:
        self._epoch = self._failed_epoch + 1
        self._failure = ""
        return self._read()

    def _read(self) -> Iterator[tuple[str, str, bytes]]:
        try:
            with contextlib.closing(self._connect()) as database:
                yield from database.execute("SELECT space, key, value FROM records")
        except sqlite3.Error as error:
            raise self._error(error) from error

    async def commit(self, writes: Sequence[Write]) -> None:
        if self._closed:
            raise StoreFailed("the store is closed")
        loop = asyncio.get_running_loop()
        if not self._waiting:
            self._progress = time.monotonic()  # the wait that matters begins now
        done = loop.create_future()
        self._waiting += 1
        self._queue.put(_Commit(writes, done, loop, self._epoch))
        # Shielded: a caller that gives up must not hide from us that the write ended.
        await asyncio.shield(done)

    # -- health ---------------------------------------------------------------------------------

    @property
    def failure(self) -> str:
        """Why the last write failed; "" while all is well."""
        return self._failure

    @property
    def healthy(self) -> bool:
        return not self._failure

    def stalled(self) -> float:
        """Seconds for which commits have waited without any being done; 0 when none waits."""
        return time.monotonic() - self._progress if self._waiting else 0.0

    def free_bytes(self) -> int:
        """Room on the disk, so that writes can be refused in time."""
        return shutil.disk_usage(self._path.parent).free

    async def close(self) -> None:
        """Write what is queued, then stop."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join, _CLOSE)

    # -- the writer's thread --------------------------------------------------------------------

    def _run(self) -> None:
        last = False
        while not last:
            batch, last = self._next_batch()
            lost = [commit for commit in batch if commit.epoch <= self._failed_epoch]
            good = batch[len(lost) :]  # epochs grow along the queue
            text = f"{self._failure}; nothing is stored until the state is reloaded"
            self._report(lost, StoreFailed(text))
            if good:
                self._report(good, self._write(good))
        self._database.close()

    def _report(self, batch: list[_Commit], error: StoreFailed | None) -> None:
        if batch:
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                batch[0].loop.call_soon_threadsafe(self._finish, batch, error)

    def _next_batch(self) -> tuple[list[_Commit], bool]:
        """What waits, at least one commit; and whether it is the last of all."""
        batch: list[_Commit] = []
        size = 0
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            size += len(item.writes)
            if size >= _BATCH:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _write(self, batch: list[_Commit]) -> StoreFailed | None:
        database = self._database
        began = time.monotonic()
        try:
            database.execute("BEGIN IMMEDIATE")
            for commit in batch:
                _apply(database, commit.writes)
            database.execute("COMMIT")
        except Exception as error:  # whatever it is, the writer must live to tell it
            failed = self._error(error)
            self.stats.failures += 1
            self._failure, self._failed_epoch = failed.text, batch[-1].epoch
            import structlog  # late: whoever just joins a cloud starts faster without it

            log = structlog.get_logger("shoal.store")
            log.error("a write failed", error=failed.text)
            with contextlib.suppress(sqlite3.Error):
                if database.in_transaction:
                    database.execute("ROLLBACK")
            return failed
        self._count(batch, time.monotonic() - began)
        return None

    def _count(self, batch: list[_Commit], seconds: float) -> None:
        stats = self.stats
        stats.transactions += 1
        stats.commits += len(batch)
        stats.writes += sum(len(commit.writes) for commit in batch)
        stats.seconds += seconds

    def _finish(self, batch: list[_Commit], error: StoreFailed | None) -> None:
        self._progress = time.monotonic()
        self._waiting -= len(batch)
        for commit in batch:
            if commit.done.done():
                continue
            if error is None:
                commit.done.set_result(None)
            else:
                commit.done.set_exception(StoreFailed(error.text))
                commit.done.exception()  # a caller that gave up is no unhandled error

    # -- SQLite ---------------------------------------------------------------------------------

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            database = self._connect()
            database.execute(_SCHEMA)
            sync_directory(self._path.parent)
        except (sqlite3.Error, OSError) as error:
            raise self._error(error) from error
        return database

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(
            self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        (mode,) = database.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            database.close()
            raise sqlite3.OperationalError("this file system cannot hold a write-ahead log")
        database.execute("PRAGMA synchronous=FULL")
        return database

    def _error(self, error: Exception) -> StoreFailed:
        code = getattr(error, "sqlite_errorname", "")
        if code == "SQLITE_FULL":
            return StoreFailed(f"the disk of {self._path.parent} is full: free some space")
        return StoreFailed(f"{self._path} cannot be written: {error} {code}".rstrip())


def _apply(database: sqlite3.Connection, writes: Sequence[Write]) -> None:
    for write in writes:
        if isinstance(write, Put):
            database.execute(_PUT, (write.space, write.key, write.value))
        else:
            database.execute(_DELETE, (write.space, write.key))
