"""A node's options out of flags, the configuration file and defaults; in this order they win."""

import os
import socket
import tomllib
from typing import Any

import msgspec

from shoal.model.errors import BadRequest
from shoal.model.options import NodeOptions
from shoal.node.stored_options import stored

CONFIG_FILE = "/etc/shoal/shoal.toml"
CPU_CLASSES = {"0": 0, "1": 1, "slow": 0, "fast": 1, "low": 0, "high": 1}

Fields = dict[str, Any]


def load_options(flags: Fields, *, config: str = "", again: bool = False) -> NodeOptions:
    """`flags` has the options that were given, by their names in the file. `config` is a file
    that must exist, "" the usual one if it does. With `again` what the node was made with
    comes before the defaults. Raises BadRequest naming the file, the field and what is wrong."""
    file, fields = _read_config(config)
    state_dir = flags.get("state-dir") or fields.get("state-dir")
    options = _defaults()
    if again and isinstance(state_dir or options["state-dir"], str):
        options = _merge(options, _stored(state_dir or options["state-dir"]))
    options = _merge(options, fields)
    _convert(options, f"{file}: ")
    return _convert(_merge(options, flags), "--")


def default_directories() -> tuple[str, str]:
    """State and run directory: the system's for root, else the user's own."""
    if os.geteuid() == 0:
        return "/var/lib/shoal", "/run/shoal"
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return f"{state}/shoal", f"{runtime}/shoal"


def _defaults() -> Fields:
    state_dir, run_dir = default_directories()
    fields: Fields = {
        "name": socket.gethostname().partition(".")[0],
        "state-dir": state_dir,
        "run-dir": run_dir,
    }
    if os.geteuid() != 0:
        # An engine without root listens beside our own sockets.
        fields["engine"] = f"unix://{os.path.dirname(run_dir)}/docker.sock"
    return fields


def _read_config(config: str) -> tuple[str, Fields]:
    """Name of the file and its fields."""
    file = config or CONFIG_FILE
    try:
        with open(file, "rb") as opened:
            fields = tomllib.load(opened)
    except FileNotFoundError:
        if config:
            raise BadRequest(f"{file}: no such file") from None
        return file, {}
    except (OSError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadRequest(f"{file}: {reason}") from None
    if "cpu-class" in fields:
        fields["cpu-class"] = _cpu_class(file, fields["cpu-class"])
    return file, fields


def _cpu_class(file: str, value: Any) -> int:
    try:
        return CPU_CLASSES[str(value)]
    except KeyError:
        raise BadRequest(f"{file}: cpu-class: `{value}` is none of 0, 1, slow, fast") from None


def _stored(state_dir: str) -> Fields:
    try:
        return stored(state_dir)
    except (OSError, msgspec.DecodeError) as error:
        raise BadRequest(f"{state_dir}: cannot read the node's options: {error}") from None


def _merge(below: Fields, above: Fields) -> Fields:
    """Labels are merged one by one, all else as a whole."""
    merged = {**below, **above}
    labels = below.get("labels"), above.get("labels")
    if all(isinstance(each, dict) for each in labels):
        merged["labels"] = {**labels[0], **labels[1]}  # type: ignore[dict-item]
    return merged


def _convert(fields: Fields, before: str) -> NodeOptions:
    try:
        return msgspec.convert(fields, NodeOptions)
    except msgspec.ValidationError as error:
        raise BadRequest(before + _locate(str(error))) from None


def _locate(text: str) -> str:
    """`Expected int, got str - at $.port` with the field first: `port: expected int, got str`."""
    message, _, path = text.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    message = message[0].lower() + message[1:]
    return f"{field}: {message.replace('`', '')}" if field else message
