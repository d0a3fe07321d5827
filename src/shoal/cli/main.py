"""The `shoal` command: its groups, its options for all commands, and how it ends."""

import os
import signal
import sys
from typing import NoReturn

import click

import shoal
from shoal.cli.lazy import Entry, LazyGroup
from shoal.cli.target import Target
from shoal.model.errors import ShoalError

#: What Docker's client answers when it is called wrongly.
USAGE = 125

_CONTAINERS = "shoal.cli.containers"
_CLOUD = "shoal.cli.cloud"
_NODE = "shoal.cli.setup"

_CONTAINER_COMMANDS = {
    "run": Entry("shoal.cli.run", "run", "Create a container and start it"),
    "ps": Entry(_CONTAINERS, "ps", "List containers"),
    "start": Entry(_CONTAINERS, "start", "Start containers"),
    "stop": Entry(_CONTAINERS, "stop", "Stop containers"),
    "restart": Entry(_CONTAINERS, "restart", "Restart containers"),
    "kill": Entry(_CONTAINERS, "kill", "Send containers a signal"),
    "rm": Entry(_CONTAINERS, "rm", "Remove containers"),
    "logs": Entry("shoal.cli.logs", "logs", "Show what a container has printed"),
    "inspect": Entry(_CONTAINERS, "inspect", "Show containers in full, as JSON"),
    "why": Entry(_CONTAINERS, "why", "Say why a container is where it is, or nowhere"),
}

_COMMANDS = {
    "create": Entry(_NODE, "create", "Start a new cloud on this machine"),
    "join": Entry(_NODE, "join", "Add this machine to a cloud"),
    "daemon": Entry(_NODE, "daemon", "Run this machine's node again"),
    **_CONTAINER_COMMANDS,
    "events": Entry("shoal.cli.events", "events", "Show what happened to containers"),
    "status": Entry(_CLOUD, "status", "Show how the cloud is"),
    "doctor": Entry("shoal.cli.doctor", "doctor", "Say what is wrong with this node, and its fix"),
    "top": Entry("shoal.cli.top", "top", "Watch what nodes have promised of what they have"),
    "debug": Entry("shoal.cli.debug", "debug", "Collect what helps to find out what is wrong"),
    "node": Entry("shoal.cli.nodes", "node", "List, label, cordon and drain nodes"),
    "token": Entry(_CLOUD, "token", "Make, list and remove tokens for joining"),
    "lab": Entry("shoal.cli.lab", "lab", "A cloud of several hosts on this machine, with faults"),
    "sim": Entry("shoal.cli.sim", "sim", "Experiments with very many simulated nodes"),
    "container": Entry("shoal.cli.main", "container", "The commands for containers once more"),
    "version": Entry(_CLOUD, "version", "Show versions"),
    "completion": Entry("shoal.cli.completion", "completion", "Print completion for a shell"),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, context_settings={"auto_envvar_prefix": None})
@click.option(
    "-H",
    "--host",
    metavar="SOCKET",
    help="Socket of the node to ask (SHOAL_HOST); default: this machine's own node, else the "
    "first living host of a lab.",
)
@click.option("--vcluster", metavar="NAME", help="Virtual cluster (SHOAL_VCLUSTER).")
@click.version_option(shoal.__version__, message="shoal %(version)s")
@click.pass_context
def cli(ctx: click.Context, host: str | None, vcluster: str | None) -> None:
    """Any set of Linux machines as one Docker host, with no master."""
    environment = os.environ
    ctx.obj = Target(
        host=host or environment.get("SHOAL_HOST", ""),
        vcluster=vcluster or environment.get("SHOAL_VCLUSTER") or "default",
    )
    if environment.get("NO_COLOR"):
        ctx.color = False


@click.group(cls=LazyGroup, entries=_CONTAINER_COMMANDS)
def container() -> None:
    """Run, list, stop and inspect containers."""


container.entries["ls"] = container.entries["ps"]


def main() -> NoReturn:
    """Run the command of this process; every error is one line, every end has Docker's code."""
    try:
        code = cli.main(prog_name="shoal", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        code = _fail(error.format_message().rstrip(".") + hint, USAGE)
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code)
    except ShoalError as error:
        code = _fail(error.text, 1)
    except (KeyboardInterrupt, click.Abort):
        code = 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read us has gone; a second attempt to flush at exit would only print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> int:
    click.echo(f"shoal: {text}", err=True)
    return code
