"""What a create may not ask for: wrong requests, and features that are not there yet, by name."""

import re

from shoal.api.docker.fields import CreateFields, HostFields
from shoal.model.errors import BadRequest, NotSupported
from shoal.model.ids import is_name

#: The least memory that Docker gives a container, bytes.
LEAST_MEMORY = 6 << 20
#: Below this, who wrote `--memory N` most likely left out the unit.
_UNIT_FORGOTTEN = 100_000

_NETWORKS = frozenset(("", "default", "bridge", "none", "host"))
_POLICIES = ("no", "always", "on-failure", "unless-stopped")
#: Labels that users may give, and those kept for later.
KNOWN_LABELS = (
    "shoal.cpu-class",
    "shoal.constraint",
    "shoal.placement",
    "shoal.node",
    "shoal.reschedule",
)
_LATER_LABELS = ("shoal.group", "shoal.gang", "shoal.partition", "shoal.affinity", "shoal.gpu")


def check_name(name: str) -> None:
    """Raises BadRequest for what Docker refuses as a container name."""
    if not is_name(name):
        raise BadRequest(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )


def check(fields: CreateFields) -> None:
    """Raises BadRequest or NotSupported."""
    if not fields.image.strip():
        raise BadRequest("no image given: name one in Image")
    _check_memory(fields.host)
    _check_restart(fields.host)
    _check_labels(fields.labels or {})
    _check_networks(fields)
    _check_sharing(fields.host)


def _check_memory(host: HostFields) -> None:
    for what, amount in (("limit", host.memory), ("reservation", host.memory_reservation)):
        if amount < 0:
            raise BadRequest(f"memory {what} cannot be negative")
        if 0 < amount < LEAST_MEMORY:
            hint = f" (did you mean {amount}m?)" if amount < _UNIT_FORGOTTEN else ""
            raise BadRequest(
                f"Minimum memory {what} allowed is 6MB: {amount} is a number of bytes{hint}"
            )
    if host.memory and host.memory_reservation > host.memory:
        raise BadRequest(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )


def _check_restart(host: HostFields) -> None:
    policy = host.restart_policy
    if policy is None or policy.name in {"", "no"}:
        return
    if policy.name not in _POLICIES:
        raise BadRequest(
            f"invalid restart policy: unknown policy '{policy.name}'; "
            "use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if policy.maximum_retry_count < 0:
        raise BadRequest("invalid restart policy: maximum retry count cannot be negative")
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise BadRequest(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )
    if host.auto_remove:
        raise BadRequest("can't create 'AutoRemove' container with restart policy")


def _check_labels(labels: dict[str, str]) -> None:
    for label in labels:
        if not label.startswith("shoal.") or label in KNOWN_LABELS:
            continue
        if label.startswith(_LATER_LABELS):
            raise NotSupported(f"shoal: label {label} is not there yet")
        raise BadRequest(f"unknown label {label}: there are {', '.join(KNOWN_LABELS)}")


def _check_networks(fields: CreateFields) -> None:
    mode = fields.host.network_mode
    if mode.startswith("container:"):
        raise NotSupported(f"shoal: sharing a network ({mode}) is not there yet")
    if mode not in _NETWORKS:
        raise NotSupported(f"shoal: user-defined networks are not there yet (network {mode})")
    endpoints = (fields.networking_config or {}).get("EndpointsConfig") or {}
    for name, settings in endpoints.items():
        # The stock client names the default network here, with empty settings.
        if name not in _NETWORKS or any((settings or {}).values()):
            raise NotSupported(f"shoal: network endpoints are not there yet (network {name})")


def _check_sharing(host: HostFields) -> None:
    for mode in (host.pid_mode, host.ipc_mode):
        if mode.startswith("container:"):
            raise NotSupported(f"shoal: sharing namespaces ({mode}) is not there yet")
    for given, feature in (
        (host.links, "links are"),
        (host.volumes_from, "volumes-from is"),
        (host.device_requests, "GPU requests (--gpus) are"),
    ):
        if given:
            raise NotSupported(f"shoal: {feature} not there yet")


_SIGNAL = re.compile(
    r"(SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|IOT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD"
    r"|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|POLL|PWR|SYS"
    r"|RTM(IN|AX)([+-][0-9]+)?)\Z"
)


def check_signal(text: str) -> None:
    """Raises BadRequest for what is no signal: a number, or a name with or without SIG."""
    number = text.isdecimal() and 0 < int(text) <= 64
    if not number and _SIGNAL.match(text.upper()) is None:
        raise BadRequest(f"invalid signal: {text}")
