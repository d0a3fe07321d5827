"""Commands for containers that need only a question and an answer."""

from collections.abc import Callable
from typing import Any

import click

from shoal.cli.client import Query, segment
from shoal.cli.tables import print_json, print_table, short_id, warn
from shoal.cli.target import Target, asks_node
from shoal.model.errors import NotFound, ShoalError

#: How long the node itself may take, which see.
_SLACK_SECONDS = 90.0
_LONG_SECONDS = 600.0

pass_target = click.make_pass_decorator(Target)


def _containers(target: Target) -> str:
    return f"/v1/vclusters/{segment(target.vcluster)}/containers"


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that do not run.")
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option(
    "-f",
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME=VALUE",
    help="ancestor, id, label, name, node or status; may be repeated.",
)
@click.option("--no-trunc", is_flag=True, help="Ids and images in full.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@asks_node
@pass_target
def ps(
    target: Target,
    everything: bool,
    quiet: bool,
    filters: tuple[str, ...],
    no_trunc: bool,
    as_json: bool,
) -> None:
    """List containers of the whole cloud."""
    query: Query = {"all": everything, "filter": list(filters)}
    listing = target.native().call("GET", _containers(target), query=query)
    found = listing["containers"]
    if as_json:
        print_json(found)
    elif quiet:
        for each in found:
            click.echo(each["id"] if no_trunc else short_id(each["id"]))
    else:
        _print_containers(found, in_full=no_trunc)
    _warn_of_gaps(listing)


def _print_containers(found: list[dict[str, Any]], *, in_full: bool) -> None:
    head = ["CONTAINER ID", "IMAGE", "STATUS", "PORTS", "NAMES", "NODE"]
    rows = [_row(each, in_full=in_full) for each in found]
    if any(each["note"] for each in found):
        head.append("NOTE")
        rows = [[*row, each["note"]] for row, each in zip(rows, found, strict=True)]
    print_table(head, rows)


def _row(each: dict[str, Any], *, in_full: bool) -> list[str]:
    identifier = each["id"] if in_full else short_id(each["id"])
    ports = ", ".join(map(_port_words, each["ports"]))
    image = each["image"]
    if image.startswith("sha256:") and not in_full:
        image = short_id(image.removeprefix("sha256:"))
    return [identifier, image, each["status"], ports, each["name"], each["node"]]


def _port_words(port: dict[str, Any]) -> str:
    inside = f"{port['container_port']}/{port['protocol']}"
    if not port["host_port"]:
        return inside
    address = f"[{port['address']}]" if ":" in port["address"] else port["address"]
    return f"{address}:{port['host_port']}->{inside}"


def _warn_of_gaps(listing: dict[str, Any]) -> None:
    if listing["partial"]:
        warn("no copy of the records can be reached: only containers of reachable hosts are shown")
    elif listing["stale"]:
        warn("the keeper cannot be reached: this is what its copies knew last")


def for_each(refs: tuple[str, ...], act: Callable[[str], object]) -> None:
    """Act on each thing; print those that worked, as Docker does, and fail if any did not."""
    failed = False
    for ref in refs:
        try:
            act(ref)
        except ShoalError as error:
            warn(error.text)
            failed = True
        else:
            click.echo(ref)
    if failed:
        raise click.exceptions.Exit(1)


def _act(target: Target, refs: tuple[str, ...], action: str, **body: Any) -> None:
    client, path = target.native(), _containers(target)
    timeout = body.get("timeout")
    grace = _LONG_SECONDS if timeout is None else timeout
    patience = _SLACK_SECONDS + grace if grace >= 0 else None

    def act(ref: str) -> None:
        where = f"{path}/{segment(ref)}/{action}"
        client.call("POST", where, body=body, timeout=patience)

    for_each(refs, act)


_REFS = click.argument("containers", nargs=-1, required=True)
_TIME = click.option(
    "-t",
    "--timeout",
    "--time",
    "timeout",
    type=int,
    metavar="SECONDS",
    help="Seconds to wait before killing it.",
)
_SIGNAL = click.option("-s", "--signal", default="", metavar="SIGNAL", help="Signal to send.")


@click.command()
@_REFS
@asks_node
@pass_target
def start(target: Target, containers: tuple[str, ...]) -> None:
    """Start containers."""
    _act(target, containers, "start")


@click.command()
@_TIME
@_SIGNAL
@_REFS
@asks_node
@pass_target
def stop(target: Target, containers: tuple[str, ...], timeout: int | None, signal: str) -> None:
    """Stop containers."""
    _act(target, containers, "stop", timeout=timeout, signal=signal)


@click.command()
@_TIME
@_SIGNAL
@_REFS
@asks_node
@pass_target
def restart(target: Target, containers: tuple[str, ...], timeout: int | None, signal: str) -> None:
    """Restart containers."""
    _act(target, containers, "restart", timeout=timeout, signal=signal)


@click.command()
@_SIGNAL
@_REFS
@asks_node
@pass_target
def kill(target: Target, containers: tuple[str, ...], signal: str) -> None:
    """Send containers a signal, SIGKILL unless told otherwise."""
    _act(target, containers, "kill", signal=signal)


@click.command()
@click.option("-f", "--force", is_flag=True, help="Kill it first when it runs.")
@click.option("-v", "--volumes", is_flag=True, help="Remove its anonymous volumes too.")
@_REFS
@asks_node
@pass_target
def rm(target: Target, containers: tuple[str, ...], force: bool, volumes: bool) -> None:
    """Remove containers and free their names."""
    client, path = target.native(), _containers(target)
    query: Query = {"force": force, "volumes": volumes}

    def remove(ref: str) -> None:
        try:
            where = f"{path}/{segment(ref)}"
            client.call("DELETE", where, query=query, timeout=_SLACK_SECONDS)
        except NotFound as error:
            if not force:
                raise
            warn(error.text)

    for_each(containers, remove)


@click.command()
@_REFS
@asks_node
@pass_target
def inspect(target: Target, containers: tuple[str, ...]) -> None:
    """Show containers in full, as Docker's inspect does."""
    client = target.docker()
    found, failures = [], []
    for ref in containers:
        try:
            found.append(client.call("GET", f"/containers/{segment(ref)}/json"))
        except ShoalError as error:
            failures.append(error.text)
    print_json(found)
    for text in failures:
        warn(text)
    if failures:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("container")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@asks_node
@pass_target
def why(target: Target, container: str, as_json: bool) -> None:
    """Say why a container is where it is, or nowhere, node by node."""
    answer = target.native().call("GET", f"{_containers(target)}/{segment(container)}/why")
    if as_json:
        print_json(answer)
        return
    click.echo(answer["summary"])
    if answer["verdicts"]:
        click.echo()
        print_table(("NODE", "FITS", "SCORE", "REASON"), map(_verdict, answer["verdicts"]))
    if answer["history"]:
        click.echo()
        for line in answer["history"]:
            click.echo(line)


def _verdict(verdict: dict[str, Any]) -> tuple[str, str, str, str]:
    if verdict["eligible"]:
        return verdict["node"], "yes", str(verdict["score"]), verdict["reason"]
    reason = ": ".join(filter(None, (verdict["filter"], verdict["reason"])))
    return verdict["node"], "no", "", reason
