"""`shoal lab`: a cloud of several hosts on this machine, and its faults."""

import json
import os
from pathlib import Path
from typing import get_args

import click

from shoal.lab import Lab, LabError, Quality
from shoal.lab.system import environment, require_tools
from shoal.model.options import Discovery


def _lab(ctx: click.Context, _param: click.Parameter, name: str) -> Lab:
    if ctx.info_name != "status":
        require_tools()
    return Lab(name)


def _lab_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--name",
        "lab",
        default="lab",
        metavar="LAB",
        envvar="SHOAL_LAB",
        show_default=True,
        help="Which lab, if there are several.",
        callback=_lab,
    )(command)


@click.group()
def lab() -> None:
    """A real cloud of several hosts on this machine, with faults to put it through.

    Every host is a set of namespaces with its own name, address, container engine and daemon.
    Needs Linux and root.
    """


@lab.command()
@click.option("--hosts", default=3, show_default=True, help="How many; they are called a, b, c, …")
@click.option("--sites", multiple=True, metavar="SITE=HOST,…", help="Put hosts into a site.")
@click.option("--no-daemons", is_flag=True, help="Start engines only, no cloud.")
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="ARCHIVE",
    type=click.Path(path_type=Path),
    help="Load a `docker save` archive.",
)
@click.option(
    "--images-on",
    metavar="HOST,…",
    default="first",
    show_default=True,
    help="Which hosts get the images: `all`, `first` or names.",
)
@click.option("--record", is_flag=True, help="Record the daemons, for `shoal sim replay`.")
@click.option(
    "--discovery",
    type=click.Choice(get_args(Discovery)),
    default="view",
    show_default=True,
    help="How the cloud finds room, as of `shoal create`.",
)
@click.option("--keep", is_flag=True, help="If it fails, leave what is half made, to look at.")
@click.option("--progress/--quiet", default=True, help="Say what happens meanwhile.")
@_lab_option
def up(
    lab: Lab,
    *,
    hosts: int,
    sites: tuple[str, ...],
    no_daemons: bool,
    images: tuple[Path, ...],
    images_on: str,
    record: bool,
    discovery: Discovery,
    keep: bool,
    progress: bool,
) -> None:
    """Make a lab and start it."""
    lab.up(
        hosts=hosts,
        sites=_sites(sites),
        daemons=not no_daemons,
        images=images,
        images_on=images_on,
        record=record,
        discovery=discovery,
        keep=keep,
        progress=(lambda line: click.echo(line, err=True)) if progress else (lambda _line: None),
    )
    if record:
        files = " ".join(str(host.recording) for host in lab.hosts)
        click.echo(f"until `shoal lab down`: shoal sim replay {files}", err=True)
    if no_daemons:
        click.echo(f"export DOCKER_HOST=unix://{lab.hosts[0].engine_socket}")
    else:
        click.echo(f"docker context create shoal --docker host=unix://{lab.hosts[0].api_socket}")


@lab.command()
@_lab_option
def down(lab: Lab) -> None:
    """Stop a lab and remove everything of it, disks included."""
    lab.down()


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@_lab_option
def status(lab: Lab, *, as_json: bool) -> None:
    """Show the hosts of a lab."""
    report = lab.status()
    if as_json:
        click.echo(json.dumps(report, indent=2))
        return
    rows = [("HOST", "ADDRESS", "SITE", "STATE", "DOCKER API")]
    hosts = report["hosts"]
    assert isinstance(hosts, list)
    rows += [(h["name"], h["address"], h["site"], h["state"], h["api_socket"]) for h in hosts]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        line = "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


@lab.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@_lab_option
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(lab: Lab, *, host: str, command: tuple[str, ...]) -> None:
    """Run a command inside a host (there, `docker` asks the host's own engine)."""
    argv = lab.host(host).exec_argv(command)
    os.execvpe(argv[0], argv, environment())  # noqa: S606 - no shell: it takes our place


@lab.command()
@_lab_option
@click.argument("hosts", nargs=-1, required=True)
def kill(lab: Lab, *, hosts: tuple[str, ...]) -> None:
    """Cut the power of hosts; their disks stay."""
    lab.power_off(*hosts)


@lab.command()
@_lab_option
@click.argument("hosts", nargs=-1)
def start(lab: Lab, *, hosts: tuple[str, ...]) -> None:
    """Switch hosts on again; all that are off if none is named."""
    lab.start(*hosts)


@lab.command("start-daemon")
@_lab_option
@click.argument("hosts", nargs=-1, required=True)
def start_daemon(lab: Lab, *, hosts: tuple[str, ...]) -> None:
    """Start the daemon of hosts; one that is in no cloud yet joins that of the lab."""
    lab.start_daemons(hosts)


@lab.command("stop-daemon")
@_lab_option
@click.argument("host")
def stop_daemon(lab: Lab, *, host: str) -> None:
    """Ask a host's daemon to end; containers go on."""
    lab.host(host).stop_daemon()


@lab.command("kill-daemon")
@_lab_option
@click.argument("host")
def kill_daemon(lab: Lab, *, host: str) -> None:
    """kill -9 a host's daemon; containers go on."""
    lab.host(host).kill_daemon()


@lab.command()
@_lab_option
@click.argument("host")
def pause(lab: Lab, *, host: str) -> None:
    """Freeze a host's daemon (SIGSTOP) until `resume`."""
    lab.host(host).pause_daemon()


@lab.command()
@_lab_option
@click.argument("host")
def resume(lab: Lab, *, host: str) -> None:
    """Let a paused daemon go on."""
    lab.host(host).resume_daemon()


@lab.command()
@_lab_option
@click.argument("host")
@click.argument("seconds", type=click.FloatRange(min=0, max=600))
def block(lab: Lab, *, host: str, seconds: float) -> None:
    """Block the event loop of a host's daemon for a while."""
    lab.host(host).block_daemon(seconds)


@lab.command()
@_lab_option
@click.argument("groups", nargs=-1, required=True, metavar="HOST,HOST… …")
def partition(lab: Lab, *, groups: tuple[str, ...]) -> None:
    """Let hosts reach only those of their own group, as in `partition a,b c,d,e`.

    Hosts that are not named form one more group.
    """
    lab.partition([group.split(",") for group in groups])


@lab.command()
@_lab_option
def heal(lab: Lab) -> None:
    """End partitions and make all links good again."""
    lab.heal()


@lab.command()
@_lab_option
@click.argument("host")
@click.option("--delay", default="0ms", metavar="TIME", help="Each way: 50ms, 1.5s.")
@click.option("--jitter", default="0ms", metavar="TIME", help="How far the delay varies.")
@click.option("--loss", default="0%", metavar="PERCENT", help="Frames lost each way: 5%.")
@click.option("--rate", default="0bit", metavar="RATE", help="At most 10mbit, 500kbit a second.")
@click.option("--to", metavar="HOST", help="Only what is exchanged with this host.")
@click.option("--one-way", is_flag=True, help="Only what HOST sends.")
def netem(
    lab: Lab,
    *,
    host: str,
    delay: str,
    jitter: str,
    loss: str,
    rate: str,
    to: str | None,
    one_way: bool,
) -> None:
    """Make a host's link slow or lossy until `heal`."""
    quality = Quality(
        delay=_number(delay, "--delay", {"us": 1e-6, "ms": 1e-3, "s": 1.0}),
        jitter=_number(jitter, "--jitter", {"us": 1e-6, "ms": 1e-3, "s": 1.0}),
        loss=_number(loss, "--loss", {"%": 0.01}),
        rate=_number(rate, "--rate", {"kbit": 125.0, "mbit": 125e3, "gbit": 125e6, "bit": 0.125}),
    )
    lab.netem(host, quality, to=to, one_way=one_way)


def _number(text: str, option: str, units: dict[str, float]) -> float:
    for unit, factor in units.items():
        if text.endswith(unit):
            try:
                return float(text.removesuffix(unit)) * factor
            except ValueError:
                break
    raise LabError(f"{option} {text}: give a number with a unit ({', '.join(units)})")


def _sites(texts: tuple[str, ...]) -> dict[str, list[str]]:
    sites: dict[str, list[str]] = {}
    for text in texts:
        site, equals, hosts = text.partition("=")
        if not site or not equals or not hosts:
            raise LabError(f"--sites {text}: write SITE=HOST,HOST, for example north=a,b")
        sites.setdefault(site, []).extend(hosts.split(","))
    return sites
