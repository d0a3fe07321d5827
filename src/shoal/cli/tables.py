"""What commands print: tables for people, JSON for programs."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell, three spaces apart, as Docker prints them."""
    lines = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("   ".join(cells).rstrip())


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def warn(text: str) -> None:
    click.echo(f"shoal: {text}", err=True)


def short_id(identifier: str) -> str:
    """The 12 digits that Docker prints. (shoal.model.ids has the same, but takes long to load.)"""
    return identifier[:12]


def size_words(size: int) -> str:
    """Bytes as `512MiB`, `1.5GiB`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.4g}{unit}"
        value /= 1024
    return f"{value:.4g}TiB"


def cpu_words(millis: int) -> str:
    """Millicores as cores: `0.5`, `4`."""
    return f"{millis / 1000:g}"
