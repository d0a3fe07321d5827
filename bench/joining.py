"""From the start of `shoal join` on a new host to the first container that runs there."""

import threading
import time

from bench.figure import Figure, figure, median
from bench.labs import IMAGE, SLEEP, ask, lab_of, spread, until
from shoal.lab import Host
from shoal.lab.daemon import new_token

HOSTS = 6
GATE = 1.0  # seconds
SWARM_JOIN = 0.13  # seconds, for the join alone


def measure() -> list[Figure]:
    """A client asks the first host again and again, without a pause, for a container that only
    the new one may run. It counts from the start of the command, interpreter start included,
    until that container is created, that is, placed by the keeper, admitted by the new node,
    made by its engine and written to two disks."""
    with lab_of(HOSTS, daemons=False) as lab:
        first, *rest = lab.hosts
        lab.start_daemons([first.name])
        _first_container(first, first, time.monotonic())  # fills caches
        token = new_token(first.shoal_socket)
        taken = [_trial(first, host, token) for host in rest]
    spread(taken, "s")
    return [figure("join_to_schedulable", median(taken), "s", baseline=SWARM_JOIN, gate=GATE)]


def _trial(first: Host, new: Host, token: str) -> float:
    joining = threading.Thread(target=new.join_cloud, args=(token,))
    began = time.monotonic()
    joining.start()
    taken = _first_container(first, new, began)
    joining.join()
    return taken


def _first_container(first: Host, new: Host, began: float) -> float:
    body = {"Image": IMAGE, "Cmd": SLEEP, "Labels": {"shoal.node": new.name}}

    def created() -> float:
        ask(first.api_socket, "POST", "/v1.41/containers/create", body)
        return time.monotonic() - began

    return until(f"a container on {new.name}", created, timeout=30, pause=0.01)
