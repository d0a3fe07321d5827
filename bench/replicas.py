"""60 containers over four hosts, from the request to all of them running: Shoal, by 8 requests
at a time to the four hosts in turn, and a Docker Swarm service in the same engines."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.figure import Figure, figure, median
from bench.labs import SLEEP, ask, lab_of, running, spread, until, whole
from bench.registry import registry_with_image
from shoal.lab import Lab
from shoal.lab.system import run

COUNT = 60
AT_ONCE = 8
ROUNDS = 3
_LABEL = "bench=replicas"
_LOOK = 0.2  # seconds: looking at four engines takes time from what is measured


def measure() -> list[Figure]:
    """Both are counted in the same way: by what the engines list as running."""
    with lab_of(4) as lab, registry_with_image(lab) as image:
        until("the hosts see each other", lambda: whole(lab))
        _make_swarm(lab)
        shoal, swarm = [], []
        for _ in range(ROUNDS):
            shoal.append(_until_all_run(lab, lambda: _run_by_shoal(lab, image)))
            _clear(lab, lambda: _remove_from_shoal(lab))
            swarm.append(_until_all_run(lab, lambda: _run_by_swarm(lab, image)))
            _clear(lab, lambda: _docker(lab, "service", "rm", "bench"))
    spread(shoal, "s, Shoal")
    spread(swarm, "s, Swarm")
    return [figure(f"containers_{COUNT}_on_4_hosts", median(shoal), "s", baseline=median(swarm))]


def _until_all_run(lab: Lab, request: Callable[[], None]) -> float:
    began = time.monotonic()
    request()
    until(f"{COUNT} containers run", lambda: _running(lab) == COUNT, timeout=120, pause=_LOOK)
    return time.monotonic() - began


def _clear(lab: Lab, remove: Callable[[], object]) -> None:
    remove()
    until("no container runs", lambda: _running(lab) == 0, timeout=120, pause=1.0)
    time.sleep(3.0)  # networks and directories go after the containers


def _running(lab: Lab) -> int:
    return sum(len(running(host.engine_socket, _LABEL)) for host in lab.hosts)


def _run_by_shoal(lab: Lab, image: str) -> None:
    body = {"Image": image, "Cmd": SLEEP, "Labels": {"bench": "replicas"}}

    def run_one(number: int) -> None:
        socket = lab.hosts[number % len(lab.hosts)].api_socket
        made = ask(socket, "POST", "/v1.41/containers/create", body)
        ask(socket, "POST", f"/v1.41/containers/{made['Id']}/start")

    _all_at_once(run_one)


def _remove_from_shoal(lab: Lab) -> None:
    listed = ask(lab.hosts[0].api_socket, "GET", "/v1.41/containers/json?all=1")

    def remove_one(number: int) -> None:
        identifier = listed[number]["Id"]
        ask(lab.hosts[0].api_socket, "DELETE", f"/v1.41/containers/{identifier}?force=1")

    _all_at_once(remove_one)


def _all_at_once(action: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(action, range(COUNT)))


def _make_swarm(lab: Lab) -> None:
    first, *rest = lab.hosts
    _docker(lab, "swarm", "init", "--advertise-addr", first.address)
    token = _docker(lab, "swarm", "join-token", "--quiet", "worker").strip()
    for host in rest:
        docker = ["docker", "--host", f"unix://{host.engine_socket}"]
        run([*docker, "swarm", "join", "--token", token, f"{first.address}:2377"])


def _run_by_swarm(lab: Lab, image: str) -> None:
    words = ["--detach", "--name", "bench", "--replicas", str(COUNT), "--container-label", _LABEL]
    _docker(lab, "service", "create", *words, image, *SLEEP)


def _docker(lab: Lab, *words: str) -> str:
    docker = ["docker", "--host", f"unix://{lab.hosts[0].engine_socket}"]
    return run([*docker, *words], timeout=60).stdout
