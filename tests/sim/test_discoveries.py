"""The daemon's cores place by whatever discovery their cloud has."""

from collections import Counter
from typing import get_args

import msgspec
import pytest

from shoal.core.discovery.contract import StrategyName
from shoal.model.options import Discovery
from shoal.sim.faults import plan_of
from shoal.sim.run import Run


def reasons(name: StrategyName, seed: int, nodes: int) -> Counter[str]:
    """How containers came to their nodes in an untroubled run, as keepers wrote it down."""
    plan = msgspec.structs.replace(plan_of(seed), families=(), discovery=name, nodes=nodes)
    cloud = Run(plan)
    assert cloud.go().wrong == []
    return Counter(
        placement.reason
        for host in cloud.present
        if host.core is not None
        for vcluster in host.core.vclusters.values()
        if vcluster.keeper is not None
        for container in vcluster.keeper.board.containers.values()
        for placement in container.placements
    )


@pytest.mark.parametrize("nodes", [2, 5])
@pytest.mark.parametrize("name", [name for name in get_args(Discovery) if name != "view"])
def test_containers_go_where_discovery_found_room(name: StrategyName, nodes: int) -> None:
    found = reasons(name, 2, nodes)
    by_discovery = found[f"first placement, found by {name}"]
    assert by_discovery > found["first placement"]


def test_a_view_considers_everybody() -> None:
    assert set(reasons("view", 2, 5)) == {"first placement"}
