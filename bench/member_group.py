"""Bare members of one cloud, many in one process: `python -m bench.member_group`.

No daemon around them: membership alone, with the daemon's settings, but without the tag that names
the port of RPC: kinship copies its list, tags included, at each change. The first line of input is
the gossip key (hex), each further one starts members: `FIRST COUNT`. The process ends with its
input. Writes JSON lines: `["suspect" or "down", observer, other, CLOCK_MONOTONIC in seconds]` as
its members are told, and `["knows", lowest number of others that one of its members knows, number
of its members]` when that has changed.
"""

import asyncio
import gc
import json
import random
import sys
import time

import uvloop

from shoal.node.kinship_membership import KinshipMembership
from shoal.node.membership import (
    MemberDown,
    MemberLeft,
    MembershipEvent,
    MemberSuspect,
    MemberUp,
)
from shoal.node.rpc import Endpoint
from shoal.node.serving import configure_logging

_CLOUD = "c" * 32
_PORT = 7442
_LOOK = 0.25  # seconds
_TRIES = 5


def endpoint(number: int) -> Endpoint:
    """Where a member listens; numbers count from 0."""
    return Endpoint(f"127.45.{number // 250}.{number % 250 + 1}", _PORT)


class Group:
    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: dict[int, set[int]] = {}
        self._readers: list[asyncio.Task[None]] = []

    async def grow(self, numbers: range) -> None:
        """Start members and let them join those that were there before, all at the same time: one
        packet of gossip then tells of many."""
        await asyncio.gather(*(self._start(number, numbers.start) for number in numbers))

    async def _start(self, number: int, before: int) -> None:
        membership = KinshipMembership(
            node_id=f"{number:064x}",
            cloud=_CLOUD,
            bind=endpoint(number),
            keys=[self._key],
            meta={},
        )
        await membership.start()
        self._known[number] = set()
        self._readers.append(asyncio.create_task(self._read(number, membership)))
        seeds = random.Random(number)  # noqa: S311 - not all ask the same one
        for _ in range(_TRIES if number else 0):
            if await membership.join([endpoint(seeds.randrange(max(before, 1)))]):
                return
        if number:
            raise SystemExit(f"member {number}: no seed answered {_TRIES} times")

    async def _read(self, number: int, membership: KinshipMembership) -> None:
        async for event in membership.events():
            self._take(number, event, time.monotonic())

    def _take(self, observer: int, event: MembershipEvent, at: float) -> None:
        other = int(event.node_id, 16)
        match event:
            case MemberUp():
                self._known[observer].add(other)
            case MemberDown() | MemberLeft():
                self._known[observer].discard(other)
                _tell("down", observer, other, at)
            case MemberSuspect():
                _tell("suspect", observer, other, at)

    async def watch(self) -> None:
        """Until a reader fails."""
        told = None
        while not any(reader.done() for reader in self._readers):
            now = (min(map(len, self._known.values()), default=0), len(self._known))
            if now != told:
                _tell("knows", *now)
                told = now
            await asyncio.sleep(_LOOK)
        await asyncio.gather(*self._readers)


def _tell(*words: str | float) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def _obey(group: Group) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        first, count = map(int, line.split())
        await group.grow(range(first, first + count))


async def _serve(key: bytes) -> None:
    group = Group(key)
    watching = asyncio.create_task(group.watch())
    obeying = asyncio.create_task(_obey(group))
    done, _ = await asyncio.wait({watching, obeying}, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


if __name__ == "__main__":
    configure_logging()
    gc.disable()  # hundreds of thousands of objects, none of them in a cycle
    uvloop.run(_serve(bytes.fromhex(sys.stdin.readline())))
