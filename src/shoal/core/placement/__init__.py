"""Where a container should run: filter, score, explain. Pure; the node itself admits.

Keep one `ClusterView` per placer, feed it by `update`, and for each container: `request_of` its
spec, `rank`, `assume` the choice, ask the node, `release`. `explain` says why.
"""

from shoal.core.placement.explanation import Explanation, Verdict, explain
from shoal.core.placement.ranking import Excluded, place_group, rank
from shoal.core.placement.request import PlacementRequest, request_of
from shoal.core.placement.view import ClusterView

__all__ = [
    "ClusterView",
    "Excluded",
    "Explanation",
    "PlacementRequest",
    "Verdict",
    "explain",
    "place_group",
    "rank",
    "request_of",
]
