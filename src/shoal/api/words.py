"""How states, times and ports read in tables, in Docker's own words where it has any."""

from shoal.model.container import ContainerView, PortBinding

SECOND = 1_000_000_000

_ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104 (compared with, never bound)
_RESTARTED_ALWAYS = {"always", "unless-stopped"}


def duration_words(ns: int) -> str:
    """A span as Docker writes it: `3 minutes`, `About an hour`."""
    seconds = max(ns, 0) // SECOND
    minutes = seconds // 60
    hours = (seconds + 1800) // 3600
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for limit, unit, size in ((14, "days", 1), (60, "weeks", 7), (730, "months", 30)):
        if hours < limit * 24:
            return f"{hours // 24 // size} {unit}"
    return f"{hours // 24 // 365} years"


def span_words(ns: int) -> str:
    """A short span: `12s`, `3m`, `2h`, `5d`."""
    seconds = max(ns, 0) // SECOND
    for limit, unit, size in ((120, "s", 1), (7200, "m", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86_400}d"


def state_word(view: ContainerView) -> str:
    """`unknown` while the host cannot be asked, `restarting` between two runs, else the phase."""
    if view.unreachable_since:
        return "unknown"
    restarts = view.desired == "running" and view.spec.restart.name in _RESTARTED_ALWAYS
    if view.status.phase == "exited" and restarts:
        return "restarting"
    return view.status.phase


def status_words(view: ContainerView, now: int) -> str:
    """The STATUS column; `now` is wall clock ns."""
    status = view.status
    ended = f"({status.exit_code}) {duration_words(now - status.finished)} ago"
    match state_word(view):
        case "unknown":
            away = span_words(now - view.unreachable_since)
            return f"Unknown (host {view.node_name} unreachable {away})"
        case "running":
            return f"Up {duration_words(now - status.started)}"
        case "restarting":
            return f"Restarting {ended}"
        case "exited":
            return f"Exited {ended}"
        case other:
            return other.capitalize()


def reachable_port(port: PortBinding, node_address: str) -> PortBinding:
    """The binding with the address under which others reach it."""
    if port.host_ip not in _ANY_ADDRESS:
        return port
    return PortBinding(port.container_port, port.protocol, node_address, port.host_port)


def reachable_ports(view: ContainerView) -> tuple[PortBinding, ...]:
    """Published ports, each once, in order; engines report IPv4 and IPv6 apart."""
    found = {reachable_port(port, view.node_address): None for port in view.status.ports}
    return tuple(sorted(found, key=lambda p: (p.container_port, p.protocol, p.host_ip)))
