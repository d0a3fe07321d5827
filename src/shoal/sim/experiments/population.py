"""What nodes are: where they stand on the circle, in which site, with which machine and cores."""

from shoal.core.discovery.contract import Demand
from shoal.core.discovery.presets import CARAVELA, machine
from shoal.core.ring.circle import SIZE
from shoal.core.ring.port import Draw
from shoal.core.ring.settings import Settings
from shoal.sim.experiments.cores import equip, settings_of
from shoal.sim.experiments.experiment import Experiment
from shoal.sim.experiments.network import Sites
from shoal.sim.experiments.node import Node
from shoal.sim.experiments.workloads import draw_for

_POSITIONS, _MACHINES, _SITES, _CORES = range(1, 5)


class Maker:
    """Makes nodes, each draw from a sequence of its own, so that sites do not change machines."""

    def __init__(self, experiment: Experiment, sites: Sites) -> None:
        seed = experiment.seed
        self._experiment = experiment
        self._sites = sites
        self._positions = draw_for(seed, _POSITIONS)
        self._machines = draw_for(seed, _MACHINES)
        self._draw_sites = draw_for(seed, _SITES)
        self._cores = draw_for(seed, _CORES)
        self.discovery = settings_of(experiment)
        ring = experiment.ring
        self.ring = Settings(
            successors=ring.successors,
            base=ring.base,
            mode=ring.mode,
            maintenance=experiment.maintains,
            find_timeout=Settings().find_timeout if experiment.maintains else 0,
        )

    def positions(self) -> list[int]:
        """The positions of the first nodes, ascending: spaced evenly as in the original, or drawn.

        Even ones are SIZE // nodes apart from 0 on.
        """
        count = self._experiment.nodes
        if self._experiment.ring.positions == "even":
            step = SIZE // count
            return [i * step for i in range(count)]
        found: set[int] = set()
        while len(found) < count:
            found.add(self._positions.bits())
        return sorted(found)

    def position(self) -> int:
        """The position of a node that joins."""
        return self._positions.bits()

    def machine(self) -> Demand:
        """The resources of the next node."""
        return machine(CARAVELA, self._machines)

    def site(self) -> int:
        """The site of the next node."""
        return self._sites.choose(self._draw_sites)

    def equip(self, node: Node) -> None:
        """Give a node its cores of discovery and launching."""
        equip(node, self._experiment.strategy, self.discovery, Draw(self._cores.bits()))
