"""Which node the command talks to, and about which vcluster."""

import contextlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from shoal.cli.client import Client, is_listening
from shoal.model.errors import BadRequest, NotSupported, ShoalError

NATIVE = "shoal.sock"
DOCKER = "docker.sock"
RUN_DIR = "/run/shoal"
DEFAULT_VCLUSTER = "default"

#: A lab's host that does not say how it is within this time counts as dead: ask the next one.
PROBE_SECONDS = 2.0


class Target:
    """Where the user's options and environment point. `host` is "" where nothing was said."""

    def __init__(self, *, host: str = "", vcluster: str = DEFAULT_VCLUSTER) -> None:
        self.host = host
        self.vcluster = vcluster

    def native(self) -> Client:
        """The native API of the node. Raises Unavailable, BadRequest."""
        return Client(f"{self._directory()}/{NATIVE}")

    def docker(self) -> Client:
        """Docker's API of the same node; it serves the vcluster `default` only."""
        if self.vcluster != DEFAULT_VCLUSTER:
            raise NotSupported(
                f"this command works in the vcluster `{DEFAULT_VCLUSTER}` only, "
                f"not in `{self.vcluster}`"
            )
        return Client(f"{self._directory()}/{DOCKER}")

    def _directory(self) -> str:
        if not self.host:
            self.host = _find()
        return _parse(self.host)


def _parse(host: str) -> str:
    """Directory of the sockets that `-H` names by either of them, or by itself."""
    path = host.removeprefix("unix://")
    if not path.startswith("/"):
        raise BadRequest(f"`{host}` is not unix:///path/to/{NATIVE}: nodes are asked by a socket")
    return os.path.dirname(path) if path.endswith(".sock") else path.rstrip("/")


def _find() -> str:
    """This machine's own node where there is one, else a living host of a running lab."""
    own = _own_directories()
    for directory in own:
        if is_listening(f"{directory}/{NATIVE}"):
            return directory
    for directory in _lab_directories():
        if _answers(directory):
            return directory
    return own[0]


def _own_directories() -> list[str]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0 or not runtime:
        return [RUN_DIR]
    return [f"{runtime}/shoal", RUN_DIR]


def _lab_directories() -> list[str]:
    """Socket directories of labs' hosts, those of the lab without a name of its own first, in
    the order of their names: LAB/HOST below the labs' root, as shoal.lab.spec lays them out
    (importing that would take longer than asking)."""
    root = os.environ.get("SHOAL_LAB_RUN", "/run/shoal-lab")
    found = []
    with contextlib.suppress(OSError):
        for lab in os.scandir(root):
            named = lab.name != "lab"
            found += [
                (named, lab.name, len(host.name), host.name, host.path) for host in _inside(lab)
            ]
    return [path for *_, path in sorted(found)]


def _inside(lab: "os.DirEntry[str]") -> list["os.DirEntry[str]"]:
    return [host for host in os.scandir(lab) if host.is_dir()] if lab.is_dir() else []


def _answers(directory: str) -> bool:
    with contextlib.suppress(ShoalError):
        Client(f"{directory}/{NATIVE}").call("GET", "/v1/status", timeout=PROBE_SECONDS)
        return True
    return False


Command = TypeVar("Command", bound=Callable[..., Any])


def asks_node(command: Command) -> Command:
    """Let the command take `-H` and `--vcluster` of its own, besides those before its name."""
    host = click.option(
        "-H",
        "--host",
        metavar="SOCKET",
        expose_value=False,
        callback=_set_host,
        help="Socket of the node to ask (SHOAL_HOST).",
    )
    vcluster = click.option(
        "--vcluster",
        metavar="NAME",
        expose_value=False,
        callback=_set_vcluster,
        help="Virtual cluster (SHOAL_VCLUSTER).",
    )
    return host(vcluster(command))


def _set_host(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        ctx.obj = Target(host=value, vcluster=ctx.obj.vcluster)


def _set_vcluster(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value:
        ctx.obj = Target(host=ctx.obj.host, vcluster=value)
