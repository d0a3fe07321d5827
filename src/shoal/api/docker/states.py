"""What Docker calls the state that a container is in: pure."""

from shoal.api.docker.durations import human_duration, short_duration
from shoal.model.container import ContainerView

#: Docker's states of a container.
STATES = frozenset(("created", "restarting", "running", "removing", "paused", "exited", "dead"))
#: Those that `docker ps` shows without -a.
LIVE = frozenset(("running", "paused", "restarting"))


def state_of(view: ContainerView) -> str:
    """Docker's word. Where the host is away it is the last known state: clients know only these
    words."""
    phase = view.status.phase
    if phase == "creating":
        return "created"
    if phase == "exited" and will_restart(view):
        return "restarting"
    return "paused" if view.status.paused else phase


def will_restart(view: ContainerView) -> bool:
    """Whether the host starts it again after its back-off."""
    policy = view.spec.restart
    if view.desired != "running":
        return False
    if policy.name == "on-failure":
        more = not policy.retries or view.status.restarts < policy.retries
        return view.status.exit_code != 0 and more
    return policy.name in {"always", "unless-stopped"}


def status_text(view: ContainerView, now: int) -> str:
    """The STATUS column of `docker ps`. `now`: wall clock, ns."""
    status = view.status
    if view.unreachable_since:
        gone = short_duration(now - view.unreachable_since)
        return f"Unknown (host {view.node_name or view.node[:12]} unreachable {gone})"
    match state_of(view):
        case "running":
            return f"Up {human_duration(now - status.started)}"
        case "paused":
            return f"Up {human_duration(now - status.started)} (Paused)"
        case "restarting":
            return f"Restarting ({status.exit_code}) {human_duration(now - status.finished)} ago"
        case "exited":
            return f"Exited ({status.exit_code}) {human_duration(now - status.finished)} ago"
        case "dead":
            return "Dead"
    return "Created"
