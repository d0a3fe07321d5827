"""`shoal create`, `join` and `daemon`: they turn this machine into a node."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from shoal.cli.settings import CPU_CLASSES, load_options
from shoal.model.errors import BadRequest
from shoal.model.options import (
    DEFAULT_ENGINE,
    DEFAULT_PORT,
    DEFAULT_SITE,
    Discovery,
    NodeOptions,
)

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--name", metavar="NAME", help="Name of this node; default: the hostname."),
    click.option("--address", metavar="IP", help="IPv4 or IPv6 address that other nodes dial."),
    click.option("--port", type=int, metavar="PORT", help=f"TCP and UDP port [{DEFAULT_PORT}]."),
    click.option("--site", metavar="SITE", help=f"Site of this node [{DEFAULT_SITE}]."),
    click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be repeated."),
    click.option(
        "--cpu-class", type=click.Choice(list(CPU_CLASSES)), help="How fast its cores are."
    ),
    click.option("--engine", metavar="SOCKET", help=f"Container engine [{DEFAULT_ENGINE}]."),
    click.option("--state-dir", metavar="DIR", type=click.Path(), help="Keys, records and log."),
    click.option("--run-dir", metavar="DIR", type=click.Path(), help="Sockets of the APIs."),
    click.option(
        "--record",
        metavar="FILE",
        type=click.Path(),
        help="Write all that this node hears and decides to FILE, for `shoal sim replay`.",
    ),
    click.option("--config", metavar="FILE", help="Settings [/etc/shoal/shoal.toml]."),
    click.option("--detach", is_flag=True, help="Go on in the background once it is ready."),
)


def _takes_options(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.option(
    "--discovery",
    type=click.Choice(get_args(Discovery)),
    default="view",
    show_default=True,
    help="How the nodes of the cloud find room, for good: by what membership tells each of all "
    "others (view), by offers on the ring, or at random.",
)
@_takes_options
def create(discovery: Discovery, **given: Any) -> None:
    """Start a new cloud with this machine as its first node."""
    options = _options(given)

    def serve() -> None:
        from shoal.node.main import create as create_node

        create_node(options, discovery)

    _serve(options, serve, detach=given["detach"], done="created a cloud")


@click.command()
@click.argument("token", required=False)
@click.option("--token-file", metavar="FILE", help="Read the token from FILE, `-`: standard input.")
@_takes_options
def join(token: str | None, token_file: str | None, **given: Any) -> None:
    """Add this machine to the cloud that TOKEN (from `shoal token create`) invites to.

    A token among the arguments can be seen in the process list for a moment; `--token-file`
    keeps it out.
    """
    options = _options(given)
    secret = _read_token(token, token_file)

    def serve() -> None:
        from shoal.node.main import join as join_node

        join_node(options, secret)

    _serve(options, serve, detach=given["detach"], done="joined the cloud")


@click.command()
@_takes_options
def daemon(**given: Any) -> None:
    """Run the node again that `create` or `join` has made on this machine."""
    options = _options(given, again=True)

    def serve() -> None:
        from shoal.node.main import daemon as run_node

        run_node(options)

    _serve(options, serve, detach=given["detach"], done="started")


def _serve(options: NodeOptions, serve: Callable[[], None], *, detach: bool, done: str) -> None:
    if not detach:
        serve()
        return
    from shoal.cli.detach import start_detached

    pid = start_detached(options, serve)
    click.echo(
        f"{options.name}: {done}; process {pid}, log {options.log_file}\n"
        f"docker -H unix://{options.docker_socket} ps"
    )


def _options(given: dict[str, Any], *, again: bool = False) -> NodeOptions:
    flags = {
        name.replace("_", "-"): value
        for name, value in given.items()
        if value is not None and name not in ("labels", "config", "detach")
    }
    for name in ("state-dir", "run-dir", "record"):
        if name in flags:
            flags[name] = os.path.abspath(flags[name])
    if "cpu-class" in flags:
        flags["cpu-class"] = CPU_CLASSES[flags["cpu-class"]]
    if given["labels"]:
        flags["labels"] = dict(map(_label, given["labels"]))
    return load_options(flags, config=given["config"] or "", again=again)


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise BadRequest(f"--label: `{text}` is not KEY=VALUE")
    return key, value


def _read_token(token: str | None, token_file: str | None) -> str:
    if (token is None) == (token_file is None):
        raise click.UsageError("give either TOKEN or --token-file", click.get_current_context())
    if token is not None:
        _hide_token(token)
    try:
        if token_file == "-":  # noqa: S105 (the name of a file)
            return sys.stdin.readline().strip()
        with open(str(token_file)) as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise BadRequest(f"{token_file}: {reason}") from None


def _hide_token(token: str) -> None:
    """Start this command anew with the token on standard input instead of in the process list,
    where it would stand for as long as the node runs."""
    reading, writing = os.pipe()
    os.write(writing, token.encode() + b"\n")
    os.close(writing)
    os.dup2(reading, sys.stdin.fileno())
    words = ["--token-file=-" if word == token else word for word in sys.argv[1:] if word != "--"]
    os.execv(sys.executable, [sys.executable, "-m", "shoal", *words])  # noqa: S606 (no shell)
