"""Look-ups over whole rings: right in every mode and base, and within log n hops."""

from bisect import bisect_left

import pytest
from ring_network import SECOND, Network

from shoal.core.ring.chord import Settings
from shoal.core.ring.port import Draw
from shoal.core.ring.settings import Mode


@pytest.mark.parametrize("mode", ["recursive", "iterative"])
@pytest.mark.parametrize(("base", "mean", "worst"), [(2, 5.0, 10), (4, 4.0, 8), (16, 3.0, 5)])
def test_look_ups_find_the_owner(mode: Mode, base: int, mean: float, worst: int) -> None:
    network = Network(1, Settings(base=base, mode=mode, maintenance=False))
    draw = Draw(2)
    ring = sorted(draw.bits() for _ in range(500))
    network.settle(ring)
    hops = []
    for _ in range(300):
        key = draw.bits()
        nodes, count = network.look_up(ring[draw.below(500)], key, 4)
        at = bisect_left(ring, key)
        assert nodes == tuple(ring[(at + i) % 500] for i in range(4))
        hops.append(count)
    assert sum(hops) / len(hops) < mean
    assert max(hops) <= worst


@pytest.mark.parametrize("size", range(1, 8))
def test_small_rings_find_every_owner(size: int) -> None:
    """Also of the nodes' own positions and of those right beside them."""
    network = Network(1, Settings(successors=3, maintenance=False))
    ring = [(i + 1) * 1000 for i in range(size)]
    network.settle(ring)
    for own in ring:
        for key in [node + beside for node in ring for beside in (-1, 0, 1)]:
            owner = ring[bisect_left(ring, key) % size]
            assert network.look_up(own, key)[0] == (owner,), (own, key)


@pytest.mark.parametrize("mode", ["recursive", "iterative"])
def test_loss_costs_time_but_no_look_up(mode: Mode) -> None:
    network = Network(3, Settings(mode=mode, maintenance=False), loss=50)
    draw = Draw(4)
    ring = sorted(draw.bits() for _ in range(200))
    network.settle(ring)
    answered = sum(1 for _ in range(200) if network.look_up(ring[draw.below(200)], draw.bits())[0])
    assert answered >= 199


def test_a_graceful_leave_loses_no_look_up() -> None:
    network = Network(5, Settings())
    draw = Draw(6)
    ring = sorted(draw.bits() for _ in range(100))
    network.settle(ring)
    leaver = ring[50]
    for token in range(100):
        own = ring[draw.below(50)]
        network.nodes[own].chord.find(leaver - draw.below(2**60), token)
        if token == 50:
            network.nodes[leaver].chord.leave()
        network.run(SECOND // 100)
    network.run(SECOND)
    network.kill(leaver)
    answers = [a for node in network.nodes.values() for a in node.answers.values()]
    assert len(answers) == 100
    assert all(nodes for nodes, _ in answers)
    at = ring.index(leaver)
    assert network.nodes[ring[at + 1]].chord.predecessor == ring[at - 1]
    assert network.nodes[ring[at - 1]].chord.successors[0] == ring[at + 1]
