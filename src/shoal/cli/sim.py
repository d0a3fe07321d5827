"""`shoal sim`: experiments with very many simulated nodes, each command imported when called."""

import click

from shoal.cli.lazy import Entry, LazyGroup

_EXPERIMENTS = "shoal.cli.experiments"


@click.group(
    cls=LazyGroup,
    entries={
        "run": Entry(_EXPERIMENTS, "run", "Run the experiment in a file"),
        "compare": Entry(_EXPERIMENTS, "compare", "Show the figures of several results"),
        "report": Entry(_EXPERIMENTS, "report", "Draw the pictures of results into one HTML file"),
        "replay": Entry("shoal.cli.recordings", "replay", "Have recorded nodes decide again"),
    },
)
def sim() -> None:
    """Try out a cloud of very many nodes in virtual time, with the daemon's own code.

    An experiment is a TOML file; its results are a directory with figures, tables and a report.
    """
