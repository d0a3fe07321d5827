"""Which nodes a keeper considers for a container.

Inside a site membership has told every node of every other, so a keeper considers everybody
(strategy "view"). In a cloud with another discovery it considers first whom that finds
(`sought.py`).
"""

from collections.abc import Collection
from typing import Protocol

from shoal.core.discovery.contract import StrategyName
from shoal.core.placement import PlacementRequest


class Candidates(Protocol):
    """Where a keeper's candidates come from; `name` is that of the strategy."""

    @property
    def name(self) -> StrategyName: ...

    def ready(self, container: str, request: PlacementRequest) -> bool:
        """Whether `nodes` says now what there is. If not, it is being looked for, and keepers
        hear of the answer."""
        ...

    def nodes(self, container: str) -> Collection[str]:
        """Ids of the nodes to consider before all others."""
        ...


class Everybody:
    """Strategy "view"."""

    name: StrategyName = "view"

    def ready(self, container: str, request: PlacementRequest) -> bool:
        return True

    def nodes(self, container: str) -> Collection[str]:
        return ()
