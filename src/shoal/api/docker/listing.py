"""Entries of `containers/json`: pure."""

from typing import Any

from shoal.api.docker.ports import port_rows
from shoal.api.docker.states import state_of, status_text
from shoal.engine.times import NANOS
from shoal.engine.translate import bind_volume
from shoal.model.container import ContainerView


def summary(view: ContainerView, now: int) -> dict[str, Any]:
    """One entry. `now`: wall clock, ns."""
    host = view.spec.body.get("HostConfig") or {}
    return {
        "Id": view.id,
        "Names": [f"/{view.name}"],
        "Image": view.spec.image,
        "ImageID": view.spec.image_id,
        "Command": shown_command(view.spec.command),
        "Created": view.spec.created // NANOS,
        "Ports": port_rows(view),
        "Labels": view.spec.body.get("Labels") or {},
        "State": state_of(view),
        "Status": status_text(view, now),
        "HostConfig": {"NetworkMode": host.get("NetworkMode") or "default"},
        "NetworkSettings": {
            "Networks": {
                name: {"IPAddress": address} for name, address in view.status.addresses.items()
            }
        },
        "Mounts": mounts(view),
        "Node": node_fields(view),
    }


def node_fields(view: ContainerView) -> dict[str, str]:
    """Where it runs; Docker has no field for it, so this one is ours."""
    return {"Name": view.node_name, "ID": view.node, "Addr": view.node_address}


def shown_command(words: tuple[str, ...]) -> str:
    """As Docker prints it: arguments with spaces are quoted."""
    path, *arguments = words or ("",)
    return " ".join([path, *(f"'{word}'" if " " in word else word for word in arguments)])


def mounts(view: ContainerView) -> list[dict[str, Any]]:
    """Mounts that the request named. Those of the image only the host knows."""
    host = view.spec.body.get("HostConfig") or {}
    found = [_of_bind(bind) for bind in host.get("Binds") or ()]
    for mount in host.get("Mounts") or ():
        kind, source = mount.get("Type", ""), mount.get("Source", "")
        found.append(
            {
                "Type": kind,
                "Name" if kind == "volume" else "Source": source,
                "Destination": mount.get("Target", ""),
                "Mode": "",
                "RW": not mount.get("ReadOnly", False),
                "Propagation": "",
            }
        )
    return found


def _of_bind(bind: str) -> dict[str, Any]:
    source, separator, rest = bind.partition(":")
    if not separator:
        source, rest = "", bind
    destination, _, mode = rest.partition(":")
    volume = bind_volume(bind)
    return {
        "Type": "volume" if volume or not source else "bind",
        "Name" if volume or not source else "Source": source,
        "Destination": destination,
        "Mode": mode,
        "RW": "ro" not in mode.split(","),
        "Propagation": "",
    }
