"""Memory and processor time of a daemon that nobody asks anything: its parent process and its
worker together, on the host where they take most."""

import time
from pathlib import Path

from bench.figure import Figure, figure
from bench.labs import IMAGE, SLEEP, lab_of, progress
from bench.processor import seconds_of
from shoal.lab import Host, Lab
from shoal.lab.system import run

CONTAINERS = 20
SETTLE = 20.0  # seconds after the last container was started
WATCH = 60.0  # seconds
RSS_GATE, RSS_PEER = 60.0, 150.0  # MiB; Uncloud's own number
CPU_GATE, CPU_PEER = 1.0, 5.0  # percent of a core; k3s agent


def measure() -> list[Figure]:
    """RSS counts pages that both processes share twice, PSS shares them out among all of the
    machine's processes, other hosts' daemons included: the truth on a machine of its own lies
    between. The gate is on RSS."""
    with lab_of(3) as lab:
        for number in range(CONTAINERS):
            socket = lab.hosts[number % 3].api_socket
            docker = ["docker", "--host", f"unix://{socket}"]
            run([*docker, "run", "--detach", IMAGE, *SLEEP], timeout=60)
        time.sleep(SETTLE)
        before, began = _processor_times(lab), time.monotonic()
        time.sleep(WATCH)
        passed = time.monotonic() - began
        percents = [
            (after - then) * 100 / passed
            for then, after in zip(before, _processor_times(lab), strict=True)
        ]
        rss = [_memory(host, "Rss") for host in lab.hosts]
        pss = [_memory(host, "Pss") for host in lab.hosts]
    progress("MiB of RSS by host: " + ", ".join(f"{value:.1f}" for value in rss))
    progress("% of a core by host: " + ", ".join(f"{value:.2f}" for value in percents))
    return [
        figure("daemon_rss_idle", max(rss), "MiB", baseline=RSS_PEER, gate=RSS_GATE),
        figure("daemon_pss_idle", max(pss), "MiB"),
        figure("daemon_cpu_idle", max(percents), "%", baseline=CPU_PEER, gate=CPU_GATE),
    ]


def _processor_times(lab: Lab) -> list[float]:
    """Seconds of user and system time of each host's daemon."""
    return [sum(map(seconds_of, _pids(host))) for host in lab.hosts]


def _pids(host: Host) -> list[int]:
    return [process.pid for process in host.daemon_processes()]


def _memory(host: Host, kind: str) -> float:
    """MiB of a daemon's processes."""
    total = 0
    for pid in _pids(host):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                total += int(line.split()[1])
    return total / 1024
