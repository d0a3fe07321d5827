"""Large rings under random churn, partition and false suspicion, in virtual time, by seeds."""

from bisect import bisect_left
from functools import partial

import pytest
from ring_network import SECOND, Network

from shoal.core.ring.chord import Settings
from shoal.core.ring.ideal import ideal_fingers
from shoal.core.ring.port import Draw

MINUTE = 60 * SECOND


def positions(seed: int, count: int) -> list[int]:
    draw = Draw(seed)
    return [draw.bits() for _ in range(count)]


def check(network: Network) -> None:
    for node in network.nodes.values():
        if node.alive:
            node.chord.validate()


def check_look_ups(network: Network, seed: int, count: int = 20) -> None:
    """Look-ups from anywhere find the owner and the next two nodes."""
    ring = network.members()
    draw = Draw(seed)
    for _ in range(count):
        key, own = draw.bits(), ring[draw.below(len(ring))]
        at = bisect_left(ring, key)
        wanted = tuple(ring[(at + i) % len(ring)] for i in range(3))
        assert network.look_up(own, key, 3)[0] == wanted


def check_fingers(network: Network) -> None:
    ring, settings = network.members(), network.settings
    for at, own in enumerate(ring):
        chord = network.nodes[own].chord
        fingers = set(ideal_fingers(ring, at, settings.successors, settings.base))
        assert set(chord.routes.nodes()) - set(chord.successors) == fingers


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("base", [2, 16])
def test_nodes_that_join_at_once_form_one_ring(seed: int, base: int) -> None:
    network = Network(seed, Settings(base=base), loss=20 * (seed % 2))
    ring = positions(seed, 100)
    network.add(ring[0]).create()
    draw = Draw(seed)
    for at, own in enumerate(ring[1:], start=1):
        network.add(own).join(ring[draw.below(at)])
    network.until(network.is_ideal, 10 * MINUTE)
    check(network)
    check_look_ups(network, seed)
    if not network.loss:
        network.run(20 * MINUTE)
        check_fingers(network)


@pytest.mark.parametrize("seed", range(6))
def test_a_ring_survives_churn(seed: int) -> None:
    """Joins, failures and leaves for ten minutes, never a whole successor list within one round
    of stabilising; then quiet, and the ring is ideal."""
    network = Network(seed, Settings())
    draw = Draw(seed + 100)
    fresh = positions(seed, 300)
    network.settle(fresh[:100])
    waiting = fresh[100:]
    leaving: set[int] = set()
    for _ in range(60):
        ring = network.members()
        for _ in range(draw.below(4)):
            network.add(waiting.pop()).join(ring[draw.below(len(ring))])
        first = draw.below(len(ring))
        for far in {first, (first + 7) % len(ring), (first + 31) % len(ring)}:
            if draw.below(2):
                leaving.add(ring[far])
                network.nodes[ring[far]].chord.leave()
            network.at(SECOND, partial(network.kill, ring[far]))
        network.run(10 * SECOND)
        check(network)
        for node in network.nodes.values():
            if node.alive and not node.chord.joined and node.own not in leaving:
                node.chord.join(network.members()[0])  # its contact may have gone
    network.until(network.is_ideal, 5 * MINUTE)
    check_look_ups(network, seed)


@pytest.mark.parametrize("seed", range(2))
def test_most_look_ups_are_answered_during_churn(seed: int) -> None:
    """A tenth of the nodes fails at once; look-ups of the others are answered all the same,
    after other ways and single steps have been tried."""
    network = Network(seed, Settings())
    ring = sorted(positions(seed, 200))
    network.settle(ring)
    dead = set(ring[seed::10])
    for own in dead:
        network.kill(own)
    draw = Draw(seed)
    asked = []
    for token in range(200):
        own = ring[draw.below(200)]
        if own not in dead:
            network.nodes[own].chord.find(draw.bits(), token)
            asked.append((own, token))
    network.run(MINUTE)
    answers = [network.nodes[own].answers[token] for own, token in asked]
    answered = sum(1 for nodes, _ in answers if nodes)
    assert answered >= 0.98 * len(asked)


@pytest.mark.parametrize("seed", range(6))
def test_separated_rings_merge(seed: int) -> None:
    """A partition of half an hour makes two rings; when it heals they become one again, and
    quiet: with nothing left to merge nobody sends more than before."""
    network = Network(seed, Settings())
    ring = positions(seed, 120)
    network.settle(ring)
    share = (2, 3, 10)[seed % 3]  # halves, a third, a tenth
    small = {own for own in ring if own % share == 0}
    network.cut = lambda sender, to: (sender in small) != (to in small)
    network.run(30 * MINUTE)
    for side in (small, set(ring) - small):
        for own in side:
            chord = network.nodes[own].chord
            assert set(chord.successors) <= side, "the halves did not separate"
    network.cut = lambda sender, to: False
    before = network.sent
    network.until(network.is_ideal, 10 * MINUTE)
    check(network)
    assert network.sent - before < 1000 * len(ring)
    check_look_ups(network, seed)
    network.run(30 * MINUTE)
    sent = network.sent
    network.run(10 * MINUTE)
    per_node_and_minute = (network.sent - sent) / len(ring) / 10
    assert network.is_ideal()
    assert per_node_and_minute < 6 * 2 + 2 * 2 * 6  # stabilising, and fingers at a few hops each


@pytest.mark.parametrize("seed", range(4))
def test_a_node_cut_off_alone_comes_back(seed: int) -> None:
    network = Network(seed, Settings())
    ring = positions(seed, 40)
    network.settle(ring)
    alone = ring[seed]
    network.cut = lambda sender, to: (sender == alone) != (to == alone)
    network.run(20 * MINUTE)
    assert network.nodes[alone].chord.successors == []
    network.cut = lambda sender, to: False
    network.until(network.is_ideal, 10 * MINUTE)


@pytest.mark.parametrize("seed", range(4))
def test_false_suspicion_does_no_lasting_harm(seed: int) -> None:
    """Living nodes are reported dead everywhere, then alive again."""
    network = Network(seed, Settings())
    ring = positions(seed, 60)
    network.settle(ring)
    draw = Draw(seed)
    for _ in range(10):
        victim = ring[draw.below(60)]
        for own in ring:
            if own != victim:
                network.nodes[own].chord.suspect(victim)
                network.nodes[own].chord.down(victim)
        network.run(draw.below(30) * SECOND)
        check(network)
        for own in ring:
            network.nodes[own].chord.up(victim)
    network.until(network.is_ideal, 5 * MINUTE)
    check_look_ups(network, seed)


def test_false_suspicion_heals_without_a_word_from_swim() -> None:
    network = Network(1, Settings())
    ring = positions(1, 60)
    network.settle(ring)
    for victim in ring[:5]:
        for own in ring:
            if own != victim:
                network.nodes[own].chord.down(victim)
    network.until(network.is_ideal, 10 * MINUTE)


def test_hints_alone_make_a_site_one_ring_within_seconds() -> None:
    """All nodes begin alone and hear of each other from SWIM at once."""
    network = Network(1, Settings())
    ring = positions(1, 50)
    for own in ring:
        network.add(own).create()
    for own in ring:
        for other in ring:
            if other != own:
                network.nodes[own].chord.up(other)
    network.run(SECOND)
    ordered = sorted(ring)
    for at, own in enumerate(ordered):
        chord = network.nodes[own].chord
        assert chord.predecessor == ordered[at - 1]
        assert chord.successors[0] == ordered[(at + 1) % len(ring)]
    network.until(network.is_ideal, 2 * MINUTE)
