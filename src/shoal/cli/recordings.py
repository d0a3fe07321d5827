"""`shoal sim replay`: have recorded nodes decide again."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shoal.cli.tables import print_json, print_table

if TYPE_CHECKING:
    from shoal.sim.recorded import Replayed


@click.command()
@click.argument(
    "files",
    metavar="FILE…",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def replay(ctx: click.Context, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Give the inputs in recordings to the nodes' cores again and compare what they decide.

    `shoal lab up --record` and `shoal daemon --record FILE` make recordings. Exit code 1 if
    a container would be placed otherwise now.
    """
    import msgspec

    from shoal.core.recording import read_frames
    from shoal.sim.recorded import replay as replay_one

    results: dict[str, Replayed] = {}
    for path in files:
        try:
            results[str(path)] = replay_one(read_frames(path.read_bytes()))
        except (ValueError, msgspec.MsgspecError):
            raise click.ClickException(
                f"{path} is no recording: make one by `shoal lab up --record`"
            ) from None
    if as_json:
        print_json({path: msgspec.to_builtins(result) for path, result in results.items()})
    else:
        _print(list(results.values()))
    ctx.exit(1 if any(result.differences for result in results.values()) else 0)


def _print(results: list["Replayed"]) -> None:
    rows = [
        (
            result.node,
            str(result.lives),
            str(result.steps),
            str(result.decisions),
            str(len(result.differences)),
            str(result.unlike),
        )
        for result in results
    ]
    print_table(("NODE", "STARTS", "STEPS", "PLACEMENTS", "DIFFERENT", "OTHER EFFECTS"), rows)
    for result in results:
        for one in result.differences:
            click.echo(f"{result.node}: step {one.step} ({one.event})")
            for word, decisions in (("recorded", one.recorded), ("now", one.replayed)):
                for decision in decisions:
                    where = f"{decision.container[:12]} on {decision.node[:12]}"
                    click.echo(f"  {word}: {where} ({decision.reason})")
