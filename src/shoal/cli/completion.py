"""`shoal completion`: what a shell needs to complete our words."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print completion for a shell: eval "$(shoal completion bash)"."""
    from shoal.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "shoal", "_SHOAL_COMPLETE").source())
