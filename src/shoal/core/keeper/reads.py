"""Operations that only read: answered by the keeper, or by any copy when it is away."""

from collections.abc import Callable

import msgspec

from shoal.core.keeper.board import Board
from shoal.core.keeper.views import view_of, visible
from shoal.core.members import Members
from shoal.model import ops
from shoal.model.errors import BadRequest

IMAGE_PREFIX = "image:"
IMAGE = "image"

#: Operations that any copy can answer.
READS = (ops.GetContainer, ops.GetRemoved, ops.ListContainers, ops.GetImage, ops.ReadObjects)


def no_note(_: str) -> str:
    """Copies know nothing of what a keeper is about to do."""
    return ""


def answer_read(
    board: Board,
    members: Members,
    operation: ops.Operation,
    *,
    partial: bool = False,
    note_of: Callable[[str], str] = no_note,
) -> ops.Answer:
    """The answer of this copy. Raises NotFound, or BadRequest for what is no read."""
    match operation:
        case ops.GetContainer():
            container = board.find(operation.ref)
            view = view_of(container, members, note=note_of(container.id))
            return ops.View(msgspec.structs.replace(view, partial=partial))
        case ops.GetRemoved():
            grave = board.copy.records.tombstone(operation.id)
            return ops.Objects({operation.id: grave.value} if grave is not None else {})
        case ops.ListContainers():
            found = visible(board.containers.values())
            views = tuple(view_of(c, members, note=note_of(c.id)) for c in found)
            return ops.Listing(views, partial=partial)
        case ops.GetImage():
            record = board.copy.records.get(IMAGE_PREFIX + operation.reference, IMAGE)
            return ops.ImageTag(record.value["image_id"] if record is not None else "")
        case ops.ReadObjects():
            return ops.Objects(
                {
                    record.object: record.value
                    for record in board.copy.records
                    if record.concern == operation.concern
                }
            )
        case _:
            raise BadRequest(f"{type(operation).__name__} cannot be answered by a copy")
