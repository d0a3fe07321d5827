"""The flags of `shoal run`: Docker's, and Shoal's own at the end."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Command], Command]


def _flag(*names: str, about: str) -> Any:
    return click.option(*names, is_flag=True, help=about)


def _text(*names: str, about: str, metavar: str = "TEXT") -> Any:
    return click.option(*names, default="", metavar=metavar, help=about)


def _many(*names: str, about: str, metavar: str) -> Any:
    return click.option(*names, multiple=True, metavar=metavar, help=about)


def _number(*names: str, about: str, default: int | None = 0) -> Any:
    return click.option(*names, type=int, default=default, metavar="N", help=about)


_OPTIONS = (
    _flag("-d", "--detach", about="Print the id and let it run in the background."),
    _flag("-i", "--interactive", about="Keep standard input open."),
    _flag("-t", "--tty", about="Give it a terminal."),
    _flag("--rm", about="Remove it when it ends."),
    _text("--name", about="Name; default: one is made up.", metavar="NAME"),
    _many("-p", "--publish", about="Publish a port.", metavar="[[IP:]HOST:]CONTAINER[/PROTO]"),
    _flag("-P", "--publish-all", about="Publish all exposed ports at ports of the host's choice."),
    _many("--expose", about="Expose a port.", metavar="PORT"),
    _many("-v", "--volume", about="Bind a directory or a volume.", metavar="[SOURCE:]TARGET[:ro]"),
    _many("--mount", about="Mount in full words.", metavar="type=…,source=…,target=…"),
    _many("--tmpfs", about="Mount a tmpfs.", metavar="TARGET[:OPTIONS]"),
    _many("-e", "--env", about="Set a variable, or pass it on.", metavar="NAME[=VALUE]"),
    _many("--env-file", about="Set variables from a file.", metavar="FILE"),
    _many("-l", "--label", about="Set a label.", metavar="KEY[=VALUE]"),
    _text("-w", "--workdir", about="Working directory.", metavar="DIR"),
    _text("-u", "--user", about="User and group.", metavar="UID[:GID]"),
    click.option("--entrypoint", metavar="COMMAND", help="Instead of the image's; `` for none."),
    _text("-h", "--hostname", about="Hostname.", metavar="NAME"),
    _text("-m", "--memory", about="Memory limit.", metavar="SIZE"),
    _text("--memory-reservation", about="Memory that placement counts.", metavar="SIZE"),
    _text("--memory-swap", about="Memory and swap; -1: no limit.", metavar="SIZE"),
    _text("--cpus", about="Cores, also fractions.", metavar="NUMBER"),
    _number("-c", "--cpu-shares", about="Relative weight."),
    _text("--cpuset-cpus", about="Cores for it alone.", metavar="0-2,4"),
    _number("--pids-limit", about="Most processes; -1: no limit."),
    _text("--shm-size", about="Size of /dev/shm.", metavar="SIZE"),
    _many("--ulimit", about="Set a ulimit.", metavar="NAME=SOFT[:HARD]"),
    _text("--restart", about="no, always, unless-stopped, on-failure[:N].", metavar="POLICY"),
    _text("--network", "--net", about="Network.", metavar="NETWORK"),
    _many("--dns", about="DNS server.", metavar="IP"),
    _many("--dns-search", about="DNS search domain.", metavar="DOMAIN"),
    _many("--add-host", about="Line of /etc/hosts.", metavar="NAME:IP"),
    _flag("--privileged", about="All rights on its host."),
    _many("--cap-add", about="Add a capability.", metavar="CAP"),
    _many("--cap-drop", about="Drop a capability.", metavar="CAP"),
    _many("--security-opt", about="Security option.", metavar="OPTION"),
    _many("--group-add", about="Add a group.", metavar="GROUP"),
    _many("--device", about="Add a device of the host.", metavar="HOST[:CONTAINER][:rwm]"),
    _flag("--read-only", about="Mount its root read-only."),
    _flag("--init", about="Run an init in it."),
    _text("--platform", about="Platform of the image.", metavar="OS/ARCH"),
    _text("--stop-signal", about="Signal that stops it.", metavar="SIGNAL"),
    _number("--stop-timeout", about="Seconds to stop before it is killed.", default=None),
    click.option(
        "--pull",
        type=click.Choice(["always", "missing", "never"]),
        default="missing",
        help="When to pull the image.",
    ),
    _flag("-q", "--quiet", about="No output while pulling."),
    click.option(
        "--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the container."
    ),
    click.option(
        "--cpu-class",
        type=click.Choice(["0", "1", "slow", "fast", "low", "high"]),
        help="Only nodes with such cores.",
    ),
    _many("--constraint", about="Only nodes that fit: node.labels.disk==ssd.", metavar="EXPR"),
    click.option(
        "--placement",
        type=click.Choice(["spread", "binpack"]),
        help="Spread over nodes, or fill one after the other.",
    ),
    _text("--node", about="Only this node.", metavar="NODE"),
)


def takes_run_options(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
