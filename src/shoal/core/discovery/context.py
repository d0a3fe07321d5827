"""What supplier, trader and buyer of one node share."""

from shoal.core.discovery.contract import DiscoveryPort
from shoal.core.discovery.hits import Hits
from shoal.core.discovery.messages import Carried, MarketMessage
from shoal.core.discovery.partitions import targets
from shoal.core.discovery.settings import Settings, Variant
from shoal.core.ring.port import Draw


class Context:
    """One node's place in the market of offers."""

    __slots__ = ("draw", "hits", "own", "port", "settings", "targets", "variant")

    def __init__(
        self, *, port: DiscoveryPort, own: int, variant: Variant, settings: Settings, draw: Draw
    ) -> None:
        self.port = port
        self.own = own
        self.variant = variant
        self.settings = settings
        self.draw = draw
        self.targets = targets(settings.estimate, settings.scale)
        size = settings.partition_state
        self.hits = Hits(len(settings.table.leaves), size) if size is not None else None

    def send(self, to: int, message: MarketMessage, token: int = 0) -> None:
        """Send what is not an answer, with the hits if they are kept. `token`: the request's, if it
        belongs to one."""
        if self.hits is not None:
            self.port.send(to, Carried(token, self.hits.told(), message))
        else:
            self.port.send(to, message)

    def target(self, partition: int) -> int:
        """A random position in a partition at which offers are put and looked for."""
        return self.targets.draw(self.settings.table.leaves[partition], self.draw)
