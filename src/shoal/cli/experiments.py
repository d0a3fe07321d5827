"""`shoal sim run`, `compare` and `report`."""

import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from shoal.core.discovery.contract import STRATEGIES, StrategyName
from shoal.model.errors import BadRequest
from shoal.sim.experiments import checkpoint, tables, toml
from shoal.sim.experiments import experiment as described
from shoal.sim.experiments.report.page import page, short_names
from shoal.sim.experiments.report.table import plain
from shoal.sim.experiments.results import RUN, SUMMARY, Result, is_finished, outside
from shoal.sim.experiments.runner import Order
from shoal.sim.experiments.sweep import carry_out_all

_INTERRUPTED = 128 + signal.SIGINT


class _Duration(click.ParamType[described.Duration]):
    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> described.Duration:
        try:
            return toml.duration(str(value))
        except ValueError as error:
            self.fail(f'{error}; write for example "90s", "15m" or "2h"', param, ctx)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Where directories of results go, one for each run.",
)
@click.option("--nodes", type=click.IntRange(1), multiple=True, help="Instead of the file's.")
@click.option("--seed", "seeds", type=click.IntRange(0), multiple=True, help="Likewise.")
@click.option(
    "--strategy",
    "strategies",
    type=click.Choice(STRATEGIES),
    multiple=True,
    help="Likewise.",
)
@click.option("--duration", type=_Duration(), help="Virtual time, such as 20m, likewise.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "csv"]),
    default="parquet",
    show_default=True,
    help="Of the tables of nodes and requests.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=1, show_default=True, help="Runs at a time."
)
@click.option("--executor", metavar="dask://HOST:PORT", help="Run on a Dask cluster.")
@click.option("--stop-after", type=_Duration(), help="Stop at this virtual time, to go on later.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run stopped.")
@click.option("--quiet", is_flag=True, help="No progress.")
def run(
    file: Path,
    out: Path,
    nodes: tuple[int, ...],
    seeds: tuple[int, ...],
    strategies: tuple[StrategyName, ...],
    duration: described.Duration | None,
    form: tables.Format,
    jobs: int,
    executor: str | None,
    stop_after: described.Duration | None,
    resume: bool,
    quiet: bool,
) -> None:
    """Run the experiment in FILE; Ctrl-C leaves a checkpoint for --resume."""
    tables.check(form)
    experiment = toml.read(file)
    sweep = msgspec.structs.replace(
        experiment.sweep,
        **{
            name: list(given)
            for name, given in (("nodes", nodes), ("seeds", seeds), ("strategies", strategies))
            if given
        },
    )
    experiment = msgspec.structs.replace(
        experiment, sweep=sweep, duration=duration or experiment.duration
    )
    command = shlex.join(["shoal", *sys.argv[1:]])
    orders = [
        Order(
            experiment=single,
            base=file.parent,
            command=command,
            directory=out / single.label,
            resume=resume,
            stop_after=stop_after,
            quiet=quiet,
        )
        for single in described.runs(experiment)
        if not (resume and is_finished(single, out / single.label))
    ]
    wrong: list[str] = []
    interrupted = False
    try:
        for order, result in carry_out_all(orders, jobs=jobs, executor=executor):
            if result is None:
                interrupted = True
                click.echo(f"{order.experiment.label}: interrupted", err=True)
            else:
                _keep(result, out / order.experiment.label, form)
                wrong += outside(result.summary, order.experiment.bands)
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        click.echo("interrupted: the same command goes on with --resume", err=True)
    for line in wrong:
        click.echo(f"shoal: {line}", err=True)
    if interrupted or wrong:
        sys.exit(_INTERRUPTED if interrupted else 1)


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
def compare(results: tuple[Path, ...]) -> None:
    """Print the figures of several RESULTS (directories) side by side."""
    summaries, runs = _read(results)
    click.echo(plain(summaries, runs, short_names(summaries)))


@click.command()
@click.argument("results", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
)
def report(results: tuple[Path, ...], out: Path) -> None:
    """Write one HTML file with the pictures of RESULTS (directories) and a table."""
    summaries, runs = _read(results)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(summaries, runs), encoding="utf-8")
    click.echo(out)


def _keep(result: Result, directory: Path, form: tables.Format) -> None:
    result.save(directory, form)
    text = page([result.summary], [result.run])
    (directory / "report.html").write_text(text, encoding="utf-8")
    checkpoint.remove(directory)
    click.echo(directory)


def _read(directories: tuple[Path, ...]) -> tuple[list[Any], list[Any]]:
    found: list[tuple[Any, Any]] = []
    for directory in directories:
        try:
            found.append(
                tuple(
                    msgspec.json.decode((directory / name).read_bytes()) for name in (SUMMARY, RUN)
                )
            )
        except (OSError, msgspec.DecodeError) as error:
            raise BadRequest(f"{directory} holds no result of `shoal sim run`: {error}") from error
    return [summary for summary, _ in found], [run for _, run in found]
