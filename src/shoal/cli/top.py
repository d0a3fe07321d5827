"""`shoal top`: what each node has promised of what it has, for as long as one looks."""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from shoal.cli.client import Client
from shoal.cli.containers import pass_target
from shoal.cli.tables import cpu_words, print_json, print_table, size_words
from shoal.cli.target import Target, asks_node
from shoal.model.errors import Unavailable

if TYPE_CHECKING:
    from rich.table import Table

REFRESH_SECONDS = 2.0
#: Shorter than the patience of other commands: the next look comes soon.
_ANSWER_SECONDS = 5.0
_HEAD = ("NODE", "STATE", "ENGINE", "CPU", "CPU%", "MEMORY", "MEM%", "CONTAINERS")
_NUMBERS = _HEAD[3:]
_COLOURS = {"up": "green", "suspect": "yellow", "down": "red", "left": "dim"}
#: From this share on a node counts as full to the eye.
_FULL = 0.9


@click.command()
@click.option("--once", is_flag=True, help="Print one plain table and end.")
@click.option("--json", "as_json", is_flag=True, help="For programs; once.")
@asks_node
@pass_target
def top(target: Target, once: bool, as_json: bool) -> None:
    """Watch the nodes: what they have promised of their cores and memory, and their containers.

    The table is renewed every 2 seconds until Ctrl-C; where standard output is no terminal, it is
    printed once.
    """
    client = target.native()
    if as_json:
        print_json(_look(client))
    elif once or not sys.stdout.isatty():
        print_table(_HEAD, (_cells(line) for line in _with_total(_look(client))))
    else:
        _watch(client)


def _look(client: Client) -> list[dict[str, Any]]:
    """A line for each node: cores in millicores, memory in bytes."""
    return [
        {
            "node": each["name"],
            "id": each["id"],
            "state": each["state"],
            "engine_up": each["engine"]["up"],
            "engine": each["engine"]["version"],
            "cpu_millis": each["load"]["cpu_millis"],
            "cpu_millis_capacity": each["capacity"]["cpu_millis"],
            "memory": each["load"]["memory"],
            "memory_capacity": each["capacity"]["memory"],
            "containers": each["load"]["containers"],
        }
        for each in client.call("GET", "/v1/nodes", timeout=_ANSWER_SECONDS)
    ]


def _with_total(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines, and below them the sum of those that are there."""
    there = [line for line in lines if line["state"] in ("up", "suspect")]
    sums = ("cpu_millis", "cpu_millis_capacity", "memory", "memory_capacity", "containers")
    total: dict[str, Any] = {name: sum(line[name] for line in there) for name in sums}
    total |= {"node": "all", "state": f"{len(there)}/{len(lines)} up", "engine": "", "engine_up": 1}
    return [*lines, total]


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    cpu, memory = _share(line, "cpu_millis"), _share(line, "memory")
    return (
        line["node"],
        line["state"],
        line["engine"] if line["engine_up"] else "away",
        f"{cpu_words(line['cpu_millis'])}/{cpu_words(line['cpu_millis_capacity'])}",
        f"{cpu:.0%}",
        f"{size_words(line['memory'])}/{size_words(line['memory_capacity'])}",
        f"{memory:.0%}",
        str(line["containers"]),
    )


def _share(line: dict[str, Any], what: str) -> float:
    capacity = line[f"{what}_capacity"]
    return line[what] / capacity if capacity else 0.0


def _watch(client: Client) -> None:
    """Renew the table until interrupted; a node that does not answer for a while is waited for."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)  # heeds NO_COLOR by itself
    lines = _look(client)
    with Live(table(lines), console=console, screen=True, auto_refresh=False) as live:
        live.refresh()
        while True:
            time.sleep(REFRESH_SECONDS)
            trouble = ""
            try:
                lines = _look(client)
            except Unavailable as error:
                trouble = error.text
            live.update(table(lines, trouble), refresh=True)


def table(lines: Sequence[dict[str, Any]], trouble: str = "") -> "Table":
    """The nodes as a table of Rich's; `trouble` is why they could not be asked anew."""
    from rich.markup import escape
    from rich.table import Table

    at = time.strftime("%H:%M:%S")
    made = Table(box=None, pad_edge=False, header_style="bold")
    made.caption = f"[red]{escape(trouble)}[/red]" if trouble else f"{at}, every 2 s; Ctrl-C ends"
    made.caption_justify = "left"
    for name in _HEAD:
        made.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for line in _with_total(lines):
        cells = [escape(cell) for cell in _cells(line)]
        _colour(cells, 1, _COLOURS.get(line["state"], ""))
        _colour(cells, 2, "" if line["engine_up"] else "red")
        _colour(cells, 4, "yellow" if _share(line, "cpu_millis") >= _FULL else "")
        _colour(cells, 6, "yellow" if _share(line, "memory") >= _FULL else "")
        made.add_row(*cells)
    return made


def _colour(cells: list[str], index: int, style: str) -> None:
    if style:
        cells[index] = f"[{style}]{cells[index]}[/{style}]"
