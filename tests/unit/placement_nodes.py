"""Nodes, views and requests for the tests of placement."""

import hashlib
from typing import Any

from shoal.core.placement import ClusterView, PlacementRequest
from shoal.model.container import PlacementRules
from shoal.model.node import EngineInfo, NodeInfo
from shoal.model.resources import Capacity, Resources

GIB = 1 << 30


def id_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def node(name: str, *, cpu: int = 4000, memory: int = 8 * GIB, **fields: Any) -> NodeInfo:
    """A node that is as good as any unless the fields say otherwise."""
    usual: dict[str, Any] = {
        "architecture": "amd64",
        "engine": EngineInfo(up=True),
        "capacity": Capacity(cpu, memory),
    }
    return NodeInfo(id=id_of(name), name=name, address="10.0.0.1", **(usual | fields))


def view_of(*nodes: NodeInfo) -> ClusterView:
    view = ClusterView()
    for one in nodes:
        view.update(one, up=True)
    return view


def needs(cpu: int = 0, memory: int = 0, **fields: Any) -> PlacementRequest:
    return PlacementRequest(resources=Resources(cpu, memory), **fields)


def rules(**fields: Any) -> PlacementRequest:
    return PlacementRequest(rules=PlacementRules(**fields))
