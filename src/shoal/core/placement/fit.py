"""What fits beside what is taken: the arithmetic that placement and admission share."""

from collections.abc import Iterable

from shoal.model.resources import Capacity, HostPort, Resources


def cpu_need(resources: Resources) -> int:
    """Millicores that a request takes; a core taken exclusively counts in full."""
    if not resources.pinned_cores:
        return resources.cpu_millis
    return max(resources.cpu_millis, 1000 * len(set(resources.pinned_cores)))


def cores_of(capacity: Capacity) -> int:
    """How many whole cores can be pinned; they are numbered from 0."""
    return -(-capacity.cpu_millis // 1000)


def taken_port(wanted: Iterable[HostPort], taken: Iterable[HostPort]) -> HostPort | None:
    """The first wanted port that is taken. Port 0 lets the engine choose and takes nothing."""
    held = tuple(taken)
    for port in wanted:
        if port.port and any(port.conflicts(other) for other in held):
            return port
    return None


def twice_wanted_port(wanted: tuple[HostPort, ...]) -> HostPort | None:
    """The first port that one request asks for twice."""
    for index, port in enumerate(wanted):
        if port.port and any(port.conflicts(other) for other in wanted[:index]):
            return port
    return None


def core_trouble(wanted: tuple[int, ...], taken: Iterable[int], capacity: Capacity) -> str | None:
    """Why these cores cannot be pinned, or None."""
    cores = cores_of(capacity)
    absent = [core for core in wanted if not 0 <= core < cores]
    if absent:
        return f"core {absent[0]} does not exist (it has 0-{cores - 1})" if cores else "no cores"
    busy = sorted(set(wanted) & set(taken))
    if busy:
        return f"core {busy[0]} is pinned by another container"
    return None


def cpus_text(millis: int) -> str:
    """4000 -> "4.0", 250 -> "0.25"."""
    return f"{millis / 1000:.1f}" if millis % 100 == 0 else f"{millis / 1000:g}"


def bytes_text(count: int) -> str:
    """8 << 30 -> "8 GiB", 3355443200 -> "3.1 GiB"."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.1f}".removesuffix(".0") + f" {unit}"
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + " TiB"
