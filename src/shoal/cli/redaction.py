"""What may leave the house: containers without what users put into them, text without keys.

Containers are told by a list of what is allowed, since a user may put a password anywhere: in the
environment, the command, a label. Only names of labels are told, but for our own.
"""

import re
from typing import Any

_CONTAINER = (
    "id",
    "name",
    "image",
    "image_id",
    "state",
    "status",
    "desired",
    "exit_code",
    "created",
    "started",
    "finished",
    "ports",
    "node",
    "node_id",
    "unreachable_since",
    "note",
    "stale",
    "partial",
)
_EVENT = ("time", "action", "id", "name", "image", "host", "generation", "seq")
_ATTRIBUTES = ("exitCode", "signal")
HIDDEN = "[hidden]"
_SECRETS = (
    re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL),
    re.compile(r"\bshoal1\.[\w-]+"),  # join tokens
    re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{43}=?(?![\w+/=-])"),  # 32 bytes in base64
    re.compile(
        r"(?i)(?:password|passwd|secret|token|api_?key|authorization)[\"']?\s*[=:]\s*"
        r"(?:\"[^\"]*\"|'[^']*'|\S+)"
    ),
)


def container(line: dict[str, Any]) -> dict[str, Any]:
    """A line of the listing, without values of labels that are not ours."""
    told = {name: value(line[name]) for name in _CONTAINER if name in line}
    return told | {"labels": labels(line.get("labels", {}))}


def labels(given: dict[str, str]) -> dict[str, str]:
    return {key: told if key.startswith("shoal.") else HIDDEN for key, told in given.items()}


def event(line: dict[str, Any]) -> dict[str, Any]:
    """A line of the event stream; attributes of an event are labels for the most part."""
    told = {name: line[name] for name in _EVENT if name in line}
    attributes = line.get("attributes", {})
    return told | {"attributes": {k: attributes[k] for k in _ATTRIBUTES if k in attributes}}


def story(why: dict[str, Any]) -> dict[str, Any]:
    """Why a container is where it is. The loser of a conflict is told by its concern only."""
    history = [text(line.partition(" {")[0]) for line in why.get("history", ())]
    return {
        "summary": text(why.get("summary", "")),
        "verdicts": value(why.get("verdicts", [])),
        "history": history,
    }


def value(given: Any) -> Any:
    """JSON of any shape with all its texts cleaned."""
    if isinstance(given, str):
        return text(given)
    if isinstance(given, list):
        return [value(each) for each in given]
    if isinstance(given, dict):
        return {key: value(each) for key, each in given.items()}
    return given


def text(given: str) -> str:
    """Free text, without what looks like a key, a token or a password."""
    for pattern in _SECRETS:
        given = pattern.sub(HIDDEN, given)
    return given
