"""A user's request as the request that goes to an engine: pure.

What Shoal decides itself (name, image id, restarts, removal, labels, volume names) is replaced;
everything else passes through untouched.
"""

import copy
import re
from typing import Any

from shoal.core.effects import EngineCall
from shoal.engine import names
from shoal.model.ids import short

#: `Container 0123… is not running`, and the same in small letters.
_CONTAINER_ID = re.compile(r"(?<=ontainer )[0-9a-f]{64}\b")


def create_body(call: EngineCall, *, cloud: str, node: str) -> dict[str, Any]:
    """Body of the engine's `containers/create` for a create call."""
    body = copy.deepcopy(call.body or {})
    host = dict(body.get("HostConfig") or {})
    host["RestartPolicy"] = {"Name": "no", "MaximumRetryCount": 0}
    host["AutoRemove"] = False
    if host.get("Binds"):
        host["Binds"] = [_bind(call.vcluster, bind) for bind in host["Binds"]]
    if host.get("Mounts"):
        host["Mounts"] = [_mount(call.vcluster, mount) for mount in host["Mounts"]]
    body["HostConfig"] = host
    body["Image"] = call.image_id or call.image
    body["Labels"] = {**(body.get("Labels") or {}), **our_labels(call, cloud=cloud, node=node)}
    if not body.get("Hostname") and not _shares_hostname(host):
        body["Hostname"] = short(call.id)
    return body


def our_labels(call: EngineCall, *, cloud: str, node: str) -> dict[str, str]:
    """Labels by which the container is known again, also by a rebuilt cloud."""
    return {
        names.CLOUD: cloud,
        names.NODE: node,
        names.VCLUSTER: call.vcluster,
        names.ID: call.id,
        names.GENERATION: names.generation_label(call.generation),
        names.NAME: call.container_name,
    }


def bind_volume(bind: str) -> str:
    """Name of the volume that `name:/path[:options]` mounts; "" for a path of the host or an
    anonymous volume."""
    source, separator, _ = bind.partition(":")
    return source if separator and not source.startswith(("/", "~", ".")) else ""


def _bind(vcluster: str, bind: str) -> str:
    volume = bind_volume(bind)
    return names.volume_name(vcluster, volume) + bind[len(volume) :] if volume else bind


def _mount(vcluster: str, mount: dict[str, Any]) -> dict[str, Any]:
    if mount.get("Type") != "volume" or not mount.get("Source"):
        return mount
    return {**mount, "Source": names.volume_name(vcluster, mount["Source"])}


def _shares_hostname(host: dict[str, Any]) -> bool:
    # The engine refuses a host name of one's own where the host's is shared.
    return host.get("NetworkMode") == "host" or host.get("UTSMode") == "host"


def engine_words(text: str, call: EngineCall) -> str:
    """An engine's error on one line, with our names for what it speaks of."""
    if call.image and call.image_id:
        text = text.replace(call.image_id, call.image)
    return our_names(text, call.name, call.container_name or short(call.id), call.id)


def our_names(text: str, engine_side: str, name: str, identifier: str) -> str:
    """A text of an engine on one line, with our container's name and id instead of its own."""
    text = text.replace(engine_side, name) if engine_side else text
    return " ".join(_CONTAINER_ID.sub(identifier, text).split())
