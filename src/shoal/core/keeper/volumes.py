"""Where named volumes are: a volume's data is on the host that first had it, for good.

The record outlives the containers, as the data does: Shoal never removes a volume on its own.
"""

import msgspec

from shoal.core.keeper.board import Board
from shoal.core.keeper.objects import Container
from shoal.model.container import ContainerSpec

PREFIX = "volume:"
VOLUME = "volume"


def with_volume_pins(board: Board, spec: ContainerSpec) -> ContainerSpec:
    """The spec, pinned to the hosts that have its volumes."""
    pins = [
        (node, f"volume {name} is there")
        for name in spec.volumes
        if (node := _host_of(board, name))
    ]
    if not pins:
        return spec
    rules = msgspec.structs.replace(spec.placement, pins=(*spec.placement.pins, *pins))
    return msgspec.structs.replace(spec, placement=rules)


def _host_of(board: Board, name: str) -> str:
    record = board.copy.records.get(PREFIX + name, VOLUME)
    if record is not None:
        return str(record.value["node"])
    for container in board.containers.values():
        placement = container.placement
        shares = container.spec is not None and name in container.spec.volumes
        if shares and container.living and placement is not None:
            return placement.node  # being created just now
    return ""


def note_volumes(board: Board, container: Container) -> None:
    """The engine made the container's volumes: remember where."""
    placement = container.placement
    if container.spec is None or placement is None:
        return
    for name in container.spec.volumes:
        if board.copy.records.get(PREFIX + name, VOLUME) is None:
            board.write_fields(PREFIX + name, VOLUME, {"node": placement.node})
