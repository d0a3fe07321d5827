"""Which containers a listing shows: the filters of `shoal ps`, in the manner of `docker ps`."""

from collections.abc import Iterable

from shoal.api.native.wire import ContainerSummary
from shoal.model.errors import BadRequest

Filters = dict[str, list[str]]

NAMES = ("ancestor", "id", "label", "name", "node", "status")

#: Not shown without `-a`: there is nothing that runs or is about to.
_QUIET = {"created", "exited", "dead"}


def parse_filters(texts: Iterable[str]) -> Filters:
    """`["name=web", "label=a=b"]` by name. Raises BadRequest for what is no filter."""
    filters: Filters = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name not in NAMES:
            raise BadRequest(f"filter `{text}` is not NAME=VALUE with NAME one of {_list(NAMES)}")
        filters.setdefault(name, []).append(value)
    return filters


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def is_shown(container: ContainerSummary, filters: Filters, *, everything: bool) -> bool:
    """All named filters must hold, each by any of its values; labels by all of theirs. A filter
    for states shows also what is hidden without `everything`."""
    if not everything and "status" not in filters and not _is_active(container):
        return False
    return all(_holds(container, name, values) for name, values in filters.items())


def _is_active(container: ContainerSummary) -> bool:
    if container.state == "unknown":
        return container.desired == "running"
    return container.state not in _QUIET


def _holds(container: ContainerSummary, name: str, values: list[str]) -> bool:
    match name:
        case "label":
            return all(_has_label(container.labels, value) for value in values)
        case "name":
            return any(value.removeprefix("/") in container.name for value in values)
        case "id":
            return any(container.id.startswith(value) for value in values)
        case "status":
            return container.state in values
        case "node":
            return any(value in (container.node, container.node_id) for value in values)
        case _:
            return any(_is_image(container, value) for value in values)


def _has_label(labels: dict[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _is_image(container: ContainerSummary, wanted: str) -> bool:
    names = {container.image, container.image.rpartition(":")[0], container.image_id}
    digest = container.image_id.removeprefix("sha256:")
    return wanted in names or (len(wanted) >= 12 and digest.startswith(wanted))
