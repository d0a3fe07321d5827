"""Commands for the cloud itself: how it is, its nodes, its tokens."""

from typing import Any

import click

import shoal
from shoal.cli.client import Client, segment
from shoal.cli.containers import pass_target
from shoal.cli.tables import cpu_words, print_json, print_table, short_id, size_words
from shoal.cli.target import Target, asks_node
from shoal.cli.times import Span
from shoal.model.errors import ShoalError

_JSON = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@_JSON
@asks_node
@pass_target
def status(target: Target, as_json: bool) -> None:
    """Show how the cloud is, as the asked node sees it."""
    report = target.native().call("GET", "/v1/status")
    if as_json:
        print_json(report)
        return
    members = ", ".join(f"{count} {state}" for state, count in report["members"].items() if count)
    ready = "" if report["ready"] else ", not ready yet"
    lines = [
        ("node", f"{report['name']} ({short_id(report['node'])}) at {report['address']}{ready}"),
        ("cloud", report["cloud"]),
        ("version", report["version"]),
        ("discovery", _discovery(report)),
        ("nodes", members),
        *((f"vcluster {each['name']}", _care(each)) for each in report["vclusters"]),
    ]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        click.echo(f"{name:<{width}}  {text}")
    for text in (*report["risk"], *report["pending"]):
        click.secho(text, fg="yellow")


def _discovery(report: dict[str, Any]) -> str:
    offers = report["offers"]
    return f"{report['discovery']}, {offers} offers kept here" if offers else report["discovery"]


def _care(vcluster: dict[str, Any]) -> str:
    copies = ", ".join(vcluster["copies"]) or "none"
    return f"keeper {vcluster['keeper'] or 'none'}, copies {copies}"


@click.group()
def node() -> None:
    """List and inspect nodes."""


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
        print_table(head, map(_node_row, found))


def _node_row(each: dict[str, Any]) -> tuple[str, ...]:
    capacity, load, engine = each["capacity"], each["load"], each["engine"]
    address = f"[{each['address']}]" if ":" in each["address"] else each["address"]
    return (
        each["name"] + (" *" if each["here"] else ""),
        short_id(each["id"]),
        each["state"],
        each["site"],
        f"{address}:{each['port']}",
        engine["version"] if engine["up"] else "away",
        f"{cpu_words(load['cpu_millis'])}/{cpu_words(capacity['cpu_millis'])}",
        f"{size_words(load['memory'])}/{size_words(capacity['memory'])}",
        str(load["containers"]),
    )


@node.command("inspect")
@click.argument("nodes", nargs=-1, required=True)
@asks_node
@pass_target
def inspect_node(target: Target, nodes: tuple[str, ...]) -> None:
    """Show nodes in full, as JSON."""
    client = target.native()
    print_json([client.call("GET", f"/v1/nodes/{segment(ref)}") for ref in nodes])


@click.group()
def token() -> None:
    """Make tokens with which machines join."""


@token.command("create")
@click.option(
    "--ttl",
    type=Span(),
    default="1h",
    show_default=True,
    metavar="SPAN",
    help="How long it can be used: 30m, 12h, 7d.",
)
@_JSON
@asks_node
@pass_target
def create_token(target: Target, ttl: int, as_json: bool) -> None:
    """Print a token for `shoal join`. Who holds it can add machines until it expires."""
    answer = target.native().call("POST", "/v1/tokens", body={"ttl_seconds": ttl})
    if as_json:
        print_json(answer)
    else:
        click.echo(answer["token"])


@click.command()
@_JSON
@asks_node
@pass_target
def version(target: Target, as_json: bool) -> None:
    """Show the versions of this command and of the node."""
    try:
        client: Client = target.native()
        running = client.call("GET", "/v1/status")["version"]
    except ShoalError as error:
        running, missing = None, error.text
    if as_json:
        print_json({"client": shoal.__version__, "node": running})
        return
    click.echo(f"client  {shoal.__version__}")
    click.echo(f"node    {running or missing}")
