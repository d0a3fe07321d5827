"""Values of Docker's flags for `run`, as their parts in Docker's API. All raise BadRequest."""

import csv
import os
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from shoal.model.errors import BadRequest

Body = dict[str, Any]

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])?(?:i?b)?)\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PORT = re.compile(
    r"(?:(?:(?P<ip>\[[0-9a-fA-F:.]+\]|[\d.]*):)?(?P<host>\d+(?:-\d+)?)?:)?"
    r"(?P<inside>\d+(?:-\d+)?)(?:/(?P<protocol>tcp|udp|sctp))?\Z",
    re.IGNORECASE,
)
_DEVICE_MODE = re.compile(r"[rwm]{1,3}\Z")
_MOUNT_NAMES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


def size(flag: str, text: str) -> int:
    """Bytes of `256m`, `1.5g`, `64MiB`; a bare number is bytes."""
    match = _SIZE.match(text.strip())
    if not match:
        raise BadRequest(f"invalid argument `{text}` for {flag}: not a size such as 256m or 1g")
    return int(Fraction(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])


def nano_cpus(text: str) -> int:
    """`1.5` cores in billionths of one."""
    try:
        nano = Fraction(text) * 10**9
    except (ValueError, ZeroDivisionError):
        raise BadRequest(f"invalid argument `{text}` for --cpus: not a number of cores") from None
    if nano < 0 or nano.denominator != 1:
        raise BadRequest(f"invalid argument `{text}` for --cpus: 0 or more, up to nine decimals")
    return int(nano)


def pair(text: str) -> tuple[str, str]:
    """`key=value`; without `=` the value is empty."""
    key, _, value = text.partition("=")
    return key, value


def environment(files: Iterable[str], flags: Iterable[str], around: Mapping[str, str]) -> list[str]:
    """NAME=VALUE lines, those of files first. A name alone takes its value from `around` and
    is left out where that has none."""
    words = [word for file in files for word in _env_lines(file)]
    found = []
    for word in [*words, *flags]:
        name, equals, _ = word.partition("=")
        if not name:
            raise BadRequest(f"invalid environment variable: `{word}` has no name")
        if equals:
            found.append(word)
        elif name in around:
            found.append(f"{name}={around[name]}")
    return found


def _env_lines(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8-sig") as opened:
            lines = [line.rstrip("\r\n").lstrip() for line in opened]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BadRequest(f"--env-file {file}: {reason}") from None
    return [line for line in lines if line and not line.startswith("#")]


def ports(texts: Iterable[str]) -> tuple[Body, Body]:
    """ExposedPorts and PortBindings of `-p [[IP:][HOST]:]CONTAINER[/PROTOCOL]`."""
    exposed: Body = {}
    bindings: Body = {}
    for text in texts:
        for key, binding in _published(text):
            exposed[key] = {}
            bindings.setdefault(key, []).append(binding)
    return exposed, bindings


def _published(text: str) -> list[tuple[str, Body]]:
    match = _PORT.match(text)
    if not match:
        raise BadRequest(f"invalid argument `{text}` for --publish: not [[IP:]HOST:]CONTAINER")
    ip = (match["ip"] or "").strip("[]")
    protocol = (match["protocol"] or "tcp").lower()
    first, last = _range(text, match["inside"])
    inside = [f"{port}/{protocol}" for port in range(first, last + 1)]
    host = match["host"] or ""
    if not host:
        outside = [""] * len(inside)
    elif len(inside) == 1:
        _range(text, host)
        outside = [host]  # one of a range: the engine chooses
    else:
        low, high = _range(text, host)
        if high - low != last - first:
            raise BadRequest(f"invalid argument `{text}` for --publish: ranges of unequal length")
        outside = [str(port) for port in range(low, high + 1)]
    bindings = [{"HostIp": ip, "HostPort": port} for port in outside]
    return list(zip(inside, bindings, strict=True))


def _range(text: str, part: str) -> tuple[int, int]:
    first, _, last = part.partition("-")
    low, high = int(first), int(last or first)
    if not 0 < low <= high <= 65535:
        raise BadRequest(f"invalid port `{part}` in `{text}`: ports are 1 to 65535")
    return low, high


def exposed(texts: Iterable[str]) -> Body:
    """ExposedPorts of `--expose PORT[-PORT][/PROTOCOL]`."""
    keys = [key for text in texts for key, _ in _published(text.partition(":")[0] or text)]
    return {key: {} for key in keys}


def volumes(texts: Iterable[str], here: str) -> tuple[list[str], Body]:
    """Binds and anonymous Volumes of `-v [SOURCE:]TARGET[:MODE]`; relative sources from `here`."""
    binds: list[str] = []
    anonymous: Body = {}
    for text in texts:
        parts = text.split(":")
        if len(parts) > 3 or not all(parts):
            raise BadRequest(f"invalid argument `{text}` for --volume: not [SOURCE:]TARGET[:MODE]")
        if len(parts) == 1:
            anonymous[text] = {}
            continue
        binds.append(":".join([_source(parts[0], here), *parts[1:]]))
    return binds, anonymous


def _source(text: str, here: str) -> str:
    return os.path.normpath(os.path.join(here, text)) if text.startswith(".") else text


def mount(text: str, here: str) -> Body:
    """One of Mounts from `--mount type=bind,source=…,target=…`."""
    fields: dict[str, str] = {}
    for word in next(csv.reader([text])):
        name, equals, value = word.partition("=")
        name = _MOUNT_NAMES.get(name.strip().lower(), name.strip().lower())
        fields[name] = value if equals else "true"
    kind = fields.pop("type", "volume")
    body: Body = {"Type": kind, "Target": fields.pop("target", "")}
    if not body["Target"]:
        raise BadRequest(f"invalid argument `{text}` for --mount: target is required")
    if source := fields.pop("source", ""):
        body["Source"] = _source(source, here) if kind == "bind" else source
    if _truth(text, fields.pop("readonly", "false")):
        body["ReadOnly"] = True
    body.update(_mount_options(text, kind, fields))
    return body


def _mount_options(text: str, kind: str, fields: dict[str, str]) -> Body:
    known: Body = {}
    match kind:
        case "bind":
            if propagation := fields.pop("bind-propagation", ""):
                known["BindOptions"] = {"Propagation": propagation}
        case "volume":
            if _truth(text, fields.pop("volume-nocopy", "false")):
                known["VolumeOptions"] = {"NoCopy": True}
        case "tmpfs":
            options: Body = {}
            if "tmpfs-size" in fields:
                options["SizeBytes"] = size("--mount tmpfs-size", fields.pop("tmpfs-size"))
            if "tmpfs-mode" in fields:
                options["Mode"] = _octal(text, fields.pop("tmpfs-mode"))
            if options:
                known["TmpfsOptions"] = options
        case _:
            raise BadRequest(
                f"invalid argument `{text}` for --mount: type is bind, volume or tmpfs"
            )
    if fields:
        unknown = ", ".join(sorted(fields))
        raise BadRequest(f"invalid argument `{text}` for --mount: no {unknown} for type {kind}")
    return known


def _truth(text: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise BadRequest(f"invalid argument `{text}` for --mount: `{value}` is not true or false")
    return value.lower() in ("true", "1")


def _octal(text: str, value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise BadRequest(f"invalid argument `{text}` for --mount: mode `{value}`") from None


def restart_policy(text: str) -> Body:
    """RestartPolicy of `no`, `always`, `unless-stopped`, `on-failure[:COUNT]`."""
    name, colon, count = text.partition(":")
    if name not in _RESTARTS or (colon and (name != "on-failure" or not count.isdecimal())):
        raise BadRequest(
            f"invalid argument `{text}` for --restart: not {', '.join(_RESTARTS)}[:COUNT]"
        )
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def tmpfs(texts: Iterable[str]) -> dict[str, str]:
    """Tmpfs of `--tmpfs TARGET[:OPTIONS]`."""
    parts = (text.partition(":") for text in texts)
    return {target: options for target, _, options in parts}


def device(text: str) -> Body:
    """One of Devices from `--device HOST[:CONTAINER][:MODE]`."""
    source, *rest = text.split(":")
    mode = rest.pop() if rest and _DEVICE_MODE.match(rest[-1]) else "rwm"
    if len(rest) > 1 or not source:
        raise BadRequest(f"invalid argument `{text}` for --device: not HOST[:CONTAINER][:MODE]")
    target = rest[0] if rest else source
    return {"PathOnHost": source, "PathInContainer": target, "CgroupPermissions": mode}


def capability(text: str) -> str:
    """`CAP_NET_ADMIN` of `net_admin`; ALL is no capability of its own."""
    name = text.strip().upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def ulimit(text: str) -> Body:
    """One of Ulimits from `--ulimit NAME=SOFT[:HARD]`."""
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return {"Name": name, "Soft": int(soft), "Hard": int(hard or soft)}
    except ValueError:
        raise BadRequest(f"invalid argument `{text}` for --ulimit: not NAME=SOFT[:HARD]") from None


def extra_host(text: str) -> str:
    """`NAME:IP` from that or from `NAME=IP`."""
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not name or not separator or not address:
        raise BadRequest(f"invalid argument `{text}` for --add-host: not NAME:IP")
    return f"{name}:{address.strip('[]')}"
