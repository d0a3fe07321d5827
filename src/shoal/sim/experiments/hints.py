"""What membership tells: each node's load to the others of its site, and who is gone.

As in the daemon a node says what it has to each of its site, at most once a second (there it is
the inventory in a hello). Only the strategy "view" lives on it, so only there it is simulated.
"""

from typing import TYPE_CHECKING

import msgspec

from shoal.core.discovery.contract import Demand
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.view import View
from shoal.core.node import ANNOUNCE_EVERY

if TYPE_CHECKING:
    from shoal.sim.experiments.node import Node
    from shoal.sim.experiments.world import World


class Hint(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="hi"):
    """What the sender has."""

    free: Demand
    used: Demand
    containers: int


class Hints:
    """The members of every site, and what each said last."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._sites: dict[int, list[int]] = {}
        self._said: dict[int, Hint] = {}
        self._waiting: set[int] = set()

    def joined(self, node: "Node") -> None:
        """A node is new: those of its site greet it."""
        others = self._sites.setdefault(node.site, [])
        if isinstance(node.discovery, View):
            for other in others:
                said = self._said.get(other)
                if said is not None:
                    node.discovery.hint(other, said.free, said.used, said.containers)
        others.append(node.own)

    def announce(self, node: "Node", hint: Hint) -> None:
        """A node has so much now."""
        self._said[node.own] = hint
        if node.own not in self._waiting:
            self._waiting.add(node.own)
            self._world.later(ANNOUNCE_EVERY, (-1, self._tell, node.own))

    def _tell(self, own: int) -> None:
        self._waiting.discard(own)
        node = self._world.nodes.get(own)
        if node is not None:
            hint = self._said[own]
            for other in self._sites[node.site]:
                if other != own:
                    node.send(other, hint)

    def hear(self, node: "Node", sender: int, hint: Hint) -> None:
        assert isinstance(node.discovery, View)
        node.discovery.hint(sender, hint.free, hint.used, hint.containers)

    def died(self, dead: "Node") -> None:
        """Membership holds a node for dead. Who had nothing to do with it has nothing to forget,
        so only the others are told: all of the site have it in their view, and a market's nodes
        have offers at it or from it."""
        members = self._sites[dead.site]
        members.remove(dead.own)
        self._said.pop(dead.own, None)
        concerned = members if isinstance(dead.discovery, View) else _partners(dead)
        for own in concerned:
            node = self._world.nodes.get(own)
            if node is not None and node.site == dead.site:
                node.discovery.gone(dead.own)


def _partners(node: "Node") -> list[int]:
    """The nodes that hold offers of this one, and those whose offers it holds, in order."""
    market = node.discovery
    if not isinstance(market, OfferMarket):
        return []
    found = set(market.supplier.offers.values())
    if market.held:
        found.update(offer.node for offer in market.trader.offers.values())
    return sorted(found)
