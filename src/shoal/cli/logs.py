"""`shoal logs`: what a container has printed."""

import click

from shoal.cli.client import Query, segment
from shoal.cli.containers import pass_target
from shoal.cli.streams import copy_output
from shoal.cli.target import Target, asks_node
from shoal.cli.times import Point


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last lines.")
@click.option("--since", type=Point(), metavar="TIME", help="From then on: 10m, a date or time.")
@click.option("--until", type=Point(), metavar="TIME", help="Up to then.")
@click.option("-t", "--timestamps", is_flag=True, help="The time before each line.")
@click.argument("container")
@asks_node
@pass_target
def logs(
    target: Target,
    container: str,
    follow: bool,
    tail: str,
    since: int | None,
    until: int | None,
    timestamps: bool,
) -> None:
    """Show what a container has printed."""
    client = target.docker()
    path = f"/containers/{segment(container)}"
    terminal = client.call("GET", f"{path}/json")["Config"]["Tty"]
    query: Query = {
        "stdout": True,
        "stderr": True,
        "follow": follow,
        "tail": tail,
        "since": _seconds(since),
        "until": _seconds(until),
        "timestamps": timestamps,
    }
    with client.open("GET", f"{path}/logs", query=query, endless=follow) as response:
        copy_output(lambda: response.read1(65536), raw=terminal)


def _seconds(point: int | None) -> str | None:
    """Docker's form: seconds and nanoseconds."""
    if point is None:
        return None
    seconds, rest = divmod(point, 1_000_000_000)
    return f"{seconds}.{rest:09d}"
