"""What goes wrong in a run: a few kinds of trouble, drawn from the seed, until all is healed."""

from collections.abc import Callable
from random import Random
from typing import Final

import msgspec

from shoal.core.discovery.contract import StrategyName
from shoal.sim.engine import Mood
from shoal.sim.host import Host
from shoal.sim.membership import Membership
from shoal.sim.network import Network, Weather
from shoal.sim.world import SECOND, World

FAMILIES = (
    "weather",
    "crash",
    "power",
    "partition",
    "oneway",
    "slander",
    "clock",
    "engine",
    "pause",
    "disk",
    "blackout",
    "loss",
    "amnesia",
)


class Plan(msgspec.Struct, frozen=True):
    """What a seed stands for. Times in ns; `rate` is operations a second; `fsync` and `delay`
    are how long commits and messages take at first, in ms. `discovery` is the cloud's."""

    seed: int
    nodes: int
    families: tuple[str, ...]
    rate: float
    troubled: int = 60 * SECOND
    quiet: int = 95 * SECOND
    fsync: float = 1.0
    delay: float = 0.5
    discovery: StrategyName = "view"


#: By the last digit of the seed; a draw would have made other runs of all seeds.
_DISCOVERIES: Final[dict[int, StrategyName]] = {3: "multiple-updates", 6: "random", 9: "single"}


def plan_of(seed: int) -> Plan:
    """Draw the kind of run: mostly 3 to 9 nodes, up to six families of faults."""
    random = Random(f"{seed}/plan")  # noqa: S311 - repeatable is the point
    nodes = random.choice((3, 3, 3, 4, 4, 5, 5, 6, 7, 9))
    count = random.choice((0, 1, 2, 2, 3, 3, 4, 5, 6))
    families = tuple(sorted(random.sample(FAMILIES, count)))
    rate = random.choice((1.0, 2.0, 4.0))
    discovery = _DISCOVERIES.get(seed % 10, "view")
    return Plan(seed, nodes, families, rate=rate, discovery=discovery)


class Faults:
    """Carries out a plan's faults, and heals everything at its end."""

    def __init__(
        self,
        world: World,
        network: Network,
        membership: Membership,
        hosts: list[Host],
        plan: Plan,
    ) -> None:
        self._world = world
        self._network = network
        self._membership = membership
        self._hosts = hosts
        self._plan = plan
        self._random: Random = world.random("faults")
        self._healed = False
        self._doomed: Host | None = None
        network.weather = Weather(delay=plan.delay)
        for host in hosts:
            host.disk.fsync = plan.fsync
        for family in plan.families:
            action: Callable[[], None] = getattr(self, f"_{family}")
            world.after(int(SECOND * self._random.uniform(2, 8)), self._again, action)
        world.at(plan.troubled, self._heal)

    def _again(self, action: Callable[[], None]) -> None:
        if not self._healed:
            action()
            self._world.after(int(SECOND * self._random.uniform(3, 12)), self._again, action)

    def _later(self, least: float, most: float, action: Callable[..., None], *args: object) -> None:
        self._world.after(int(SECOND * self._random.uniform(least, most)), action, *args)

    def _some(self) -> Host:
        return self._random.choice(self._hosts)

    # -- families ------------------------------------------------------------------------------

    def _weather(self) -> None:
        random = self._random
        self._network.weather = Weather(
            delay=random.choice((0.5, 2.0, 20.0, 100.0)),
            loss=random.choice((0.0, 0.02, 0.2)),
            double=random.choice((0.0, 0.1)),
            late=random.choice((0.0, 0.03, 0.1)),
        )

    def _crash(self) -> None:
        host = self._some()
        host.crash()
        self._later(0.1, 12, host.start)

    def _power(self) -> None:
        host = self._some()
        host.power_off()
        self._later(1, 25, self._power_on, host)

    def _power_on(self, host: Host) -> None:
        host.power_on()
        host.start()

    def _loss(self) -> None:
        """One host in a run is lost for good, with its disk, sooner or later; its links first."""
        if self._random.random() < 0.25 and not self._disk_lost():
            host = self._doomed = self._busiest() if self._random.random() < 0.5 else self._some()
            self._network.part([[host.id], [one.id for one in self._hosts if one is not host]])
            self._membership.links_changed()
            self._later(0.1, 4, self._burn, host)

    def _busiest(self) -> Host:
        """The one that keeps the vcluster of the users."""
        for host in self._hosts:
            if host.core is not None and host.core.vclusters[host.default].keeper is not None:
                return host
        return self._some()

    def _burn(self, host: Host) -> None:
        host.lose()
        self._reconnect()

    def _amnesia(self) -> None:
        """One host in a run loses what its disk had, and goes on."""
        if self._random.random() < 0.25 and not self._disk_lost():
            host = self._some()
            host.forget()
            self._later(0.1, 12, host.start)

    def _disk_lost(self) -> bool:
        """Promises hold for the loss of one disk at a time, and there is but one in a run."""
        return self._doomed is not None or any(host.forgot for host in self._hosts)

    def _blackout(self) -> None:
        """All hosts lose power at once, and return within seconds."""
        for host in self._hosts:
            host.power_off()
        for host in self._hosts:
            self._later(1, 6, self._power_on, host)

    def _partition(self) -> None:
        nodes = [host.id for host in self._hosts]
        self._random.shuffle(nodes)
        cut = self._random.randint(1, len(nodes) - 1)
        self._world.note("-", "partition", f"{cut} of {len(nodes)}")
        self._network.part([nodes[:cut], nodes[cut:]])
        self._membership.links_changed()
        self._later(1, 20, self._reconnect)

    def _reconnect(self) -> None:
        self._world.note("-", "reconnect")
        self._network.heal()
        self._membership.links_changed()

    def _oneway(self) -> None:
        for _ in range(self._random.randint(1, len(self._hosts))):
            one, other = self._random.sample(self._hosts, 2)
            self._network.blocked.add((one.id, other.id))
        self._membership.links_changed()
        self._later(1, 15, self._reconnect)

    def _slander(self) -> None:
        host = self._some()
        others = [other.id for other in self._hosts if other is not host]
        self._membership.slander(
            host.id, self._random.sample(others, self._random.randint(1, len(others)))
        )

    def _clock(self) -> None:
        """A clock jumps, by milliseconds or by hours."""
        scale = self._random.choice((0.05, 2, 30, 7200))
        self._some().skew = int(SECOND * self._random.uniform(-scale, scale))

    def _engine(self) -> None:
        engine = self._some().engine
        engine.mood = Mood(
            failure=self._random.choice((0.0, 0.2, 0.6)),
            unknown=self._random.choice((0.0, 0.2)),
        )
        if self._random.random() < 0.4:
            host = self._some()
            if self._random.random() < 0.3:
                host.engine.power_off()
            host.engine.away = True
            self._later(0.01, 2, host.look_now)
            self._later(2, self._random.choice((10, 10, 70)), self._engine_back, host)

    def _engine_back(self, host: Host) -> None:
        host.engine.away = False
        host.look_now()

    def _pause(self) -> None:
        """A daemon is stopped for a while; membership, on its own thread, may not notice."""
        host = self._some()
        host.pause(int(SECOND * self._random.uniform(0.5, 8)))
        if self._random.random() < 0.5:
            others = [other.id for other in self._hosts if other is not host]
            self._membership.slander(host.id, others)

    def _disk(self) -> None:
        self._some().disk.fsync = self._random.choice((0.2, 5.0, 100.0, 1500.0))

    # -- healing -------------------------------------------------------------------------------

    def _heal(self) -> None:
        self._healed = True
        self._world.note("-", "heal")
        self._network.weather = Weather()
        for host in self._hosts:
            host.engine.mood = Mood()
            host.disk.fsync = 1.0
            if host.engine.away:
                self._engine_back(host)
            self._power_on(host)
        self._reconnect()
