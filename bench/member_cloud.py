"""A cloud of bare members, many per process, in a network of its own."""

import asyncio
import contextlib
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Literal

import msgspec

from bench.labs import progress
from bench.own_network import OwnNetwork, own_network
from shoal.lab.system import environment
from shoal.node.membership import new_gossip_key

_WINDOW = 0.5  # seconds
_PATIENCE = 600.0  # seconds, for the cloud to assemble
#: News at a time: newcomers times members that are told of them. With more, or if the next ones
#: came while most are still busy telling each other, two cores could not keep up, and those who are
#: late would be suspected, which is more news.
_NEWS = 4000
_AT_ONCE = 16  # streams that a member takes from one address
#: Datagrams that a member sends in a second: 5 for probes and their answers, more while it has
#: news to tell. Newcomers tell all that they were told by their seed, for about a minute.
_BUSY, _QUIET = 7.5, 5.5
_CHANCE = 60  # datagrams of all in a second
#: kinship copies a member's list whenever it changes. With room in glibc's cache for the pieces of
#: a thousand entries that takes less time.
_MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=20000"}


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """What one member was told of another one, at a moment of CLOCK_MONOTONIC in seconds."""

    state: Literal["suspect", "down"]
    observer: int
    other: int
    at: float


def groups(count: int, processes: int, alone: int) -> list[range]:
    """Who shares a process: 0 to `count` - 1 over `processes` in equal parts, but for the last
    `alone`, each of which has one for itself."""
    crowd = count - alone
    bounds = [crowd * number // processes for number in range(processes + 1)]
    shared = [range(a, b) for a, b in itertools.pairwise(bounds)]
    return shared + [range(number, number + 1) for number in range(crowd, count)]


def newcomers(there: int) -> int:
    """How many members may start together where so many are already."""
    return max(1, min(_NEWS // there, _AT_ONCE)) if there else 1


def seen_by(sightings: Sequence[Sighting], victim: int) -> dict[int, float]:
    """When each observer first held `victim` for dead."""
    first: dict[int, float] = {}
    for one in sightings:
        if one.state == "down" and one.other == victim:
            first.setdefault(one.observer, one.at)
    return first


def against_the_living(
    sightings: Sequence[Sighting], killed: Mapping[int, float], state: str
) -> int:
    """How often a member was held for `state` that was not dead by then; `killed` says when each
    of the dead died."""
    never = float("inf")
    return sum(one.state == state and one.at < killed.get(one.other, never) for one in sightings)


class MemberCloud:
    """`sightings` are all that was told so far; `living` the members whose process runs."""

    def __init__(self, network: OwnNetwork) -> None:
        self.network = network
        self.sightings: list[Sighting] = []
        self.living: set[int] = set()
        self._key = new_gossip_key()
        self._processes: dict[int, asyncio.subprocess.Process] = {}  # by their first member
        self._known: dict[int, tuple[int, int]] = {}  # lowest number known, members
        self._readers: set[asyncio.Task[None]] = set()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes.values()]

    async def start(self, members: range) -> None:
        """Start a process, a few members at a time, waiting until all is quiet after each few."""
        process = await asyncio.create_subprocess_exec(
            *self.network.inside(sys.executable, "-m", "bench.member_group"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment() | _MALLOC,
        )
        assert process.stdin is not None
        process.stdin.write(self._key.hex().encode() + b"\n")
        self._processes[members.start] = process
        self._readers.add(asyncio.create_task(self._read(members.start, process)))
        first = members.start
        while first < members.stop:
            few = range(first, min(first + newcomers(len(self.living)), members.stop))
            self._known.pop(members.start, None)
            process.stdin.write(f"{first} {len(few)}\n".encode())
            self.living.update(few)
            await self.until_all_know()
            await self.calm(_BUSY)
            first = few.stop

    async def _read(self, first: int, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            words = json.loads(line)
            if words[0] == "knows":
                self._known[first] = (words[1], words[2])
            else:
                self.sightings.append(msgspec.convert(words, Sighting))
        if first in self._processes:
            raise RuntimeError(f"the process of member {first} has ended by itself")

    def _check(self) -> None:
        """Raise what a reader met."""
        for reader in self._readers:
            if reader.done():
                reader.result()

    async def until_all_know(self) -> None:
        """Wait until everyone knows as many others as there are. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            while not self._all_know():
                self._check()
                await asyncio.sleep(0.1)

    def _all_know(self) -> bool:
        everyone = len(self.living)
        there = sum(members for _, members in self._known.values())
        return there == everyone and all(n == everyone - 1 for n, _ in self._known.values())

    async def calm(self, most: float = _QUIET) -> None:
        """Wait until members send `most` datagrams a second; by default, until there is no more
        news. Raises TimeoutError."""
        async with asyncio.timeout(_PATIENCE):
            sent = float("inf")
            while sent > most * len(self.living) + _CHANCE:
                self._check()
                before, began = self.network.sent()["datagrams"], time.monotonic()
                await asyncio.sleep(_WINDOW)
                after = self.network.sent()["datagrams"]
                sent = after.since(before).packets / (time.monotonic() - began)

    async def until_down(self, victim: int, observers: Collection[int], timeout: float) -> None:
        """Wait until all hold `victim` for dead. Raises TimeoutError."""
        try:
            async with asyncio.timeout(timeout):
                while not seen_by(self.sightings, victim).keys() >= set(observers):
                    self._check()
                    await asyncio.sleep(0.1)
        except TimeoutError:
            seen = len(seen_by(self.sightings, victim).keys() & set(observers))
            raise TimeoutError(
                f"{seen} of {len(observers)} hold member {victim} for dead after {timeout:.0f} s"
            ) from None

    async def kill(self, member: int) -> None:
        """As kill -9, of one that has a process for itself."""
        process = self._processes.pop(member)
        process.kill()
        self.living.remove(member)
        del self._known[member]
        await process.wait()

    async def stop(self) -> None:
        processes, self._processes = self._processes, {}
        for process in processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.gather(*self._readers, return_exceptions=True)


@contextlib.asynccontextmanager
async def member_cloud(members: Sequence[range]) -> AsyncIterator[MemberCloud]:
    """All started and known to each other, a process for each range."""
    with own_network() as network:
        cloud = MemberCloud(network)
        try:
            for group in members:
                await cloud.start(group)
                suspected = against_the_living(cloud.sightings, {}, "suspect")
                progress(f"{len(cloud.living)} members, suspicions so far: {suspected}")
            yield cloud
        finally:
            await cloud.stop()
