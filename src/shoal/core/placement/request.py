"""What placement is asked: a container's needs and rules, without the container."""

import msgspec

from shoal.core.placement.constraints import normal_architecture, parse
from shoal.core.placement.fit import cpu_need, twice_wanted_port
from shoal.model.container import ContainerSpec, PlacementRules
from shoal.model.errors import BadRequest
from shoal.model.resources import CpuClass, Resources

#: Below every free amount: an unsized request is never refused, not even by an over-full node.
ANYTHING = -(1 << 62)

#: Requests with the same key may run on the same nodes as long as these have room.
StaticKey = tuple[tuple[str, ...], CpuClass | None, str]


class PlacementRequest(msgspec.Struct, frozen=True):
    """One container to be placed. `architecture` is Docker's name, "" for any; a replacement
    takes the place of a container whose host is gone and never counts as unsized."""

    resources: Resources = Resources()
    rules: PlacementRules = PlacementRules()
    image_id: str = ""
    architecture: str = ""
    replacement: bool = False

    @property
    def static_key(self) -> StaticKey:
        return (self.rules.constraints, self.rules.cpu_class, self.architecture)

    @property
    def cpu_floor(self) -> int:
        """Millicores that must be free."""
        return cpu_need(self.resources) or ANYTHING

    @property
    def memory_floor(self) -> int:
        """Bytes that must be free."""
        return self.resources.memory or ANYTHING


def request_of(spec: ContainerSpec, *, replacing: bool = False) -> PlacementRequest:
    """The request that a container stands for; `replacing` after the loss of its host.

    Raises BadRequest if a constraint is malformed or a host port is asked for twice.
    """
    twice = twice_wanted_port(spec.resources.ports)
    if twice is not None:
        raise BadRequest(f"host port {twice} is asked for twice: publish it once")
    for expression in spec.placement.constraints:
        parse(expression)
    return PlacementRequest(
        resources=spec.resources.with_defaults() if replacing else spec.resources,
        rules=spec.placement,
        image_id=spec.image_id,
        architecture=normal_architecture(spec.placement.architecture),
        replacement=replacing,
    )
