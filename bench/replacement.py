"""From the power-off of a container's host to its replacement running on another one."""

import threading
import time

from bench.figure import Figure, figure, median
from bench.labs import IMAGE, SLEEP, ask, lab_of, running, spread, until, whole
from shoal.lab import Lab
from shoal.lab.system import run

TRIALS = 5
GATE = 8.0  # seconds
SWARM = 17.1  # seconds, the better one of two trials
_LABEL = "bench=replacement"
#: Seconds between power-offs: when over half of the hosts vanish within 10 s, Shoal waits for
#: them before it replaces anything, and one that came back counts among them.
_APART = 12.0


def measure() -> list[Figure]:
    """The host is whichever the container is on, so the keeper's too. What counts is what the
    engines say, not what the cloud believes."""
    with lab_of(3) as lab:
        docker = ["docker", "--host", f"unix://{lab.hosts[0].api_socket}"]
        words = ["run", "--detach", "--restart", "always", "--label", _LABEL]
        run([*docker, *words, IMAGE, *SLEEP], timeout=60)
        taken = [_trial(lab) for _ in range(TRIALS)]
    spread(taken, "s")
    return [
        figure("replacement_median", median(taken), "s", baseline=SWARM, gate=GATE),
        figure("replacement_worst", max(taken), "s", baseline=SWARM, gate=GATE),
    ]


def _trial(lab: Lab) -> float:
    until("the hosts see each other", lambda: whole(lab))
    victim = until("the container runs on one host", lambda: _place(lab))
    others = [host for host in lab.hosts if host.name != victim]
    time.sleep(_APART)
    killer = threading.Thread(target=lab.power_off, args=(victim,))
    began = time.monotonic()
    killer.start()
    until(
        "another host runs the container",
        lambda: any(running(host.engine_socket, _LABEL) for host in others),
        pause=0.02,
    )
    taken = time.monotonic() - began
    killer.join()
    lab.start(victim)
    return taken


def _place(lab: Lab) -> str:
    """The one host whose engine runs the container and of which the cloud knows it."""
    path = "/v1/vclusters/default/containers?all=true"
    (container,) = ask(lab.hosts[0].shoal_socket, "GET", path, timeout=5)["containers"]
    places = [host.name for host in lab.hosts if running(host.engine_socket, _LABEL)]
    known = container["state"] == "running" and places == [container["node"]]
    return places[0] if known else ""
