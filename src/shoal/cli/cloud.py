"""Commands for the cloud itself: how it is, its tokens, its versions."""

import time
from typing import Any

import click

import shoal
from shoal.cli.client import Client, segment
from shoal.cli.containers import for_each, pass_target
from shoal.cli.tables import print_json, print_table, short_id
from shoal.cli.target import Target, asks_node
from shoal.cli.times import Span, span_words
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
def token() -> None:
    """Make, list and remove tokens with which machines join."""


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


@token.command("ls")
@_JSON
@asks_node
@pass_target
def list_tokens(target: Target, as_json: bool) -> None:
    """List tokens, but not their secrets."""
    found = target.native().call("GET", "/v1/tokens")
    if as_json:
        print_json(found)
        return
    now = time.time_ns()
    rows = [
        (
            each["id"],
            f"{span_words(now - each['created'])} ago",
            _expiry(each["expires"], now),
            each["made_on"],
        )
        for each in found
    ]
    print_table(("TOKEN", "CREATED", "EXPIRES", "MADE ON"), rows)


def _expiry(expires: int, now: int) -> str:
    if not expires:
        return "never"
    return f"in {span_words(expires - now)}" if expires > now else "expired"


@token.command("rm")
@click.argument("tokens", nargs=-1, required=True, metavar="TOKEN...")
@asks_node
@pass_target
def remove_tokens(target: Target, tokens: tuple[str, ...]) -> None:
    """Let nobody join any more with these tokens, named by id or its beginning."""
    client = target.native()
    for_each(tokens, lambda ref: client.call("DELETE", f"/v1/tokens/{segment(ref)}"))


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
