"""`shoal events`: what happened to containers, on which host."""

import json
from datetime import datetime
from typing import Any

import click

from shoal.cli.client import Query, segment
from shoal.cli.containers import pass_target
from shoal.cli.tables import short_id
from shoal.cli.target import Target, asks_node
from shoal.cli.times import Point


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("--since", type=Point(), metavar="TIME", help="From then on: 10m, a date or time.")
@click.option("--until", type=Point(), metavar="TIME", help="Up to then.")
@click.option("--json", "as_json", is_flag=True, help="One JSON value a line.")
@asks_node
@pass_target
def events(
    target: Target, follow: bool, since: int | None, until: int | None, as_json: bool
) -> None:
    """Show the last events of containers that the asked node remembers."""
    path = f"/v1/vclusters/{segment(target.vcluster)}/events"
    query: Query = {"follow": follow, "since": since, "until": until}
    for event in target.native().lines("GET", path, query=query):
        click.echo(json.dumps(event) if as_json else _words(event))


def _words(event: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(event["time"] / 1e9).astimezone()
    more = {"image": event["image"], **event["attributes"]}
    details = ", ".join(f"{key}={value}" for key, value in more.items() if value and key != "name")
    time = at.isoformat(timespec="milliseconds")
    return (
        f"{time} {event['host']} container {event['action']} {event['name']} "
        f"{short_id(event['id'])} ({details})"
    )
