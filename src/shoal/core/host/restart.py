"""When a container that ended is started again, and after how long."""

from shoal.core.context import MILLISECOND, SECOND
from shoal.core.keeper.objects import Container
from shoal.model.container import Status

FIRST_DELAY = 100 * MILLISECOND
LONGEST_DELAY = 60 * SECOND
#: Whoever ran this long starts over with the first delay, as with Docker.
STEADY_AFTER = 10 * SECOND
#: What engines report for a container that ended with its host, unseen.
LOST_WITH_HOST = 255


def wanted(container: Container, status: Status) -> bool:
    """Whether the restart policy starts it again after it ended with `status`."""
    spec = container.spec
    if spec is None or container.wish.state != "running":
        return False
    policy = spec.restart
    if policy.name in ("always", "unless-stopped"):
        return True
    if policy.name == "on-failure" and status.exit_code != 0:
        return policy.retries == 0 or status.restarts < policy.retries
    return spec.movable and status.exit_code == LOST_WITH_HOST


def delay(backoff: int, ran: int) -> int:
    """Next back-off (ns) after a run of `ran` ns; `backoff` is the former one, 0 at first."""
    if not backoff or ran >= STEADY_AFTER:
        return FIRST_DELAY
    return min(2 * backoff, LONGEST_DELAY)
