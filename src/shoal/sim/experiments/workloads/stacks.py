"""Stacks: several containers that are placed together or apart, all or none of them."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from shoal.core.discovery.contract import Demand


class Service(NamedTuple):
    """So many equal containers of a stack, on one node with the others or each by itself."""

    demand: Demand
    containers: int
    policy: Literal["co-location", "spread"]


def demands_of(services: Iterable[Service]) -> tuple[Demand, ...]:
    """What is searched for: first the sum of all that is co-located, then every spread container.

    A group needs the fastest class that one of its members needs.
    """
    together: list[Demand] = []
    apart: list[Demand] = []
    for service in services:
        wanted = together if service.policy == "co-location" else apart
        wanted.extend([service.demand] * service.containers)
    if not together:
        return tuple(apart)
    group = Demand(
        max(demand.cpu_class for demand in together),
        sum(demand.cpus for demand in together),
        sum(demand.memory for demand in together),
    )
    return (group, *apart)
