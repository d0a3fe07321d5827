"""Command groups whose commands are imported when they are called, so that each starts fast."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click


class Entry(NamedTuple):
    """Where a command is, and its line in the list of commands."""

    module: str
    attribute: str
    about: str
    hidden: bool = False


class LazyGroup(click.Group):
    """A group over a table of entries."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry] | None = None, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.entries = dict(entries or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, entry.about) for name, entry in self.entries.items() if not entry.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
