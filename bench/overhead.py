"""`docker run -d` with the stock client: straight to an engine and through Shoal in turn."""

import time

from bench.figure import Figure, figure, median
from bench.labs import IMAGE, SLEEP, lab_of, progress, spread
from shoal.lab import Lab
from shoal.lab.system import run

PAIRS = 15
SWARM_OVER_ENGINE = 190.0  # ms
GATE = 100.0  # ms
_REST = 0.5  # seconds: what a removal leaves to do must not count for the next run


def measure() -> list[Figure]:
    """Median of the differences within pairs; the host that is asked changes with every pair."""
    with lab_of(3) as lab:
        for number in range(2):
            _pair(lab, number)  # the first ones fill caches
        pairs = [_pair(lab, number) for number in range(PAIRS)]
    straight = [pair[0] for pair in pairs]
    shoal = [pair[1] for pair in pairs]
    extra = [through - direct for direct, through in pairs]
    progress("straight to the engine, through Shoal, and the difference within each pair")
    for values in (straight, shoal, extra):
        spread(values, "ms")
    return [
        figure("docker_run_through_shoal", median(shoal), "ms", baseline=median(straight)),
        figure("docker_run_overhead", median(extra), "ms", baseline=SWARM_OVER_ENGINE, gate=GATE),
    ]


def _pair(lab: Lab, number: int) -> tuple[float, float]:
    host = lab.hosts[number % len(lab.hosts)]
    sockets = (str(host.engine_socket), str(host.api_socket))
    order = (0, 1) if number % 2 else (1, 0)
    taken = [0.0, 0.0]
    for which in order:
        docker = ["docker", "--host", f"unix://{sockets[which]}"]
        began = time.perf_counter()
        done = run([*docker, "run", "--detach", IMAGE, *SLEEP], timeout=60)
        taken[which] = (time.perf_counter() - began) * 1000
        run([*docker, "rm", "--force", done.stdout.strip()], timeout=60)
        time.sleep(_REST)
    return taken[0], taken[1]
