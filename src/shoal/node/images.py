"""Which image a reference stands for, and who has it: from records and from what nodes hold."""

import re
from collections.abc import Iterable

from shoal.model.errors import NotFound
from shoal.model.node import ImageInfo, NodeInfo

_DIGITS = re.compile(r"(sha256:)?[0-9a-f]{4,64}\Z")
_OFFICIAL = ("docker.io/library/", "index.docker.io/library/", "library/", "docker.io/")


def familiar(reference: str) -> str:
    """A reference as Docker prints it: without the default registry, with its tag."""
    for prefix in _OFFICIAL:
        if reference.startswith(prefix):
            reference = reference.removeprefix(prefix)
            break
    if "@" in reference or _is_id(reference):
        return reference
    name = reference.rsplit("/", 1)[-1]
    return reference if ":" in name else f"{reference}:latest"


def _is_id(reference: str) -> bool:
    return reference.startswith("sha256:") or re.fullmatch(r"[0-9a-f]{64}", reference) is not None


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
