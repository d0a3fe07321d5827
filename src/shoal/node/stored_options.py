"""The options of a node that exists, kept in its state directory, so that `shoal daemon` needs
only that directory to run it again."""

import os
from pathlib import Path
from typing import Any

import msgspec

from shoal.model.options import NodeOptions

_FILE = "options.json"


def store(options: NodeOptions) -> None:
    """Write them in place of earlier ones, whole or not at all. Raises OSError."""
    target = Path(options.state_dir, _FILE)
    partial = target.with_suffix(".new")
    with partial.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(options), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)


def stored(state_dir: str) -> dict[str, Any]:
    """Their fields as in `shoal.toml`; empty where nothing is stored. Raises OSError,
    msgspec.DecodeError."""
    try:
        data = Path(state_dir, _FILE).read_bytes()
    except FileNotFoundError:
        return {}
    return msgspec.json.decode(data, type=dict[str, Any])
