"""From a workload's operations to requests at nodes, and from their outcomes to figures."""

from array import array
from typing import TYPE_CHECKING

from shoal.sim.experiments.metrics import PARTS
from shoal.sim.experiments.wheel import TICK
from shoal.sim.experiments.workloads import Deploy, Operation, Workload, draw_for, exponential

if TYPE_CHECKING:
    from shoal.sim.experiments.node import Node
    from shoal.sim.experiments.world import World


class Feeder:
    """Injects requests and ends them again.

    The parts of a request are placed one after another, on different nodes; if one finds no
    place, those before it are ended and the request has failed.
    """

    __slots__ = (
        "_lifetime",
        "_open",
        "_pull",
        "_pull_images",
        "_running",
        "_seed",
        "_workload",
        "_world",
        "orphans",
        "stops",
    )

    def __init__(self, world: "World", workload: Workload) -> None:
        containers = world.experiment.containers
        self._world = world
        self._workload = workload
        self._lifetime = containers.lifetime
        self._pull = containers.pull // TICK
        self._pull_images = containers.images
        self._seed = world.experiment.seed
        self._open: dict[int, tuple[Deploy, list[int]]] = {}
        self._running: dict[int, array[int]] = {}
        self.stops = 0
        self.orphans = 0

    def tick(self, number: int) -> None:
        """Schedule what the workload says about its tick `number`, then the next tick, unless the
        run ends there."""
        world = self._world
        if number * self._workload.interval >= world.experiment.duration:
            return
        for operation in self._workload.operations(number):
            world.later(operation.at - world.now, (-1, self._carry_out, operation))
        world.later((number + 1) * self._workload.interval - world.now, (-1, self.tick, number + 1))

    def _carry_out(self, operation: Operation) -> None:
        if isinstance(operation, Deploy):
            self._deploy(operation)
        else:
            self._stop(operation.group)

    def _deploy(self, operation: Deploy) -> None:
        world = self._world
        node = world.entry(operation.entry)
        row = world.requests.add(
            now=world.wheel.tick,
            entry=node.index,
            group=operation.group,
            demands=operation.demands,
        )
        self._open[row] = (operation, [])
        node.launcher.submit(row + 1 << PARTS, operation.demands[0])

    def placed(self, node: "Node", token: int, supplier: int | None) -> None:
        """The outcome of one part of a request."""
        row = (token >> PARTS) - 1
        operation, suppliers = self._open[row]
        if supplier is None:
            del self._open[row]
            for part in range(len(suppliers)):
                node.launcher.stop(row + 1 << PARTS | part)
            self._world.requests.end(row, now=self._world.wheel.tick, ok=False, running=-1)
            return
        suppliers.append(supplier)
        part = len(suppliers)
        if part < len(operation.demands):
            token = row + 1 << PARTS | part
            node.launcher.submit(token, operation.demands[part], suppliers)
        else:
            del self._open[row]
            self._succeeded(row, operation, suppliers)

    def _succeeded(self, row: int, operation: Deploy, suppliers: list[int]) -> None:
        world = self._world
        ready = world.wheel.tick + self._pulled(operation.entry, suppliers)
        world.requests.end(row, now=world.wheel.tick, ok=True, running=ready)
        running = self._running.get(operation.group)
        if running is None:
            running = self._running[operation.group] = array("i")
        running.append(row)
        lifetime = operation.lifetime or self._drawn_lifetime(operation.entry)
        if lifetime:
            world.later((ready - world.wheel.tick) * TICK + lifetime, (-1, self._expire, row))

    def _pulled(self, bits: int, suppliers: list[int]) -> int:
        """How many ticks the slowest node takes to have the image."""
        if not self._pull:
            return 0
        image = draw_for(bits, 1).below(self._pull_images)
        missing = False
        for supplier in suppliers:
            node = self._world.nodes.get(supplier)
            if node is not None:
                if node.images is None:
                    node.images = set()
                missing = missing or image not in node.images
                node.images.add(image)
        return self._pull if missing else 0

    def _drawn_lifetime(self, bits: int) -> int:
        return round(exponential(draw_for(bits, 2), self._lifetime)) if self._lifetime else 0

    def _stop(self, group: int) -> None:
        running = self._running.get(group)
        over = self._world.requests.over
        while running:
            row = running.pop()
            if not over[row]:
                self._end(row)
                return

    def _expire(self, row: int) -> None:
        if not self._world.requests.over[row]:
            self._end(row)

    def _end(self, row: int) -> None:
        world = self._world
        world.requests.over[row] = 1
        self.stops += 1
        node = world.members[world.requests.entry[row]]
        if node.own not in world.nodes:
            self.orphans += 1
            return
        for part in range(world.requests.containers[row]):
            node.launcher.stop(row + 1 << PARTS | part)
