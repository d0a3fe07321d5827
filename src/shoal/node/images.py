"""Which image a reference stands for, and who has it: from records and from what nodes hold."""

import re
from collections.abc import Iterable

from shoal.model.errors import NotFound
from shoal.model.node import ImageInfo, NodeInfo
from shoal.model.reference import parse_reference

_DIGITS = re.compile(r"(sha256:)?[0-9a-f]{4,64}\Z")


def familiar(reference: str) -> str:
    """A reference as Docker prints it: without the default registry, with its tag."""
    parsed = parse_reference(reference)
    return reference if parsed is None else parsed.familiar


def find(reference: str, recorded: str, nodes: Iterable[NodeInfo]) -> tuple[ImageInfo, list[str]]:
    """The image and the nodes that hold it. `recorded` is the id that the records give for the
    reference, "" for none; a newer image under the same tag takes its place.

    Raises NotFound in Docker's words.
    """
    nodes = list(nodes)
    tag = familiar(reference)
    candidates: dict[str, ImageInfo] = {}
    for node in nodes:
        for image in node.images:
            if tag in image.tags or image.id == recorded or _matches_id(reference, image.id):
                candidates[image.id] = image
    if not candidates:
        raise NotFound(f"No such image: {tag}")
    chosen = max(
        candidates.values(),
        key=lambda image: (image.created, image.id == recorded, image.id),
    )
    return chosen, [node.id for node in nodes if node.has_image(chosen.id)]


def _matches_id(reference: str, image_id: str) -> bool:
    if not _DIGITS.match(reference):
        return False
    return image_id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
