"""The whole visit: look at the machine and, where a daemon runs, at its peers; judge both."""

import asyncio
import time
from collections.abc import Callable

from shoal.model.errors import ShoalError
from shoal.model.node import NodeInfo
from shoal.model.options import NodeOptions
from shoal.node.doctor.findings import Examination, Finding, examination, ok, problem, warning
from shoal.node.doctor.machine import look_at_machine
from shoal.node.doctor.machine_rules import judge_machine
from shoal.node.doctor.peers import Prober
from shoal.node.doctor.peers_rules import judge_peers
from shoal.node.main import address_of

#: Seconds that a whole visit may take; what is not known by then is said to be unknown.
VISIT = 40.0


async def visit_node(
    options: NodeOptions, own: NodeInfo, prober: Prober, offsets: Callable[[], dict[str, int]]
) -> Examination:
    """Examine the node that runs here and its peers."""
    machine = asyncio.create_task(look_at_machine(options, own.address))
    findings: list[Finding] = [ok("daemon", f"node {own.name} {own.version} runs")]
    try:
        async with asyncio.timeout(VISIT):
            findings += judge_machine(await machine)
            peers = await prober.examine()
            findings += judge_peers(own, peers, offsets(), time.time_ns())
    except TimeoutError:
        text = f"the examination was not done within {VISIT:.0f} s"
        findings.append(warning("daemon", text, "try again; look at the peers one by one"))
    finally:
        machine.cancel()
    return examination(own.name, findings)


async def visit_machine(options: NodeOptions, *, is_node: bool, reason: str) -> Examination:
    """Examine only the machine, since no daemon answers, as `reason` tells in words. `is_node`:
    the state directory holds a node."""
    try:
        address = address_of(options)
    except ShoalError:
        address = ""
    if is_node:
        text = f"no daemon answers, so only this machine was looked at ({reason})"
        finding = problem("daemon", text, "run `shoal daemon --detach`")
    else:
        text = "this machine is no node yet, so only the machine was looked at"
        finding = warning("daemon", text, "`shoal create`, or `shoal join TOKEN`")
    return examination("", [finding, *judge_machine(await look_at_machine(options, address))])
