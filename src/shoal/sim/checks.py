"""The promises, checked when a healed cloud has been quiet: what is wrong, one line each."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from shoal.core.keeper.records import DESIRED, LIFE, PLACEMENT, STATUS, Records
from shoal.core.ring.ideal import ideal_successors
from shoal.model import ops
from shoal.model.container import ContainerView
from shoal.model.ids import node_position
from shoal.sim.clients import Op
from shoal.sim.host import Host

if TYPE_CHECKING:
    from shoal.sim.run import Run

Listings = list[tuple[Host, Op]]

_WISHES = {"start": "running", "restart": "running", "stop": "stopped", "kill": "stopped"}


def check(run: "Run", listings: Listings) -> list[str]:
    """All checks; later ones look at what the first node that answered lists."""
    wrong = [f"{host.name} is down" for host in run.present if not host.running]
    if wrong:
        return wrong
    wrong += _alive(run) + _ring(run) + _copies(run) + _agreement(run, listings)
    views = _views(listings)
    wrong += _acknowledged(run, views) + _names(views) + _instances(run, views)
    wrong += _wishes(run, views) + _written(run) + _ledgers(run, views)
    _count(run)
    return wrong


def _views(listings: Listings) -> dict[str, ContainerView]:
    for _, op in listings:
        if isinstance(op.answer, ops.Listing):
            return {view.id: view for view in op.answer.containers}
    return {}


# -- nodes agree ---------------------------------------------------------------------------------


def _alive(run: "Run") -> list[str]:
    """Everybody sees everybody, and each vcluster has one keeper: its owner."""
    wrong = []
    for host in run.present:
        assert host.core is not None
        missing = len(run.present) - len(host.core.members.present())
        if missing:
            wrong.append(f"{host.name} does not see {missing} nodes")
    for vcluster in run.vclusters:
        keepers = [
            host.name
            for host in run.present
            if host.core is not None and host.core.vclusters[vcluster].keeper is not None
        ]
        if len(keepers) != 1:
            wrong.append(f"keepers of {vcluster[:6]}: {', '.join(keepers) or 'none'}")
    return wrong


def _ring(run: "Run") -> list[str]:
    """Every node has its place on the ring, by what Chords said to each other."""
    wrong = []
    order = sorted(node_position(host.id) for host in run.present)
    for host in run.present:
        assert host.core is not None
        chord = host.core.members.ring.chord
        at = order.index(chord.own)
        successors = ideal_successors(order, at, chord.settings.successors)
        if chord.successors != successors or chord.predecessor != order[at - 1]:
            wrong.append(f"{host.name} has not found its place on the ring")
    return wrong


def _copies(run: "Run") -> list[str]:
    """The copies are where the ring says, complete, and equal."""
    wrong = []
    for vcluster in run.vclusters:
        contents: dict[frozenset[object], list[str]] = {}
        for host in run.present:
            assert host.core is not None
            copy = host.core.vclusters[vcluster].copy
            count = 3 if vcluster == run.vclusters[0] else 5
            holder = host.id in host.core.members.ring.successors(vcluster, count)
            if holder != copy.held:
                state = "lacks its copy" if holder else "keeps a copy that is not its own"
                wrong.append(f"{host.name} {state} of {vcluster[:6]}")
            if holder:
                contents.setdefault(_content(run, copy.records), []).append(host.name)
                if not copy.complete:
                    wrong.append(f"the copy of {vcluster[:6]} on {host.name} is not complete")
        if len(contents) > 1:
            groups = " | ".join(",".join(names) for names in contents.values())
            wrong.append(f"copies of {vcluster[:6]} differ: {groups}")
    return wrong


def _content(run: "Run", records: Records) -> frozenset[object]:
    """Keys and versions, but for the status of what keeps starting and ending by itself."""
    restless = {key for key, spec in run.clients.specs.items() if "sim" in spec.body}
    return frozenset(
        (record.key, record.version)
        for record in records
        if record.concern != STATUS or record.object not in restless
    )


def _phase(view: ContainerView) -> str:
    """What it does, unless it keeps starting and ending by itself."""
    return "" if "sim" in view.spec.body else view.status.phase


def _agreement(run: "Run", listings: Listings) -> list[str]:
    wrong = []
    seen: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for host, op in listings:
        answer = op.answer
        if not isinstance(answer, ops.Listing):
            wrong.append(f"{host.name} does not list: {answer}")
            continue
        if answer.stale or answer.partial:
            wrong.append(f"{host.name} lists stale {answer.stale}, partial {answer.partial}")
        lines = tuple((v.id, v.name, v.desired, _phase(v), v.node) for v in answer.containers)
        seen.setdefault(lines, []).append(host.name)
    if len(seen) > 1:
        wrong.append(f"listings differ: {' | '.join(','.join(names) for names in seen.values())}")
    return wrong


# -- what was promised to users ------------------------------------------------------------------


def _acknowledged(run: "Run", views: dict[str, ContainerView]) -> list[str]:
    wrong = []
    removals: dict[str, list[Op]] = {}
    for op in run.clients.history:
        if op.kind == "remove":
            removals.setdefault(op.id, []).append(op)
    for op in run.clients.history:
        if op.kind != "create":
            continue
        asked = removals.get(op.id, [])
        removed = [one for one in asked if one.acknowledged]
        if op.id in views and any(not _loses(run, one) for one in removed):
            wrong.append(f"{op.id[:6]} was removed and is listed")
        # "No such container" is the word of one keeper; another may have been asked before.
        maybe = any(one.unsure or _not_found(one) for one in asked) or bool(removed)
        maybe |= run.clients.specs[op.id].auto_remove or _loses(run, op)
        if op.id not in views and op.acknowledged and not maybe:
            wrong.append(f"{op.id[:6]} was created and is gone")
        if op.id in views and isinstance(op.answer, ops.Failed) and not op.unsure:
            if op.id[:12] in op.answer.text:
                wrong.append(f"{op.id[:6]} was refused for its own name")
            elif not run.probes.counts["two keepers"]:
                wrong.append(f"{op.id[:6]} was refused and is listed: {op.answer.text}")
    return wrong


def _loses(run: "Run", op: Op) -> bool:
    """Whether the loss of a host may take this with it: only its keeper had it."""
    return op.at_risk and any(host.lost or host.forgot for host in run.hosts)


def _forgotten(run: "Run", object_id: str) -> bool:
    """Whether the only disk that knew of a container was lost: it stays where it is, unnamed."""
    lost = any(host.lost or host.forgot for host in run.hosts)
    creates = (op for op in run.clients.history if op.id == object_id and op.kind == "create")
    return lost and any(op.at_risk or not op.acknowledged for op in creates)


def _not_found(op: Op) -> bool:
    return isinstance(op.answer, ops.Failed) and op.answer.status == 404


def _names(views: dict[str, ContainerView]) -> list[str]:
    counts = Counter(view.name for view in views.values())
    return [f"name {name} is used {count} times" for name, count in counts.items() if count > 1]


def _wishes(run: "Run", views: dict[str, ContainerView]) -> list[str]:
    """The last wish is one that no acknowledged later one has replaced, or was a conflict."""
    wrong = []
    conflicts = _conflicts(run)
    asked: dict[str, list[Op]] = {}
    for op in run.clients.history:
        if op.kind in _WISHES:
            asked.setdefault(op.id, []).append(op)
    for view in views.values():
        wishes = asked.get(view.id, [])
        # What needed nothing done has written nothing that could replace another wish.
        done = [op for op in wishes if isinstance(op.answer, ops.Done) and op.answer.changed]
        sure = [op for op in done if not _loses(run, op)]
        possible = {
            _WISHES[op.kind]
            for op in wishes
            if not op.acknowledged or not any(one.began > op.ended for one in sure if one is not op)
        }
        if not sure:
            possible.add("stopped")
        # To stop what was never started leaves it "created".
        desired = "running" if view.desired == "running" else "stopped"
        if desired not in possible and (view.id, DESIRED) not in conflicts:
            wrong.append(f"{view.id[:6]} is to be {view.desired}, not {' or '.join(possible)}")
    return wrong


def _written(run: "Run") -> list[str]:
    """Objects that are no containers have the value of a write that no later one replaced."""
    wrong = []
    conflicts = _conflicts(run)
    copies = [h.core.vclusters[h.default].copy for h in run.present if h.core is not None]
    copy = max(copies, key=lambda one: one.records.latest)
    writes = [op for op in run.clients.history if op.kind == "write"]
    for name in sorted({op.id for op in writes}):
        asked = [op for op in writes if op.id == name]
        sure = [op for op in asked if op.acknowledged and not _loses(run, op)]
        possible = [
            _value(op)
            for op in asked
            # A removal beats even what is written later by somebody who has not heard of it.
            if _value(op) is None
            or not (op.acknowledged and any(one.began > op.ended for one in sure))
        ]
        record = copy.records.get(name, "token")
        found = None if record is None else record.value
        allowed = found in possible or (found is None and not sure)
        if not allowed and (name, "token") not in conflicts:
            wrong.append(f"{name} is {found}, not one of {possible}")
    return wrong


def _value(op: Op) -> dict[str, Any] | None:
    assert isinstance(op.operation, ops.WriteObject)
    return op.operation.value


def _conflicts(run: "Run") -> set[tuple[str, str]]:
    """(object, concern) of every conflict on any disk."""
    found = set()
    for host in run.present:
        for space, key in host.disk.stored:
            if space.startswith("conflicts/"):
                object_id, concern, *_ = key.split("\x1f")
                found.add((object_id, concern))
    return found


# -- what hosts have -----------------------------------------------------------------------------


def _instances(run: "Run", views: dict[str, ContainerView]) -> list[str]:
    """Every container is in one engine, on the host that it is placed on; no other is in any."""
    wrong = []
    found: dict[str, list[tuple[Host, str]]] = {}
    for host in run.present:
        for container in host.engine.containers.values():
            found.setdefault(container.id, []).append((host, container.phase))
    for object_id, places in found.items():
        where = ", ".join(f"{host.name} {phase}" for host, phase in places)
        if object_id not in views:
            if not _forgotten(run, object_id):
                wrong.append(f"{object_id[:6]} is not listed and is in engines: {where}")
        elif len(places) > 1:
            wrong.append(f"{object_id[:6]} is in {len(places)} engines: {where}")
    for view in views.values():
        wrong += _instance(view, found.get(view.id, []))
    return wrong


def _instance(view: ContainerView, places: list[tuple[Host, str]]) -> list[str]:
    short = view.id[:6]
    if not places:
        excused = "waits for room" in view.note or "not created" in view.note
        excused |= bool(view.unreachable_since) and not _moves(view)
        return [] if excused else [f"{short} is listed on {view.node_name} and in no engine"]
    host, phase = places[0]
    if host.id != view.node:
        return [f"{short} is on {host.name} and listed on {view.node_name}"]
    if phase != view.status.phase and "sim" not in view.spec.body:
        return [f"{short} is {phase} and listed as {view.status.phase}"]
    if view.desired == "stopped" and phase == "running" and not view.status.error_status:
        return [f"{short} is to be stopped and runs"]
    if view.desired == "running" and phase != "running" and not _excused(view):
        return [f"{short} is to run and is {phase} on {host.name}: {view.note}"]
    return []


def _moves(view: ContainerView) -> bool:
    """Whether it has to run elsewhere when its host is gone."""
    return view.spec.movable and view.desired == "running"


def _excused(view: ContainerView) -> bool:
    """Whether it rightly does not run: its policy, its own end, or the host's room says so."""
    if view.status.error_status or "not restarted" in view.note:
        return True
    policy, ends_itself = view.spec.restart.name, "sim" in view.spec.body
    return ends_itself or policy not in ("always", "unless-stopped")


def _ledgers(run: "Run", views: dict[str, ContainerView]) -> list[str]:
    """Hosts hold entries and room only for containers that are placed there."""
    wrong = []
    for host in run.present:
        assert host.core is not None
        agent = host.core.host
        for entry in agent.entries.values():
            view = views.get(entry.id)
            if view is None:
                if not _forgotten(run, entry.id):
                    wrong.append(f"{host.name} holds {entry.id[:6]}, which is not listed")
            elif view.node != host.id:
                wrong.append(f"{host.name} holds {entry.id[:6]}, listed on {view.node_name}")
        wrong += [
            f"{host.name} keeps room for {reservation.container[:6]} for nothing"
            for reservation in agent.ledger.reservations()
            if reservation.container not in agent.entries
        ]
    return wrong


def _count(run: "Run") -> None:
    """Probes that are seen in what is left."""
    reasons = Counter[str]()
    for host in run.present:
        core = host.core
        assert core is not None
        for record in core.vclusters[host.default].copy.records:
            if record.concern == PLACEMENT and core.vclusters[host.default].keeper is not None:
                reasons[str(record.value["reason"])] += 1
            elif record.concern == LIFE and record.value["state"] == "undone":
                run.probes.hit("create undone")
                run.probes.hit("create given up", "nobody waited" in record.value["error"])
        if abs(core.context.clock.offset_ms()) > 0:
            run.probes.hit("clock corrected")
    for reason, count in reasons.items():
        for words, probe in (
            ("kept on", "adopted back"),
            ("refused:", "refused reservation"),
            ("unreachable", "replaced"),
        ):
            if words in reason:
                run.probes.hit(probe, count)
