"""How long messages take and which are lost."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from shoal.core.ring.port import Draw
from shoal.model.errors import BadRequest
from shoal.sim.experiments.experiment import Network
from shoal.sim.experiments.wheel import HORIZON, TICK


def ticks(duration: int, key: str) -> int:
    """A latency in whole ticks, at least one. Raises BadRequest if it is beyond the wheel."""
    found = max(round(duration / TICK), 1)
    if found >= HORIZON:
        raise BadRequest(f"{key}: latencies must be below {HORIZON} ms")
    return found


def even(network: Network) -> bool:
    """Whether every message takes equally long and none is lost."""
    return len(network.sites) < 2 and network.loss == 0


class Sites:
    """Sites, the nodes' share of them, and the latency of every pair in ticks."""

    __slots__ = ("_loss", "_upto", "latency", "names")

    def __init__(self, network: Network) -> None:
        sites = network.sites
        self.names: Sequence[str] = [site.name for site in sites] or ["all"]
        self._upto = list(accumulate(site.share for site in sites)) or [1.0]
        self._loss = round(network.loss * 2**64)
        inside = ticks(network.latency, "network.latency")
        between = ticks(network.between, "network.between")
        count = len(self.names)
        self.latency = [[inside if a == b else between for a in range(count)] for b in range(count)]
        for pair, latency in network.links.items():
            a, b = self._pair(pair)
            self.latency[a][b] = self.latency[b][a] = ticks(latency, f"network.links.{pair}")

    def _pair(self, pair: str) -> tuple[int, int]:
        for a, first in enumerate(self.names):
            for b, second in enumerate(self.names):
                if a != b and pair == f"{first}-{second}":
                    return a, b
        raise BadRequest(
            f"network.links.{pair}: not a pair of sites; allowed: NAME-NAME of the sites "
            f"{', '.join(self.names)}"
        )

    def choose(self, draw: Draw) -> int:
        """A site for a node, by the shares."""
        at = draw.bits() / 2**64 * self._upto[-1]
        return min(bisect_right(self._upto, at), len(self.names) - 1)

    def loses(self, draw: Draw) -> bool:
        """Whether this message gets lost."""
        return self._loss > 0 and draw.bits() < self._loss
