"""Nodes that crash and nodes that join, at random moments."""

from bisect import insort
from typing import TYPE_CHECKING

from shoal.core.ring.chord import Chord
from shoal.sim.experiments.experiment import HOUR, SECOND
from shoal.sim.experiments.workloads import draw_for, exponential

if TYPE_CHECKING:
    from shoal.sim.experiments.node import Node
    from shoal.sim.experiments.world import World

_STREAM = 0xC4
_SETTLING = SECOND
"""How often a newcomer looks whether it is in the ring, and can begin to offer."""


class Churner:
    """Crashes and joins as two independent Poisson processes.

    A crashed node is gone with all that it ran; only its counters stay. Membership (SWIM) is not
    simulated message by message: after the detection time those of the dead node's site that it
    concerns are told, its neighbours on the ring and its partners in discovery; others find out by
    their own time-outs.
    """

    def __init__(self, world: "World") -> None:
        experiment = world.experiment
        self._world = world
        self._draw = draw_for(experiment.seed, _STREAM)
        self._crash_rate = experiment.churn.crashes * experiment.nodes
        self._join_rate = experiment.churn.joins * experiment.nodes
        self._detection = experiment.churn.detection
        self.crashes = 0
        self.joins = 0

    def begin(self) -> None:
        """Schedule the first of each."""
        self._next(self._crash_rate, self._crash)
        self._next(self._join_rate, self._join)

    def _next(self, rate: float, action: object) -> None:
        if rate:
            delay = round(exponential(self._draw, HOUR / rate))
            self._world.later(delay, (-1, action, None))  # type: ignore[arg-type]

    def _crash(self, _nothing: object) -> None:
        world = self._world
        if len(world.order) > 2:
            position = world.order.pop(self._draw.below(len(world.order)))
            node = world.nodes.pop(position)
            self.crashes += 1
            if self._detection:
                world.later(self._detection, (-1, self._tell, node))
        self._next(self._crash_rate, self._crash)

    def _tell(self, dead: "Node") -> None:
        world = self._world
        order = world.order
        at = world.place(dead.own)
        for i in range(-world.experiment.ring.successors, 1):
            neighbour = world.nodes[order[(at + i) % len(order)]]
            if neighbour.site == dead.site and neighbour.chord is not None:
                neighbour.chord.down(dead.own)
        world.hints.died(dead)

    def _join(self, _nothing: object) -> None:
        world = self._world
        contact = world.order[self._draw.below(len(world.order))]
        node = world.add(world.maker.position())
        insort(world.order, node.own)
        node.chord = chord = Chord(node, node.own, world.maker.ring)
        chord.join(contact)
        self.joins += 1
        world.later(_SETTLING, (-1, self._start, node))
        self._next(self._join_rate, self._join)

    def _start(self, node: "Node") -> None:
        """Offers need the ring, so a newcomer makes them once it is in it."""
        assert node.chord is not None
        if self._world.nodes.get(node.own) is not node:
            return
        if node.chord.successors:
            node.discovery.start()
        else:
            self._world.later(_SETTLING, (-1, self._start, node))
