"""The strategies by name. A daemon imports this only if its cloud has another one than its view."""

from shoal.core.discovery.central import Central
from shoal.core.discovery.contract import STRATEGIES, Demand, DiscoveryPort, StrategyName
from shoal.core.discovery.offers import OfferMarket
from shoal.core.discovery.random_nodes import RandomNodes
from shoal.core.discovery.settings import Settings
from shoal.core.discovery.view import View
from shoal.core.ring.port import Draw


def strategy(
    name: StrategyName,
    *,
    port: DiscoveryPort,
    own: int,
    total: Demand,
    draw: Draw,
    settings: Settings,
) -> OfferMarket | RandomNodes | Central | View:
    """One node's part of a strategy. `own` is its position, `total` all it has; `draw` may be
    shared by nodes. Raises ValueError for a name that is not one of STRATEGIES."""
    if name == "single" or name == "multiple" or name == "multiple-updates":
        return OfferMarket(
            port=port, own=own, total=total, draw=draw, variant=name, settings=settings
        )
    if name == "random":
        return RandomNodes(port=port, total=total, draw=draw, settings=settings)
    if name == "central":
        return Central(port=port, own=own, total=total, draw=draw, settings=settings)
    if name == "view":
        return View(port=port, own=own, total=total, settings=settings)
    raise ValueError(f"discovery strategy {name!r}: there are {', '.join(STRATEGIES)}")
