"""Explores all interleavings of a small ring, driving real Chord objects.

A state is what every member knows and which messages are under way. A step is one operation of
one node: a join, a failure, a leave, one stabilisation, the delivery of one message. Messages
under way are a set that is delivered in any order, or never.

Two grains. `atomic`: a query and its answer are one step, as in Zave's model. Otherwise
questions and answers are under way like everything else, and a time-out may come when a death
has lost them. Fingers are left out (they are hints only), and so are time and memory of the
departed: a node may stabilise at any moment.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

from shoal.core.ring.chord import JOINING, Chord, Settings
from shoal.core.ring.circle import between
from shoal.core.ring.ideal import ideal_successors
from shoal.core.ring.membership import Query
from shoal.core.ring.messages import Absent, Ask, Find, Found, RingMessage, State
from shoal.core.ring.port import Timer

ASKING, CHECKING = 1, 2


class Member(NamedTuple):
    """What one node knows. Queries are (node asked, candidate)."""

    own: int
    predecessor: int | None
    successors: tuple[int, ...]
    wanted: int | None = None
    asking: tuple[int, int] | None = None
    checking: tuple[int, int] | None = None


class Parcel(NamedTuple):
    sender: int
    to: int
    message: RingMessage


class World(NamedTuple):
    """One state: members by position, messages under way, what may still happen."""

    members: tuple[Member, ...]
    bag: frozenset[Parcel]
    joins: int
    losses: int

    def alive(self) -> list[int]:
        return [member.own for member in self.members]


class Violation(AssertionError):
    """The invariant does not hold, or a quiet ring does not become ideal."""


class Step(NamedTuple):
    name: str
    node: int
    detail: object = None


class Explorer:
    """Breadth first over all states, up to a depth. See `explore`."""

    def __init__(
        self,
        nodes: Sequence[int],
        *,
        successors: int,
        atomic: bool = True,
        leaves: bool = True,
        principals: int | None = None,
    ) -> None:
        """principals: how many there must always be; None for L + 1, 0 in rings below that."""
        self.nodes = sorted(nodes)
        self.length = successors
        self.atomic = atomic
        self.leaves = leaves
        self.principals = successors + 1 if principals is None else principals
        settings = Settings(successors=successors, maintenance=False, query_tries=1, remembered=0)
        self._chords = {own: Chord(_Port(self, own), own, settings) for own in self.nodes}
        self._loaded: dict[int, Member | None] = {}
        self._sent: set[Parcel] = set()
        self._world = World((), frozenset(), 0, 0)
        self._quiet: set[World] = set()
        self.transitions = 0

    # states

    def ideal(self, alive: Sequence[int], *, joins: int, losses: int) -> World:
        """An ideal ring of these nodes."""
        ring = sorted(alive)
        members = tuple(
            Member(
                own,
                ring[at - 1] if len(ring) > 1 else None,
                tuple(ideal_successors(ring, at, self.length)),
            )
            for at, own in enumerate(ring)
        )
        return World(members, frozenset(), joins, losses)

    def is_ideal(self, world: World) -> bool:
        return world.members == self.ideal(world.alive(), joins=0, losses=0).members

    def check(self, world: World) -> None:
        """Zave's invariant: see docs/ring.md. Raises Violation."""
        alive = set(world.alive())
        lists = [(member.own, *member.successors) for member in world.members]
        for extended in lists:
            own = extended[0]
            far = [(node - own) % 2**64 for node in extended]
            if far != sorted(set(far)):
                raise Violation(f"{extended} is out of order or has doubles")
            if self.principals and alive.isdisjoint(extended[1:]):
                raise Violation(f"{own} has no living successor")
        principals = [p for p in alive if not any(_skips(extended, p) for extended in lists)]
        if len(principals) < self.principals:
            raise Violation(f"only {principals} are principals")

    def may_go(self, world: World, node: int) -> bool:
        """The paper's assumption on failures: nobody loses its last living successor, and
        enough principals stay."""
        alive = set(world.alive())
        rest = alive - {node}
        lists = [(m.own, *m.successors) for m in world.members if m.own != node]
        if not rest or any(node in e and rest.isdisjoint(e[1:]) for e in lists):
            return False
        if self.principals == 0:
            return True
        full = [(m.own, *m.successors) for m in world.members]
        principals = [p for p in alive if not any(_skips(e, p) for e in full)]
        return node not in principals or len(principals) > self.principals

    # steps

    def steps(self, world: World) -> Iterator[Step]:
        """Everything that may happen next."""
        alive = set(world.alive())
        for member in world.members:
            if member.asking is None:
                yield Step("stabilise", member.own)
            yield from self._time_outs(world, member)
        for parcel in world.bag:
            yield Step("deliver", parcel.to, parcel)
        if world.joins:
            for node in self.nodes:
                if node not in alive:
                    yield from (
                        Step("join", node, m.own)
                        for m in world.members
                        if between(m.own, node, m.successors[0] if m.successors else m.own)
                    )
        if world.losses:
            for node in alive:
                if self.may_go(world, node):
                    yield Step("fail", node)
                    if self.leaves:
                        yield Step("leave", node)

    def _time_outs(self, world: World, member: Member) -> Iterator[Step]:
        """A query whose question and answer are both lost, which only a death can cause."""
        for query, token in ((member.asking, ASKING), (member.checking, CHECKING)):
            if query is not None and not any(
                isinstance(p.message, Ask | State | Absent)
                and p.message.token == token
                and (p.sender if isinstance(p.message, Ask) else p.to) == member.own
                for p in world.bag
            ):
                yield Step("time out", member.own, token)

    def after(self, world: World, step: Step) -> World:
        """The state that a step leads to."""
        self.transitions += 1
        self._world = world
        self._loaded = {}
        self._sent = set(world.bag)
        node = step.node
        joins, losses = world.joins, world.losses
        if step.name == "stabilise":
            self._chord(node).stabilise()
        elif step.name == "time out":
            self._chord(node).fire(Timer("ring.query", cast("int", step.detail)))
        elif step.name == "deliver":
            parcel = cast("Parcel", step.detail)
            self._sent.discard(parcel)
            self._chord(node).receive(parcel.sender, parcel.message)
        elif step.name == "join":
            joins -= 1
            self._join(node, cast("int", step.detail))
        else:
            losses -= 1
            if step.name == "leave":
                self._chord(node).leave()
            self._loaded[node] = None
        return self._dump(joins, losses)

    def _join(self, node: int, before: int) -> None:
        """The look-up of the newcomer's place ends at `before`, which really answers it."""
        joiner = self._chord(node)
        find = Find(node, node, JOINING, 1, self.length)
        self._chord(before).receive(node, find)
        parcel = next(p for p in self._sent if p.to == node and isinstance(p.message, Found))
        self._sent.discard(parcel)
        joiner.receive(before, parcel.message)

    # the shell of the real objects

    def send(self, sender: int, to: int, message: RingMessage) -> None:
        self._sent.add(Parcel(sender, to, message))

    def _settle_queries(self) -> None:
        """Answer all queries at once, or let them time out (atomic grain)."""
        for _ in range(100):
            parcel = next((p for p in self._sent if isinstance(p.message, Ask)), None)
            if parcel is None:
                return
            self._sent.discard(parcel)
            asked = self._member(parcel.to)
            token = cast("Ask", parcel.message).token
            if asked is None:
                self._chord(parcel.sender).fire(Timer("ring.query", token))
            else:
                state = State(token, asked.predecessor, tuple(asked.successors))
                self._chord(parcel.sender).receive(parcel.to, state)
        raise Violation("queries without end")

    def _member(self, node: int) -> Chord | None:
        if self._loaded.get(node, node) is None:
            return None
        chord = self._chord(node)
        return chord if chord.joined else None

    def _chord(self, node: int) -> Chord:
        """The real object, in the state of the present world."""
        chord = self._chords[node]
        if node in self._loaded:
            return chord
        known = next((m for m in self._world.members if m.own == node), None)
        member = known or Member(node, None, ())
        self._loaded[node] = member
        chord.joined = known is not None
        chord.predecessor = member.predecessor
        chord.successors = list(member.successors)
        chord.routes.table = chord.routes.table[:0]
        chord.routes.follow(chord.successors)
        chord.wanted = member.wanted
        chord.asking = _query(member.asking, ASKING)
        chord.checking = _query(member.checking, CHECKING)
        chord.tokens = CHECKING
        return chord

    def _dump(self, joins: int, losses: int) -> World:
        if self.atomic:
            self._settle_queries()
        members = []
        tokens: dict[tuple[int, int], int] = {}
        for own in self.nodes:
            if own not in self._loaded:
                members += [m for m in self._world.members if m.own == own]
                tokens[own, ASKING], tokens[own, CHECKING] = ASKING, CHECKING
            elif self._loaded[own] is not None and (chord := self._chords[own]).joined:
                chord.validate()
                members.append(_member_of(chord))
                for query, token in ((chord.asking, ASKING), (chord.checking, CHECKING)):
                    if query is not None:
                        tokens[own, query.token] = token
        alive = {member.own for member in members}
        bag = set()
        for parcel in self._sent:
            if parcel.to in alive and (renamed := _rename(parcel, tokens, alive)) is not None:
                bag.add(renamed)
        return World(tuple(members), frozenset(bag), joins, losses)

    # exploring

    def explore(self, start: World, depth: int) -> tuple[int, bool]:
        """Check every state within `depth` steps; (states, whether that is all there are).

        Raises Violation with the steps that lead to it.
        """
        seen = {start}
        back: dict[World, tuple[World, Step]] = {}
        frontier = deque([start])
        for _ in range(depth):
            following: deque[World] = deque()
            for world in frontier:
                for step in self.steps(world):
                    try:
                        reached = self.after(world, step)
                        if reached not in seen:
                            self.check(reached)
                            self.settles(reached)
                    except Violation as violation:
                        raise Violation(_story(world, back, step, violation)) from None
                    if reached not in seen:
                        seen.add(reached)
                        back[reached] = (world, step)
                        following.append(reached)
            frontier = following
            if not frontier:
                return len(seen), True
        return len(seen), False

    def settles(self, world: World, rounds: int = 40) -> None:
        """From here, if nothing more happens but maintenance, the ring becomes ideal."""
        path = []
        world = world._replace(joins=0, losses=0)
        for _ in range(rounds):
            if world in self._quiet:
                break
            path.append(world)
            following = self._quiet_round(world)
            if following == world:
                if not self.is_ideal(world):
                    raise Violation(f"quiet, but not ideal: {_show(world)}")
                break
            world = following
        else:
            raise Violation(f"not ideal after {rounds} quiet rounds: {_show(world)}")
        self._quiet.update(path)

    def _quiet_round(self, world: World) -> World:
        """Every member stabilises once, and all messages that follow are delivered."""
        for own in world.alive():
            if next(m for m in world.members if m.own == own).asking is None:
                world = self.after(world, Step("stabilise", own))
        for _ in range(1000):
            due = [Step("deliver", p.to, p) for p in sorted(world.bag, key=repr)]
            due += [s for m in world.members for s in self._time_outs(world, m)]
            if not due:
                return world
            world = self.after(world, due[0])
        raise Violation(f"messages without end: {_show(world)}")


class _Port:
    """Port of one node. Timers are left out: the explorer stabilises whenever it likes."""

    now = 0

    def __init__(self, explorer: Explorer, own: int) -> None:
        self._explorer = explorer
        self._own = own

    def send(self, to: int, message: object) -> None:
        self._explorer.send(self._own, to, cast("RingMessage", message))

    def after(self, delay: int, timer: Timer) -> None:
        pass

    def found(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        raise AssertionError("nobody looks anything up")


def _skips(extended: Sequence[int], node: int) -> bool:
    return any(between(a, node, b) for a, b in pairwise(extended))


def _query(query: tuple[int, int] | None, token: int) -> Query | None:
    return None if query is None else Query(query[0], token, 0, query[1])


def _member_of(chord: Chord) -> Member:
    asking, checking = chord.asking, chord.checking
    return Member(
        chord.own,
        chord.predecessor,
        tuple(chord.successors),
        chord.wanted,
        None if asking is None else (asking.node, asking.candidate),
        None if checking is None else (checking.node, checking.candidate),
    )


def _rename(parcel: Parcel, tokens: dict[tuple[int, int], int], alive: set[int]) -> Parcel | None:
    """The parcel with its token by role, so that equal states are equal; None if it is stale."""
    message = parcel.message
    if isinstance(message, Ask):
        token = tokens.get((parcel.sender, message.token))
        if token is None or parcel.sender not in alive:
            return None
        return parcel._replace(message=Ask(token))
    if isinstance(message, State):
        token = tokens.get((parcel.to, message.token))
        if token is None:
            return None
        return parcel._replace(message=State(token, message.predecessor, message.successors))
    return parcel


def _show(world: World) -> str:
    return (
        "; ".join(
            f"{m.own:x}: {m.predecessor or 0:x} < {[f'{s:x}' for s in m.successors]}"
            for m in world.members
        )
        + f"; {len(world.bag)} under way"
    )


def _story(
    world: World, back: dict[World, tuple[World, Step]], last: Step, violation: Violation
) -> str:
    lines = [f"{last.name} {last.node:x} {last.detail or ''}"]
    while world in back:
        before, step = back[world]
        lines.append(f"{step.name} {step.node:x} {step.detail or ''} -> {_show(world)}")
        world = before
    return "\n".join([str(violation), f"start: {_show(world)}", *reversed(lines)])
