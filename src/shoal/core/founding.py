"""What a new cloud begins with: complete, empty copies, and the record of its authority."""

from typing import Any

from shoal.core.context import Context
from shoal.core.effects import Put
from shoal.core.events import Now
from shoal.core.keeper.copy import Copy
from shoal.model.ids import DEFAULT, SYSTEM, vcluster_id


def found(
    now: Now, cloud: str, node_id: str, records: dict[tuple[str, str], dict[str, Any]]
) -> list[Put]:
    """The writes that make a node's empty disk that of a cloud's founder. `records` are those
    of `system`: (object, concern) -> fields."""
    context = Context(node_id, now)
    system = Copy(context, vcluster_id(cloud, SYSTEM))
    for (object_id, concern), value in records.items():
        system.write(object_id, concern, value)
    for copy in (system, Copy(context, vcluster_id(cloud, DEFAULT))):
        copy.mark(complete=True)
    return [effect for effect in context.take() if isinstance(effect, Put)]
