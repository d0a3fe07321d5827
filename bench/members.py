"""How long until 999 members hold one for dead whose process was killed, and what an idle second
costs each. `python -m bench.members COUNT` does the same with fewer, where 1,000 are too many for
the machine.
"""

import asyncio
import sys
import time

import msgspec

from bench.figure import Figure, figure, median, table
from bench.labs import progress, spread
from bench.member_cloud import MemberCloud, against_the_living, groups, member_cloud, seen_by
from bench.own_network import Traffic
from bench.processor import seconds_of, seconds_of_all

MEMBERS = 1000
PROCESSES = 3
DEATHS = 7
MEDIAN_GATE, WORST_GATE = 6.0, 9.0  # seconds
_SETTLE = 75.0  # seconds in which the last to come tell all that their seed told them
_WATCH = 60.0  # seconds
_REST = 10.0  # seconds between deaths
_PATIENCE = 60.0  # seconds


def soak() -> list[Figure]:
    return asyncio.run(_measure(MEMBERS))


async def _measure(count: int) -> list[Figure]:
    began = time.monotonic()
    async with member_cloud(groups(count, PROCESSES, DEATHS)) as cloud:
        progress(f"{count} members know each other after {time.monotonic() - began:.0f} s")
        await cloud.calm()
        await asyncio.sleep(_SETTLE)
        idle = await _idle(cloud)
        deaths = await _deaths(cloud, range(count - DEATHS, count))
    progress(f"suspicions of living members: {deaths.suspicions}")
    spread(deaths.by_all, "s")
    return [
        figure(
            f"members_{count}_death_seen_by_all_median",
            median(deaths.by_all),
            "s",
            gate=MEDIAN_GATE,
        ),
        figure(
            f"members_{count}_death_seen_by_all_worst", max(deaths.by_all), "s", gate=WORST_GATE
        ),
        figure(f"members_{count}_death_seen_by_one_median", median(deaths.by_one), "s"),
        figure(f"members_{count}_false_deaths", deaths.false, "", gate=0),
        *idle,
    ]


class Deaths(msgspec.Struct):
    """Seconds until the last observer saw each death, and until each of them did; how often the
    living were held for dead or suspected, from the first start on."""

    by_all: list[float]
    by_one: list[float]
    false: int = 0
    suspicions: int = 0


async def _deaths(cloud: MemberCloud, victims: range) -> Deaths:
    deaths = Deaths([], [])
    killed: dict[int, float] = {}
    load = Load(cloud)
    for victim in victims:
        killed[victim] = time.monotonic()
        await cloud.kill(victim)
        await cloud.until_down(victim, cloud.living, _PATIENCE)
        taken = [at - killed[victim] for at in seen_by(cloud.sightings, victim).values()]
        deaths.by_all.append(max(taken))
        deaths.by_one += taken
        await asyncio.sleep(_REST)
    load.show("deaths")
    await cloud.until_all_know()
    deaths.false = against_the_living(cloud.sightings, killed, "down")
    deaths.suspicions = against_the_living(cloud.sightings, killed, "suspect")
    return deaths


async def _idle(cloud: MemberCloud) -> list[Figure]:
    """What members send and use while nothing happens."""
    load, before = Load(cloud), cloud.network.sent()
    await asyncio.sleep(_WATCH)
    after = cloud.network.sent()
    passed, used = load.show("idle")
    member_seconds = passed * len(cloud.living)

    def each_second(name: str) -> Traffic:
        sent = after[name].since(before[name])
        progress(f"{name} of all: {sent.packets} packets, {sent.bytes} bytes in {passed:.1f} s")
        return sent

    datagrams, streams = each_second("datagrams"), each_second("streams")
    return [
        figure("member_datagrams_idle", datagrams.packets / member_seconds, "1/s"),
        figure("member_datagram_bytes_idle", datagrams.bytes / member_seconds, "B/s"),
        figure("member_stream_bytes_idle", streams.bytes / member_seconds, "B/s"),
        figure("member_cpu_idle", used * 100 / member_seconds, "%"),
    ]


class Load:
    """How busy the machine is from now on."""

    def __init__(self, cloud: MemberCloud) -> None:
        self._cloud = cloud
        self._began = self._now()

    def _now(self) -> tuple[float, dict[int, float], float]:
        return time.monotonic(), {p: seconds_of(p) for p in self._cloud.pids}, seconds_of_all()

    def show(self, what: str) -> tuple[float, float]:
        """Tell people. Returns the seconds that passed, and those of processor time that the
        members' processes used, but for the dead ones'."""
        (began, before, busy_before), (now, after, busy) = self._began, self._now()
        passed = now - began
        used = sum(seconds - before[pid] for pid, seconds in after.items())
        progress(
            f"{what}, {passed:.0f} s: members used {used / passed:.2f} cores, "
            f"everything on the machine {(busy - busy_before) / passed:.2f}"
        )
        return passed, used


if __name__ == "__main__":
    sys.stdout.write(table(asyncio.run(_measure(int(sys.argv[1])))) + "\n")
