"""The inspect document of a container: from what its engine says, or, while its host is away,
from what the keeper knows. Pure."""

from typing import Any

import msgspec

from shoal.api.docker.execid import exec_id
from shoal.api.docker.listing import mounts, node_fields
from shoal.api.docker.ports import port_map
from shoal.api.docker.states import LIVE, state_of
from shoal.engine import names
from shoal.engine.observe import bound_ports
from shoal.engine.times import format_time
from shoal.model.container import ContainerView
from shoal.model.ids import short


def from_engine(view: ContainerView, raw: bytes) -> dict[str, Any]:
    """The engine's document in the user's words. Ids and names of the engine stay on its node."""
    theirs = msgspec.json.decode(raw)
    engine_id, engine_name = theirs["Id"], theirs["Name"].removeprefix("/")
    # The engine's id is in paths as well, so it is replaced wherever it stands.
    raw = raw.replace(engine_id.encode(), view.id.encode())
    document: dict[str, Any] = msgspec.json.decode(
        raw.replace(engine_name.encode(), view.name.encode())
    )
    status = msgspec.structs.replace(view.status, ports=bound_ports(theirs))
    view = msgspec.structs.replace(view, status=status)  # the engine knows first
    labels = (document.get("Config") or {}).get("Labels") or {}
    vcluster = labels.get(names.VCLUSTER, "")
    for mount in document.get("Mounts") or ():
        if mount.get("Name"):
            mount["Name"] = names.user_volume(vcluster, mount["Name"])
    document["Config"] = {**(document.get("Config") or {}), **_config(view)}
    document["Config"]["Labels"] = {**names.visible_labels(labels), **_labels(view)}
    document["HostConfig"] = {**(document.get("HostConfig") or {}), **_host_config(view)}
    settings = document.get("NetworkSettings") or {}
    document["NetworkSettings"] = {**settings, "Ports": _ports(view, settings)}
    document["State"] = {**(document.get("State") or {}), **_restarting(view)}
    execs = document.get("ExecIDs") or ()
    document["ExecIDs"] = [exec_id(view.node, one) for one in execs] or None
    return {**document, **_identity(view)}


def from_view(view: ContainerView) -> dict[str, Any]:
    """The document while the host is away."""
    status, body = view.status, view.spec.body
    path, *arguments = view.spec.command or ("",)
    state = state_of(view)
    return {
        **_identity(view),
        "Created": format_time(view.spec.created),
        "Path": path,
        "Args": arguments,
        "State": {
            "Status": state,
            "Running": state in LIVE,
            "Paused": status.paused,
            "Restarting": state == "restarting",
            "OOMKilled": status.oom_killed,
            "Dead": state == "dead",
            "Pid": status.pid,
            "ExitCode": status.exit_code,
            "Error": status.error,
            "StartedAt": format_time(status.started),
            "FinishedAt": format_time(status.finished),
        },
        "Platform": "linux",
        "HostConfig": {**(body.get("HostConfig") or {}), **_host_config(view)},
        "Mounts": mounts(view),
        "Config": {
            **{key: value for key, value in body.items() if key not in _NOT_CONFIG},
            **_config(view),
            "Labels": _labels(view),
        },
        "NetworkSettings": {
            "Ports": port_map(view),
            "IPAddress": status.addresses.get("bridge", ""),
            "Networks": {
                name: {"IPAddress": address} for name, address in status.addresses.items()
            },
        },
    }


_NOT_CONFIG = frozenset(("HostConfig", "NetworkingConfig"))


def _identity(view: ContainerView) -> dict[str, Any]:
    return {
        "Id": view.id,
        "Name": f"/{view.name}",
        "Image": view.spec.image_id,
        "RestartCount": view.status.restarts,
        "Node": node_fields(view),
    }


def _config(view: ContainerView) -> dict[str, Any]:
    body = view.spec.body
    host = body.get("HostConfig") or {}
    shared = host.get("NetworkMode") == "host" or host.get("UTSMode") == "host"
    hostname = body.get("Hostname") or ("" if shared else short(view.id))
    return {"Image": view.spec.image, **({"Hostname": hostname} if hostname else {})}


def _labels(view: ContainerView) -> dict[str, str]:
    return dict(view.spec.body.get("Labels") or {})


def _host_config(view: ContainerView) -> dict[str, Any]:
    asked = view.spec.body.get("HostConfig") or {}
    kept = {key: asked[key] for key in ("Binds", "Mounts") if asked.get(key)}
    restart = view.spec.restart
    return {
        **kept,
        "RestartPolicy": {"Name": restart.name, "MaximumRetryCount": restart.retries},
        "AutoRemove": view.spec.auto_remove,
    }


def _ports(view: ContainerView, settings: dict[str, Any]) -> dict[str, Any]:
    """The engine's ports (the image's exposed ones among them) at the host's address."""
    engine = dict.fromkeys(settings.get("Ports") or {})
    return {**engine, **port_map(view)}


def _restarting(view: ContainerView) -> dict[str, Any]:
    if state_of(view) != "restarting":
        return {}
    return {"Status": "restarting", "Restarting": True, "Running": True}
