"""The reasons why a node cannot run a container, each with a name and words for people.

`STATIC` filters depend on what a node is, and their outcome is kept from one request to the
next; `DYNAMIC` ones on how full it is. Both are all that placement ever refuses a node for,
apart from the nodes that the caller excludes.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from shoal.core.placement.constraints import normal_architecture, parse
from shoal.core.placement.fit import bytes_text, core_trouble, cpu_need, cpus_text, taken_port
from shoal.core.placement.request import PlacementRequest
from shoal.core.placement.state import NodeState

#: Node id -> the name that people know.
NameOf = Callable[[str], str]

CLASS_NAMES: Final = ("slow", "fast")


class Filter(NamedTuple):
    """`passes` decides; `reason` is asked only about a node that does not pass."""

    name: str
    passes: Callable[[PlacementRequest, NodeState], bool]
    reason: Callable[[PlacementRequest, NodeState, NameOf], str]


def _is_up(_: PlacementRequest, state: NodeState) -> bool:
    return state.up


def _engine_is_up(_: PlacementRequest, state: NodeState) -> bool:
    return state.info.engine.up


def _is_open(_: PlacementRequest, state: NodeState) -> bool:
    return not state.info.cordoned


def _is_pinned_host(request: PlacementRequest, state: NodeState) -> bool:
    return all(node == state.info.id for node, _ in request.rules.pins)


def _pin_reason(request: PlacementRequest, state: NodeState, name_of: NameOf) -> str:
    elsewhere = [(node, why) for node, why in request.rules.pins if node != state.info.id]
    return "; ".join(f"pinned to host {name_of(node)}: {why}" for node, why in elsewhere)


def _architecture_fits(request: PlacementRequest, state: NodeState) -> bool:
    wanted = request.architecture
    return not wanted or normal_architecture(state.info.architecture) == wanted


def _class_fits(request: PlacementRequest, state: NodeState) -> bool:
    """A faster node may do the work of a slower one, not the other way round."""
    wanted = request.rules.cpu_class
    return wanted is None or state.info.cpu_class >= wanted


def unmet_constraints(request: PlacementRequest, state: NodeState) -> list[str]:
    """The constraints, as written, that a node does not meet."""
    return [text for text in request.rules.constraints if not parse(text).matches(state.info)]


def _meets_constraints(request: PlacementRequest, state: NodeState) -> bool:
    return all(parse(text).matches(state.info) for text in request.rules.constraints)


def _cores_free(request: PlacementRequest, state: NodeState) -> bool:
    wanted = request.resources.pinned_cores
    return not wanted or core_trouble(wanted, state.pinned, state.info.capacity) is None


def _cpu_fits(request: PlacementRequest, state: NodeState) -> bool:
    return state.free_cpu >= request.cpu_floor


def _memory_fits(request: PlacementRequest, state: NodeState) -> bool:
    return state.free_memory >= request.memory_floor


def _ports_free(request: PlacementRequest, state: NodeState) -> bool:
    return taken_port(request.resources.ports, state.ports) is None


STATIC: Final = (
    Filter("up", _is_up, lambda *_: "unreachable"),
    Filter("engine", _engine_is_up, lambda *_: "its container engine does not answer"),
    Filter(
        "cordoned",
        _is_open,
        lambda _, s, __: f"it is cordoned: shoal node uncordon {s.info.name}",
    ),
    Filter(
        "architecture",
        _architecture_fits,
        lambda r, s, _: f"needs {r.architecture}, it is {s.info.architecture or 'unknown'}",
    ),
    Filter(
        "cpu-class",
        _class_fits,
        lambda r, s, _: (
            f"needs cpu class {CLASS_NAMES[r.rules.cpu_class or 0]}, "
            f"it is {CLASS_NAMES[s.info.cpu_class]}"
        ),
    ),
    Filter(
        "constraint",
        _meets_constraints,
        lambda r, s, _: f"constraint {', '.join(unmet_constraints(r, s))} not met",
    ),
)
PIN: Final = Filter("pin", _is_pinned_host, _pin_reason)
DYNAMIC: Final = (
    Filter(
        "cores",
        _cores_free,
        lambda r, s, _: core_trouble(r.resources.pinned_cores, s.pinned, s.info.capacity) or "",
    ),
    Filter(
        "cpu",
        _cpu_fits,
        lambda r, s, _: (
            f"needs {cpus_text(cpu_need(r.resources))} cpus, {cpus_text(max(s.free_cpu, 0))} free"
        ),
    ),
    Filter(
        "memory",
        _memory_fits,
        lambda r, s, _: (
            f"needs {bytes_text(r.resources.memory)} of memory, "
            f"{bytes_text(max(s.free_memory, 0))} free"
        ),
    ),
    Filter(
        "port",
        _ports_free,
        lambda r, s, _: f"port {taken_port(r.resources.ports, s.ports)} is taken",
    ),
)


def may_run(request: PlacementRequest, state: NodeState) -> bool:
    """Whether a node passes the static filters."""
    return all(one.passes(request, state) for one in STATIC)


def has_room(request: PlacementRequest, state: NodeState) -> bool:
    """Whether a node passes the pins and the dynamic filters."""
    return PIN.passes(request, state) and all(one.passes(request, state) for one in DYNAMIC)
