"""The one line of an explanation: how many nodes fail what, and what would fit instead."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from shoal.core.placement.filters import CLASS_NAMES, NameOf, unmet_constraints
from shoal.core.placement.fit import bytes_text, core_trouble, cores_of, cpu_need, cpus_text
from shoal.core.placement.request import PlacementRequest
from shoal.core.placement.state import NodeState

EXCLUDED: Final = "excluded"

_MIB: Final = 1 << 20
#: Docker refuses containers with less memory.
_LEAST_MEMORY_MIB: Final = 6
_MOST_OPTIONS: Final = 3


class Judged(NamedTuple):
    """A node, every filter that it fails, and the words for the first of them."""

    state: NodeState
    failed: tuple[str, ...]
    reason: str


def refusals(request: PlacementRequest, refused: Sequence[Judged], name_of: NameOf) -> list[str]:
    """Phrases such as "2 lack memory (needs 8 GiB, most free: 3.2 GiB on b)", the commonest
    first; every node is counted once, by the first filter that it fails."""
    groups: dict[tuple[str, str], list[Judged]] = {}
    for one in refused:
        headline = one.failed[0]
        detail = one.reason if headline in (EXCLUDED, "constraint") else ""
        groups.setdefault((headline, detail), []).append(one)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [_phrase(request, key[0], members, name_of) for key, members in ordered]


def _phrase(
    request: PlacementRequest, headline: str, members: Sequence[Judged], name_of: NameOf
) -> str:
    one = len(members) == 1
    lacks, fails, has = ("lacks", "fails", "has") if one else ("lack", "fail", "have")
    are = "is" if one else "are"
    first = members[0]
    match headline:
        case "excluded":
            text = f"{are} left out ({first.reason})"
        case "up":
            text = f"{are} unreachable"
        case "engine":
            text = f"{has} no container engine that answers"
        case "cordoned":
            text = f"{are} cordoned (shoal node uncordon {first.state.info.name})"
        case "pin":
            node, why = request.rules.pins[0]
            text = f"{are} not the host {name_of(node)} that it is pinned to ({why})"
        case "architecture":
            text = f"{are} not {request.architecture}"
        case "cpu-class":
            text = f"{are} slower than cpu class {CLASS_NAMES[request.rules.cpu_class or 0]}"
        case "constraint":
            text = f"{fails} constraint {', '.join(unmet_constraints(request, first.state))}"
        case "cores":
            text = f"{lacks} the cores to pin ({first.reason})"
        case "cpu":
            text = f"{lacks} cpu ({_most_cpu(request, members)})"
        case "memory":
            text = f"{lacks} memory ({_most_memory(request, members)})"
        case _:
            text = f"{has} a wanted port in use ({first.reason})"
    return f"{len(members)} {text}"


def _most_cpu(request: PlacementRequest, members: Sequence[Judged]) -> str:
    most = max(members, key=lambda one: one.state.free_cpu).state
    need, free = cpus_text(cpu_need(request.resources)), cpus_text(max(most.free_cpu, 0))
    return f"needs {need} cpus, most free: {free} on {most.info.name}"


def _most_memory(request: PlacementRequest, members: Sequence[Judged]) -> str:
    most = max(members, key=lambda one: one.state.free_memory).state
    need, free = bytes_text(request.resources.memory), bytes_text(max(most.free_memory, 0))
    return f"needs {need}, most free: {free} on {most.info.name}"


def would_fit(request: PlacementRequest, refused: Sequence[Judged]) -> str:
    """What to change, one thing at a time, so that a node can run it; "" if nothing simple
    does. Flags cannot be changed for a replacement: there it is only worth waiting."""
    by_failed: dict[frozenset[str], list[NodeState]] = {}
    for one in refused:
        by_failed.setdefault(frozenset(one.failed), []).append(one.state)
    remedies = _WAITING if request.replacement else {**_CHANGING, **_WAITING}
    options: list[str] = []
    for failed, remedy in remedies.items():
        states = by_failed.get(failed)
        text = remedy(request, states) if states else ""
        if text and text not in options:
            options.append(text)
    return " or ".join(options[:_MOST_OPTIONS])


def _less_memory(_: PlacementRequest, states: Sequence[NodeState]) -> str:
    mib = max(state.free_memory for state in states) // _MIB
    return f"with --memory {mib}m" if mib >= _LEAST_MEMORY_MIB else ""


def _less_cpu(request: PlacementRequest, states: Sequence[NodeState]) -> str:
    hundredths = max(state.free_cpu for state in states) // 10
    if hundredths <= 0 or request.resources.pinned_cores:
        return ""
    return f"with --cpus {hundredths / 100:g}"


def _less_of_both(request: PlacementRequest, states: Sequence[NodeState]) -> str:
    """On the node that comes nearest to what was asked."""
    need_cpu, need_memory = cpu_need(request.resources), request.resources.memory
    nearest = max(
        states,
        key=lambda one: min(one.free_cpu * need_memory, one.free_memory * need_cpu),
    )
    cpu, memory = _less_cpu(request, [nearest]), _less_memory(request, [nearest])
    return f"{cpu} {memory.removeprefix('with ')}" if cpu and memory else ""


def _other_cores(request: PlacementRequest, states: Sequence[NodeState]) -> str:
    wanted = len(request.resources.pinned_cores)
    for state in states:
        capacity, taken = state.info.capacity, state.pinned
        free = [
            core
            for core in range(cores_of(capacity))
            if core_trouble((core,), taken, capacity) is None
        ]
        if len(free) >= wanted:
            numbers = ",".join(str(core) for core in free[:wanted])
            return f"with --cpuset-cpus {numbers} on {state.info.name}"
    return ""


def _other_port(request: PlacementRequest, _: Sequence[NodeState]) -> str:
    ports = ", ".join(str(port) for port in request.resources.ports if port.port)
    return f"with another host port than {ports}"


def _fewer_constraints(request: PlacementRequest, states: Sequence[NodeState]) -> str:
    fewest = min((unmet_constraints(request, state) for state in states), key=len)
    return f"without the constraint {', '.join(fewest)}"


def _other_class(_: PlacementRequest, __: Sequence[NodeState]) -> str:
    return f"with --cpu-class {CLASS_NAMES[0]}"


def _other_image(_: PlacementRequest, states: Sequence[NodeState]) -> str:
    return f"with an image for {states[0].info.architecture or 'another architecture'}"


def _no_pin(request: PlacementRequest, _: Sequence[NodeState]) -> str:
    return f"without the {request.rules.pins[0][1]}"


def _host_back(_: PlacementRequest, states: Sequence[NodeState]) -> str:
    return f"when host {states[0].info.name} is back"


def _engine_back(_: PlacementRequest, states: Sequence[NodeState]) -> str:
    return f"when the container engine of {states[0].info.name} answers"


def _uncordoned(_: PlacementRequest, states: Sequence[NodeState]) -> str:
    return f"after `shoal node uncordon {states[0].info.name}`"


_Remedies = Mapping[frozenset[str], Callable[[PlacementRequest, Sequence[NodeState]], str]]

#: What to change for a node that fails exactly these filters.
_CHANGING: Final[_Remedies] = {
    frozenset({"memory"}): _less_memory,
    frozenset({"cpu"}): _less_cpu,
    frozenset({"cpu", "memory"}): _less_of_both,
    frozenset({"cores"}): _other_cores,
    frozenset({"port"}): _other_port,
    frozenset({"constraint"}): _fewer_constraints,
    frozenset({"cpu-class"}): _other_class,
    frozenset({"architecture"}): _other_image,
    frozenset({"pin"}): _no_pin,
}
_WAITING: Final[_Remedies] = {
    frozenset({"up"}): _host_back,
    frozenset({"engine"}): _engine_back,
    frozenset({"up", "engine"}): _host_back,
    frozenset({"cordoned"}): _uncordoned,
}
