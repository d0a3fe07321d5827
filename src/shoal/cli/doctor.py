"""`shoal doctor`: what is wrong with this node, and what to do about it."""

import asyncio
from typing import Any

import click

from shoal.cli.containers import pass_target
from shoal.cli.tables import print_json
from shoal.cli.target import Target, asks_node
from shoal.model.errors import ShoalError, Unavailable

#: The node itself ends its examination before that.
_PATIENCE = 60.0
_COLOURS = {"problem": "red", "warning": "yellow", "ok": "green"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--config", metavar="FILE", help="Settings [/etc/shoal/shoal.toml].")
@click.option("--state-dir", metavar="DIR", help="Keys, records and log of the node.")
@asks_node
@pass_target
@click.pass_context
def doctor(
    ctx: click.Context, target: Target, as_json: bool, config: str | None, state_dir: str | None
) -> None:
    """Examine this machine, its node, and the ways to all peers and back.

    Where no daemon answers, only the machine is looked at, by the settings of --config and
    --state-dir. Ends with 1 if there is a problem, with 0 if there are warnings at most.
    """
    try:
        report = target.native().call("GET", "/v1/doctor", timeout=_PATIENCE)
    except Unavailable as error:
        report = _local(error, config or "", state_dir)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if any(each["level"] == "problem" for each in report["findings"]):
        ctx.exit(1)


def _local(error: ShoalError, config: str, state_dir: str | None) -> Any:
    """The machine without its node. (Late: what it needs takes half a second to load.)"""
    import msgspec

    from shoal.cli.settings import load_options
    from shoal.node.doctor.visit import visit_machine
    from shoal.node.stored_options import stored

    flags = {"state-dir": state_dir} if state_dir else {}
    options = load_options(flags, config=config, again=True)
    try:
        is_node = bool(stored(options.state_dir))
    except OSError:
        is_node = True  # there is something that we may not read
    examined = asyncio.run(visit_machine(options, is_node=is_node, reason=error.text))
    return msgspec.to_builtins(examined)


def _print(report: dict[str, Any]) -> None:
    findings = report["findings"]
    for each in findings:
        level = click.style(f"{each['level']:<8}", fg=_COLOURS[each["level"]])
        click.echo(f"{level} {each['check']:<9} {each['text']}")
        if each["fix"]:
            click.echo(f"{'':<8} {'':<9} -> {each['fix']}")
    counts = {level: sum(each["level"] == level for each in findings) for level in _COLOURS}
    who = f"node {report['node']}" if report["node"] else "this machine"
    if counts["problem"]:
        click.echo(f"{who}: {counts['problem']} problem(s), {counts['warning']} warning(s)")
    else:
        click.echo(
            f"{who} is well" + (f"; {counts['warning']} warning(s)" * bool(counts["warning"]))
        )
