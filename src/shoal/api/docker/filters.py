"""Filters of `containers/json`: which containers a client asked for. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from shoal.api.docker.listing import mounts
from shoal.api.docker.ports import port_rows
from shoal.api.docker.states import LIVE, STATES, state_of
from shoal.model.container import ContainerView
from shoal.model.errors import BadRequest, NotFound, NotSupported
from shoal.model.reference import parse_reference

Filters = dict[str, list[str]]
Test = Callable[[ContainerView, str], bool]

#: Fewer digits than this are not taken for the start of an image's id.
_ID_DIGITS = 4


def parse_filters(text: str | None) -> Filters:
    """The `filters` parameter: `{"name": ["a"]}`, or the older `{"name": {"a": true}}`. Raises
    BadRequest."""
    if not text:
        return {}
    try:
        return msgspec.convert(_lists(msgspec.json.decode(text)), Filters)
    except (msgspec.MsgspecError, AttributeError) as error:
        raise BadRequest(f"invalid filter: {error}") from error


def _lists(document: Any) -> dict[str, Any]:
    return {
        key: [name for name, wanted in value.items() if wanted]
        if isinstance(value, Mapping)
        else value
        for key, value in document.items()
    }


def check_known(filters: Filters, known: Iterable[str]) -> None:
    """Raises BadRequest, worded as Docker does."""
    allowed = set(known)
    for key in filters:
        if key not in allowed:
            raise BadRequest(f"invalid filter '{key}'")


def select(
    views: Iterable[ContainerView], filters: Filters, *, everything: bool, limit: int
) -> list[ContainerView]:
    """Those asked for, newest first; `limit` 0 for all. Raises BadRequest, NotSupported, and
    NotFound for a container that `before` or `since` names."""
    newest = sorted(views, key=lambda view: (view.spec.created, view.id), reverse=True)
    check_known(filters, {*_TESTS, "before", "since", "health", "is-task"})
    _check_values(filters)
    if "health" in filters:
        raise NotSupported("shoal: the filter health is not there yet")
    if "true" in filters.get("is-task", ()) or "1" in filters.get("is-task", ()):
        return []
    everything = everything or bool(limit) or bool({"status", "exited"} & filters.keys())
    found = [view for view in newest if everything or state_of(view) in LIVE]
    for key, values in filters.items():
        if key in _TESTS:
            found = [view for view in found if _passes(view, key, values)]
    for key in ("before", "since"):
        for reference in filters.get(key, ()):
            born = _named(newest, reference).spec.created
            found = [v for v in found if (v.spec.created < born) == (key == "before")]
            found = [v for v in found if v.spec.created != born]
    return found[:limit] if limit > 0 else found


def _passes(view: ContainerView, key: str, values: list[str]) -> bool:
    # As with Docker, several labels must all hold; of other filters one value is enough.
    test = _TESTS[key]
    hits = (test(view, value) for value in values)
    return all(hits) if key == "label" else any(hits)


def _check_values(filters: Filters) -> None:
    for value in filters.get("status", ()):
        if value not in STATES:
            raise BadRequest(f"invalid filter 'status={value}'")
    for value in filters.get("exited", ()):
        if not value.lstrip("-").isdecimal():
            raise BadRequest(f"invalid filter 'exited={value}'")


def _named(views: list[ContainerView], reference: str) -> ContainerView:
    for view in views:
        if reference in (view.name, view.id) or view.id.startswith(reference):
            return view
    raise NotFound(f"No such container: {reference}")


def _name(view: ContainerView, value: str) -> bool:
    try:
        return any(re.search(value, name) for name in (view.name, f"/{view.name}"))
    except re.error:
        return value in view.name


def label_matches(labels: Mapping[str, str], value: str) -> bool:
    """`key`, or `key=value`."""
    key, separator, wanted = value.partition("=")
    return key in labels and (not separator or labels[key] == wanted)


def _label(view: ContainerView, value: str) -> bool:
    return label_matches(view.spec.body.get("Labels") or {}, value)


def _ancestor(view: ContainerView, value: str) -> bool:
    spec = view.spec
    digits = spec.image_id.removeprefix("sha256:")
    if value == spec.image or (
        len(value) >= 4 and digits.startswith(value.removeprefix("sha256:"))
    ):
        return True
    wanted, actual = parse_reference(value), parse_reference(spec.image)
    return wanted is not None and actual is not None and wanted.familiar == actual.familiar


def _exited(view: ContainerView, value: str) -> bool:
    return state_of(view) == "exited" and view.status.exit_code == int(value)


def _volume(view: ContainerView, value: str) -> bool:
    return any(
        value in (mount.get("Name"), mount.get("Source"), mount["Destination"])
        for mount in mounts(view)
    )


def _network(view: ContainerView, value: str) -> bool:
    mode = (view.spec.body.get("HostConfig") or {}).get("NetworkMode") or "default"
    named = {mode, *view.status.addresses}
    return value in ({*named, "bridge"} if mode == "default" else named)


def _port(view: ContainerView, value: str, side: str) -> bool:
    numbers, _, protocol = value.partition("/")
    first, _, last = numbers.partition("-")
    if not first.isdecimal() or (last and not last.isdecimal()):
        raise BadRequest(f"invalid filter: {value} is not a port")
    return any(
        int(first) <= row[side] <= int(last or first) and row["Type"] == (protocol or "tcp")
        for row in port_rows(view)
        if side in row
    )


_TESTS: dict[str, Test] = {
    "id": lambda view, value: view.id.startswith(value),
    "name": _name,
    "label": _label,
    "status": lambda view, value: state_of(view) == value,
    "ancestor": _ancestor,
    "exited": _exited,
    "volume": _volume,
    "network": _network,
    "publish": lambda view, value: _port(view, value, "PublicPort"),
    "expose": lambda view, value: _port(view, value, "PrivatePort"),
    "node": lambda view, value: value == view.node_name or view.node.startswith(value),
}
