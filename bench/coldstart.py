"""From an engine that answers to the site's containers running, with no peer in reach: after a
reboot of a host whose peers are off, and of one that is cut off from peers that run."""

import threading
import time

from bench.figure import Figure, figure
from bench.labs import IMAGE, SLEEP, lab_of, running, spread, until, whole
from shoal.lab import Host, Lab
from shoal.lab.system import run

TRIALS = 2  # of each kind
CONTAINERS = 5
GATE = 10.0  # seconds
_LABEL = "bench=coldstart"


def measure() -> list[Figure]:
    """The slowest of all trials counts, until the last container runs. The daemon is started
    when the engine answers."""
    with lab_of(3) as lab:
        site = lab.hosts[0]
        docker = ["docker", "--host", f"unix://{site.api_socket}"]
        words = ["run", "--detach", "--restart", "always", "--label", _LABEL]
        for _ in range(CONTAINERS):
            pin = ["--label", f"shoal.node={site.name}"]
            run([*docker, *words, *pin, IMAGE, *SLEEP], timeout=60)
        alone = [_peers_off(lab, site) for _ in range(TRIALS)]
        cut_off = [_cut_off(lab, site) for _ in range(TRIALS)]
    spread(alone, "s, peers off")
    spread(cut_off, "s, cut off")
    return [figure("cold_start_without_peers", max(alone + cut_off), "s", gate=GATE)]


def _peers_off(lab: Lab, site: Host) -> float:
    until("the hosts see each other", lambda: whole(lab))
    lab.power_off(*(host.name for host in lab.hosts))
    taken = _reboot(site)
    lab.start()
    return taken


def _cut_off(lab: Lab, site: Host) -> float:
    until("the hosts see each other", lambda: whole(lab))
    lab.partition([[site.name]])
    lab.power_off(site.name)
    taken = _reboot(site)
    lab.heal()
    return taken


def _reboot(site: Host) -> float:
    site.boot()
    began = time.monotonic()
    starting = threading.Thread(target=site.start_daemon)
    starting.start()
    until(
        "all containers run",
        lambda: len(running(site.engine_socket, _LABEL)) == CONTAINERS,
        pause=0.02,
    )
    taken = time.monotonic() - began
    starting.join()
    return taken
