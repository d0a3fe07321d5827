"""How long until every other node holds a node for dead whose process was killed."""

import asyncio
import random
import time

from bench.figure import Figure, figure, median
from bench.labs import progress, spread
from bench.memory_cloud import MemoryCloud, memory_cloud

NODES = 20
DEATHS = 9
MEDIAN_GATE, WORST_GATE = 3.0, 5.0  # seconds
SERF = 5.8  # seconds, the best of its trials
_REST = 3.0  # seconds between a node's return and the next death
_SOAK = 20 * 60.0  # seconds
_PATIENCE = 60.0  # seconds


def measure() -> list[Figure]:
    """Median and worst over the deaths of the time until the last of 19 nodes saw it. A node
    that was held for dead while its process ran is a false death."""
    return asyncio.run(_deaths())


def soak() -> list[Figure]:
    """False deaths while nobody dies and two processes keep both cores busy."""
    return asyncio.run(_quiet())


async def _deaths() -> list[Figure]:
    rng = random.Random(1)  # noqa: S311 - the same order every time is what is wanted
    async with memory_cloud(NODES) as cloud:
        progress(f"{NODES} nodes see each other")
        cloud.events.clear()
        taken: list[float] = []
        false_deaths = 0
        for victim in rng.sample(cloud.names, DEATHS):
            await asyncio.sleep(_REST)
            false_deaths += _count_false(cloud, "")
            taken.append(await _death(cloud, victim))
            false_deaths += _count_false(cloud, victim)
    spread(taken, "s")
    return [
        figure("death_seen_by_all_median", median(taken), "s", baseline=SERF, gate=MEDIAN_GATE),
        figure("death_seen_by_all_worst", max(taken), "s", baseline=SERF, gate=WORST_GATE),
        figure("false_deaths", false_deaths, "", gate=0),
    ]


async def _death(cloud: MemoryCloud, victim: str) -> float:
    began = time.monotonic()
    await cloud.kill(victim)
    await _until_all_see(cloud, victim, "down")
    last = max(cloud.seen[observer][victim][1] for observer in cloud.observers(victim))
    await cloud.start(victim)
    await _until_all_see(cloud, victim, "up")
    return last - began


async def _until_all_see(cloud: MemoryCloud, name: str, state: str) -> None:
    async with asyncio.timeout(_PATIENCE):
        while not cloud.all_see(name, state):  # noqa: ASYNC110 - read from pipes meanwhile
            await asyncio.sleep(0.02)


def _count_false(cloud: MemoryCloud, died: str) -> int:
    """Deaths told since the last count, of others than `died`."""
    events = cloud.events.copy()
    cloud.events.clear()
    # A node that has just started tells first how it remembers the others: as down.
    return sum(
        state == "down" and other != died and observer != died
        for observer, other, state, _ in events
    )


async def _quiet() -> list[Figure]:
    async with memory_cloud(NODES) as cloud:
        cloud.events.clear()
        busy = [
            await asyncio.create_subprocess_exec("sh", "-c", "while :; do :; done") for _ in "ab"
        ]
        try:
            await asyncio.sleep(_SOAK)
        finally:
            for process in busy:
                process.kill()
                await process.wait()
        return [figure("false_deaths_under_load", _count_false(cloud, ""), "", gate=0)]
