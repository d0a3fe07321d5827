"""Why: per node what speaks for or against it, and one line that sums it up."""

from typing import Final

import msgspec

from shoal.core.placement.advice import EXCLUDED, Judged, refusals, would_fit
from shoal.core.placement.filters import DYNAMIC, PIN, STATIC, NameOf
from shoal.core.placement.fit import cpu_need
from shoal.core.placement.ranking import NOBODY, Excluded
from shoal.core.placement.request import PlacementRequest
from shoal.core.placement.scores import Scorer, seed_of, tie_break
from shoal.core.placement.state import NodeState
from shoal.core.placement.view import ClusterView
from shoal.model.ids import short
from shoal.model.resources import Load, Resources

#: In the order in which they are told: a host that is gone is gone, whatever its labels.
_FILTERS: Final = (*STATIC[:2], PIN, *STATIC[2:], *DYNAMIC)


class Verdict(msgspec.Struct, frozen=True):
    """One node: its score in millionths if it is eligible, else the first filter that it fails
    and why."""

    node: str
    name: str
    eligible: bool
    score: int = 0
    filter: str = ""
    reason: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """All nodes: the eligible ones, best first, then the others by name. The summary is one
    line, fit for an error."""

    summary: str
    nodes: tuple[Verdict, ...]

    @property
    def eligible(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.nodes if verdict.eligible)


def explain(
    request: PlacementRequest,
    view: ClusterView,
    *,
    key: str = "",
    excluded: Excluded = NOBODY,
    hosted_by: str = "",
) -> Explanation:
    """Judge every node as `rank` with the same arguments does. Looks at all nodes.

    `hosted_by` is the id of the node that holds resources for the container already: what it
    takes there does not speak against that node.
    """

    def name_of(node_id: str) -> str:
        state = view.state(node_id)
        return short(node_id) if state is None else state.info.name

    fits: list[NodeState] = []
    refused: list[Judged] = []
    for known in view.states():
        own = hosted_by == known.info.id
        state = _without_own(known, key, request.resources) if own else known
        judged = _judge(request, state, excluded, name_of)
        if judged.failed:
            refused.append(judged)
        else:
            fits.append(state)
    scorer, seed = Scorer(request), seed_of(key)
    fits.sort(key=lambda one: (-scorer.score(one), tie_break(seed, one.salt)))
    refused.sort(key=lambda one: (one.state.info.name, one.state.info.id))
    verdicts = [
        Verdict(one.info.id, one.info.name, True, score=scorer.score(one)) for one in fits
    ] + [_refusal(one) for one in refused]
    return Explanation(_summary(request, fits, refused, name_of), tuple(verdicts))


def _without_own(state: NodeState, key: str, own: Resources) -> NodeState:
    """The node as if the container were not there."""
    twin = NodeState(state.index, state.salt, state.info, up=state.up)
    twin.pending = {other: held for other, held in state.pending.items() if other != key}
    load = state.load
    if key not in state.pending:
        load = Load(
            cpu_millis=max(load.cpu_millis - cpu_need(own), 0),
            memory=max(load.memory - own.memory, 0),
            containers=max(load.containers - 1, 0),
            ports=tuple(port for port in load.ports if port not in own.ports),
            pinned_cores=tuple(core for core in load.pinned_cores if core not in own.pinned_cores),
        )
    twin.set_load(load)
    return twin


def _judge(
    request: PlacementRequest, state: NodeState, excluded: Excluded, name_of: NameOf
) -> Judged:
    failed = [one for one in _FILTERS if not one.passes(request, state)]
    names = tuple(one.name for one in failed)
    why = excluded.get(state.info.id)
    if why is not None:
        return Judged(state, (EXCLUDED, *names), why)
    return Judged(state, names, failed[0].reason(request, state, name_of) if failed else "")


def _refusal(judged: Judged) -> Verdict:
    info = judged.state.info
    return Verdict(info.id, info.name, False, filter=judged.failed[0], reason=judged.reason)


def _summary(
    request: PlacementRequest, fits: list[NodeState], refused: list[Judged], name_of: NameOf
) -> str:
    total = len(fits) + len(refused)
    if not total:
        return "no node can run it: no node is known"
    against = ", ".join(refusals(request, refused, name_of))
    if fits:
        head = f"{len(fits)} of {total} nodes can run it, best: {fits[0].info.name}"
        return f"{head}; {against}" if against else head
    count, rest = against.split(" ", 1)
    would = would_fit(request, refused)
    tail = f"; would fit {would}" if would else ""
    return f"no node can run it: {count} of {total} {rest}{tail}"
