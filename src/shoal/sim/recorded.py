"""Replays recordings of real nodes: every input again, and what was decided compared."""

from collections.abc import Iterable

import msgspec

from shoal.core.node import NodeCore
from shoal.core.recording import (
    Began,
    Decision,
    Frame,
    Met,
    Stepped,
    decisions_of,
    fingerprint,
)


class Difference(msgspec.Struct, frozen=True):
    """A step that decided otherwise: its number, and both decisions."""

    step: int
    event: str
    recorded: tuple[Decision, ...]
    replayed: tuple[Decision, ...]


class Replayed(msgspec.Struct):
    """What a replay showed. `lives` counts starts of the node; `unlike` the steps whose effects
    differ in anything at all, which newer code may do rightly; `differences` are placements."""

    node: str = ""
    lives: int = 0
    steps: int = 0
    decisions: int = 0
    unlike: int = 0
    differences: list[Difference] = []


def replay(frames: Iterable[Frame]) -> Replayed:
    """Give a node's recorded inputs to its core again. Raises ValueError if the recording does
    not begin with the start of a node or is empty."""
    result = Replayed()
    core: NodeCore | None = None
    for frame in frames:
        if isinstance(frame, Began):
            result.node, result.lives = frame.own.name, result.lives + 1
            core = NodeCore(
                frame.now,
                frame.cloud,
                frame.own,
                frame.stored,
                founder=frame.founder,
                discovery=frame.discovery,
            )
            core.start()
        elif core is None:
            raise ValueError("the recording does not begin with the start of a node")
        elif isinstance(frame, Met):
            core.learn(frame.info)
        else:
            _step(core, frame, result)
    if core is None:
        raise ValueError("the recording is empty")
    return result


def _step(core: NodeCore, frame: Stepped, result: Replayed) -> None:
    effects = core.handle(frame.now, frame.event)
    decided = decisions_of(core.context.node_id, effects)
    result.steps += 1
    result.decisions += len(frame.decisions)
    result.unlike += fingerprint(effects) != frame.effects
    if decided != frame.decisions:
        event = type(frame.event).__name__
        result.differences.append(Difference(result.steps, event, frame.decisions, decided))
