"""Commands for the nodes of a cloud."""

import time
from collections.abc import Iterator
from typing import Any

import click

from shoal.cli.client import Client, segment
from shoal.cli.containers import for_each, pass_target
from shoal.cli.tables import cpu_words, print_json, print_table, short_id, size_words, warn
from shoal.cli.target import Target, asks_node

#: Seconds between looks at a node that is drained.
_LOOK_EVERY = 0.5

_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")
_NODES = click.argument("nodes", nargs=-1, required=True, metavar="NODE...")


def _path(ref: str, action: str = "") -> str:
    return f"/v1/nodes/{segment(ref)}{action}"


@click.group()
def node() -> None:
    """List, inspect, label, cordon and drain nodes."""


@node.command("ls")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@_JSON
@asks_node
@pass_target
def list_nodes(target: Target, quiet: bool, as_json: bool) -> None:
    """List the nodes of the cloud."""
    found = target.native().call("GET", "/v1/nodes")
    if as_json:
        print_json(found)
    elif quiet:
        for each in found:
            click.echo(short_id(each["id"]))
    else:
        head = ("NODE", "ID", "STATE", "SITE", "ADDRESS", "ENGINE", "CPU", "MEMORY", "CONTAINERS")
        print_table(head, map(_row, found))


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    capacity, load, engine = each["capacity"], each["load"], each["engine"]
    address = f"[{each['address']}]" if ":" in each["address"] else each["address"]
    return (
        each["name"] + (" *" if each["here"] else ""),
        short_id(each["id"]),
        _state(each),
        each["site"],
        f"{address}:{each['port']}",
        engine["version"] if engine["up"] else "away",
        f"{cpu_words(load['cpu_millis'])}/{cpu_words(capacity['cpu_millis'])}",
        f"{size_words(load['memory'])}/{size_words(capacity['memory'])}",
        str(load["containers"]),
    )


def _state(each: dict[str, Any]) -> str:
    asked = "draining" if each["draining"] else "cordoned" if each["cordoned"] else ""
    return f"{each['state']}, {asked}" if asked else str(each["state"])


@node.command("inspect")
@_NODES
@asks_node
@pass_target
def inspect_node(target: Target, nodes: tuple[str, ...]) -> None:
    """Show nodes in full, as JSON."""
    client = target.native()
    print_json([client.call("GET", _path(ref)) for ref in nodes])


@node.command("cordon")
@_NODES
@asks_node
@pass_target
def cordon(target: Target, nodes: tuple[str, ...]) -> None:
    """Give nodes no more containers; what they have goes on. Lasts until `uncordon`."""
    client = target.native()
    for_each(nodes, lambda ref: client.call("POST", _path(ref, "/cordon")))


@node.command("uncordon")
@_NODES
@asks_node
@pass_target
def uncordon(target: Target, nodes: tuple[str, ...]) -> None:
    """Let nodes have containers again; ends a drain, too."""
    client = target.native()
    for_each(nodes, lambda ref: client.call("POST", _path(ref, "/uncordon")))


@node.command("update")
@_NODES
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="Set it; repeatable.")
@click.option("--label-rm", "removed", multiple=True, metavar="KEY", help="Take it away.")
@asks_node
@pass_target
def update(
    target: Target, nodes: tuple[str, ...], labels: tuple[str, ...], removed: tuple[str, ...]
) -> None:
    """Set and remove labels of nodes."""
    wanted: dict[str, str | None] = dict.fromkeys(removed)
    for text in labels:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--label: `{text}` is not KEY=VALUE")
        wanted[key] = value
    if not wanted:
        raise click.UsageError("nothing to change: give --label KEY=VALUE or --label-rm KEY")
    client = target.native()
    for_each(nodes, lambda ref: client.call("PATCH", _path(ref), body={"labels": wanted}))


@node.command("drain")
@click.argument("node_ref", metavar="NODE")
@click.option(
    "--timeout",
    type=click.IntRange(min=0),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for it.",
)
@_JSON
@asks_node
@pass_target
def drain(target: Target, node_ref: str, timeout: int, as_json: bool) -> None:
    """Run elsewhere what may move from a node, and give it nothing new.

    A container goes on until it runs on its new host. What has no room elsewhere, and what may not
    move, stays and is listed. Ends with 0 when nothing is left that moves, else with 1.
    """
    client = target.native()
    client.call("POST", _path(node_ref, "/drain"))
    report: dict[str, Any] = {}
    total, said = 0, ""
    try:
        for report in _reports(client, node_ref, timeout):
            left = len(report["moving"])
            total = max(total, left)
            progress = f"{total - left} of {total} moved"
            if not as_json and progress != said:
                click.echo(progress)
                said = progress
    except KeyboardInterrupt:
        warn(f"the drain of {node_ref} goes on; `shoal node uncordon {node_ref}` ends it")
        raise
    if as_json:
        print_json(report)
    else:
        _print_end(report)
    if report["moving"]:
        raise click.exceptions.Exit(1)


def _reports(client: Client, ref: str, timeout: int) -> Iterator[dict[str, Any]]:
    """How the drain stands, each time that it got on, until it is over or `timeout` (s) is."""
    deadline = time.monotonic() + timeout
    last, empty = -1, 0
    while True:
        report = client.call("GET", _path(ref, "/drain"))
        left = len(report["moving"])
        # Twice, as a keeper that had not heard of the drain may have given it one more.
        empty = 0 if left else empty + 1
        over = empty > 1 or not report["draining"] or time.monotonic() >= deadline
        if over or left != last:
            last = left
            yield report
        if over:
            return
        time.sleep(_LOOK_EVERY)


def _print_end(report: dict[str, Any]) -> None:
    name, moving, staying = report["name"], report["moving"], report["staying"]
    rows = [
        (short_id(one["id"]), one["name"], "yes" if one["running"] else "no", one["why"])
        for one in (*moving, *staying)
    ]
    if rows:
        print_table(("CONTAINER ID", "NAME", "RUNS", f"WHY IT IS STILL ON {name}"), rows)
    if not report["draining"]:
        warn(f"the drain of {name} was ended with `shoal node uncordon`")
    elif moving:
        warn(
            f"{len(moving)} not moved yet: the drain goes on; `shoal node uncordon {name}` ends it"
        )
    else:
        click.echo(f"{name} is drained" + (f" but for {len(staying)} that stay" if rows else ""))
