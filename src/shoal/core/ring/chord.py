"""Chord: one node of the ring. Look-ups, fingers and the ways in and out, over `Membership`."""

from bisect import bisect_left
from collections.abc import Sequence

from shoal.core.ring.circle import MASK, between, reaches
from shoal.core.ring.lookup import ALTERNATIVES, LookUps
from shoal.core.ring.membership import HASTE, STABILISE, Membership
from shoal.core.ring.messages import (
    Absent,
    Ask,
    Find,
    Found,
    Leaving,
    Nearer,
    Notify,
    RingMessage,
    State,
    Step,
    Stepped,
)
from shoal.core.ring.port import Draw, Port, Timer
from shoal.core.ring.settings import Settings

__all__ = ["Chord", "Settings"]

FIX = Timer("ring.fix", 0)
PROBE = Timer("ring.probe", 0)
JOIN = Timer("ring.join", 0)

#: Tokens of our own look-ups are negative, callers' are not.
JOINING = -1
MEETING = -2
FIXING = -3  # and below
PROBING = 0  # token of an Ask that is no query of `Membership`

FIRST_FIXES = 64  # a newcomer builds its table at once, at most this many fingers of it


class Chord(Membership):
    """A node of the ring. Its shell delivers messages and timers (kinds `ring.*`).

    `found` may be called on the port while `find` is still running, if the answer is known here.
    Tokens of look-ups under way must differ and be >= 0. A node that left or failed comes back
    as a new object, which must get none of the old one's timers.
    """

    __slots__ = ("_contact", "_fixed", "_fixes", "_lookups", "_probing", "_target")

    def __init__(self, port: Port, own: int, settings: Settings) -> None:
        super().__init__(port, own, settings)
        self._lookups = LookUps(port, own, settings, self.routes, self._answer)
        self._contact: int | None = None
        self._fixed = 0  # distance up to which the present round has fixed fingers
        self._fixes = 0  # look-ups left to this period
        self._target = 0  # distance of the target that is being looked up, 0 if none
        self._probing = False

    # coming and going

    def create(self) -> None:
        """Begin a ring of one."""
        self.settle(None, (), ())

    def settle(
        self, predecessor: int | None, successors: Sequence[int], fingers: Sequence[int]
    ) -> None:
        """Begin as a member in this state, which the caller knows to be right."""
        self.predecessor = predecessor
        self.successors = list(successors)
        self.routes.follow(self.successors, fingers)
        self._begin()

    def join(self, contact: int) -> None:
        """Join the ring that the contact belongs to; asked again until somebody answers."""
        self._contact = contact
        self._ask_to_join()

    def _ask_to_join(self) -> None:
        if self._contact is not None and not self.joined:
            self._find_own_place(self._contact, JOINING)
            self.port.after(self.settings.query_timeout * 3, JOIN)

    def _find_own_place(self, contact: int, token: int) -> None:
        """Look up, in the contact's ring, the node before us; it answers with its successors."""
        self.port.send(contact, Find(self.own, self.own, token, 1, self.settings.successors))

    def _joined(self, before: int, nodes: Sequence[int]) -> None:
        """The node before us in the ring answered: we take its list over and it as predecessor."""
        if self.joined or before == self.own:
            return
        # A ring that has not noticed that we were away may still list us.
        self._adopt([node for node in nodes if node != self.own] or [before])
        self.predecessor = before
        self._begin()
        self.port.after(0, HASTE)
        if self.settings.maintenance:
            self._fix(FIRST_FIXES)

    def _begin(self) -> None:
        self.joined = True
        self._contact = None
        if self.settings.maintenance:
            draw = Draw(self.own)
            self.port.after(draw.below(self.settings.stabilise_every), STABILISE)
            self.port.after(draw.below(self.settings.fix_every), FIX)

    # hints from failure detection

    def up(self, node: int) -> None:
        """The node lives: take it where it fits."""
        self.routes.trust(node)
        self._lives(node)
        if not self.joined or node == self.own:
            return
        self.routes.offer(node)
        self.want(node)
        if self.predecessor is None or between(self.predecessor, node, self.own):
            self.rectify(node)

    def suspect(self, node: int) -> None:
        """The node may be dead: pass nothing on to it while something else is there."""
        self.routes.suspect(node)

    def down(self, node: int) -> None:
        """The node is dead: remove it everywhere, but ask it now and then."""
        self._remember(node)
        self.routes.trust(node)
        self.gone(node)

    # look-ups

    def find(self, key: int, token: int, count: int = 1) -> None:
        """Look up the owner of the key and the nodes after it, `count` at most (and no more than
        the successor list holds). Answered by `port.found`, with () if it failed."""
        if not self.joined:
            self._answer(token, (), 0)
        elif self._owns(key):
            self._answer(token, (self.own, *self.successors)[:count], 0)
        elif self.successors and (key - self.own) & MASK <= self.routes.reach:
            self._answer(token, tuple(self.successors[:count]), 0)
        else:
            self._lookups.start(key, token, count)

    def _owns(self, key: int) -> bool:
        if self.predecessor is None:
            return key == self.own or not self.successors
        return reaches(self.predecessor, key, self.own)

    def _answer(self, token: int, nodes: tuple[int, ...], hops: int) -> None:
        if token >= 0:
            self.port.found(token, nodes, hops)
        elif nodes:
            self._fix_found(nodes[0])
        else:
            self._target = 0

    def _end_find(self, find: Find) -> None:
        """The key lies between us and our first successor."""
        # A node that has left still ends look-ups, but lets nobody join behind it.
        if self.joined or (self.successors and find.token >= 0):
            nodes = tuple(self.successors[: find.count]) or (self.own,)
            self.port.send(find.origin, Found(find.token, nodes, find.hops))

    def _step(self, sender: int, step: Step) -> None:
        distance = (step.key - self.own) & MASK
        after = [node for node in self.successors if node not in step.silent]
        if not self.joined and not after:
            return
        if not after or distance <= (after[0] - self.own) & MASK:
            nodes = tuple(after[: step.count]) or (self.own,)
            self.port.send(sender, Stepped(step.token, nodes, True))
        else:
            ahead = self.routes.preceding(distance, ALTERNATIVES + len(step.silent))
            nearer = [node for node in ahead if node not in step.silent][:ALTERNATIVES]
            self.port.send(sender, Stepped(step.token, tuple(nearer), False))

    # fingers

    def _fix(self, fixes: int) -> None:
        """Look up the next targets, one after the other, `fixes` at most."""
        self._fixes = fixes
        if not self._target:
            self._fix_next()

    def _fix_next(self) -> None:
        while self._fixes > 0:
            self._fixes -= 1
            target = self.routes.next_target(self._fixed)
            if target is None or not self.successors:
                self._fixed = 0
                self._fixes = 0
                return
            self._target = target
            self.tokens += 1  # a late answer for an earlier target must not be taken for this
            self.find((self.own + target) & MASK, FIXING - self.tokens)
            if self._target:  # else it was answered at once
                return

    def _fix_found(self, owner: int) -> None:
        target, self._target = self._target, 0
        if not target or not self.joined:
            return
        self.routes.learned(target, owner)
        reached = (owner - self.own) & MASK
        # Past ourselves: the round is complete.
        self._fixed = reached if reached >= target else MASK
        self._fix_next()

    # departed nodes, separated rings

    def _remember(self, node: int) -> None:
        self.encounters.remember(node)
        self._watch()

    def _watch(self) -> None:
        if self.encounters.nodes and not self._probing and self.settings.maintenance:
            self._probing = True
            self.port.after(self.settings.probe_every, PROBE)

    def _probe(self) -> None:
        self._probing = False
        if self.joined:
            for node in self.encounters.due(self.settings.probes):
                self.port.send(node, Ask(PROBING))
            self._watch()

    def _lives(self, node: int) -> None:
        """A node believed dead shows itself: if it is in another ring, the rings must merge."""
        if self.encounters.forget(node) and self.joined:
            self._find_own_place(node, MEETING)

    def _met(self, before: int, nodes: Sequence[int]) -> None:
        """Our place in the ring of a node that we met: if we are not there already, take the
        neighbours there as candidates, and offer ourselves to them."""
        if self.own not in nodes and before != self.own and self.joined:
            self.want(nodes[0])
            self.rectify(before)
            self.port.send(before, Nearer(self.own, 1))

    def _nearer(self, message: Nearer) -> None:
        node = message.node
        if node == self.own or node in self.successors or not self.joined:
            return
        if self._fits(node):
            self.want(node)
        elif message.hops < self.settings.hops:
            ahead = self.routes.preceding((node - self.own) & MASK, 1)
            self.port.send(ahead[0], Nearer(node, message.hops + 1))

    # input

    def receive(self, sender: int, message: RingMessage) -> None:
        """Handle a message. Look-ups come first: a hop is most of what a node does."""
        if type(message) is Find:
            live = self.routes.live
            # Nobody lies before a key of the first successor's, and for others at least it does:
            # it is passed to even if suspected.
            at = bisect_left(live, (message.key - self.own) & MASK)
            if at == 0:
                self._end_find(message)
            elif message.hops < self.settings.hops:
                self.port.send(
                    (self.own + live[at - 1]) & MASK,
                    Find(
                        message.key,
                        message.origin,
                        message.token,
                        message.hops + 1,
                        message.count,
                    ),
                )
        elif type(message) is Found:
            self._found(sender, message)
        else:
            self._receive_other(sender, message)

    def _found(self, sender: int, message: Found) -> None:
        token = message.token
        if token == JOINING:
            self._joined(sender, message.nodes)
        elif token == MEETING:
            self._met(sender, message.nodes)
        else:
            self._lookups.found(token, message.nodes, message.hops)

    def _receive_other(self, sender: int, message: RingMessage) -> None:
        match message:
            case Ask():
                if self.joined:
                    state = State(message.token, self.predecessor, tuple(self.successors))
                    self.port.send(sender, state)
                    self._lives(sender)
                else:
                    self.port.send(sender, Absent(message.token))
            case State():
                self._lives(sender)
                self.answered(message)
            case Notify():
                self._lives(sender)
                self.rectify(sender)
            case Nearer():
                self._nearer(message)
            case Step():
                self._step(sender, message)
            case Stepped():
                self._lookups.stepped(sender, message)
            case Leaving():
                self.left(sender, message)
            case Absent():
                self.absent(message.token)
            case _:
                raise AssertionError(f"BUG: {message!r} is handled before")

    def fire(self, timer: Timer) -> None:
        """A timer has run out."""
        match timer.kind:
            case "ring.query":
                self.expired(timer.token)
                self._watch()
            case "ring.find":
                self._lookups.expired(timer.token)
            case "ring.step":
                self._lookups.step_expired(timer.token)
            case "ring.join":
                self._ask_to_join()
            case _ if not self.joined:
                pass  # the periodic ones end here
            case "ring.haste":
                self.stabilise()
            case "ring.stabilise":
                self.stabilise()
                self.port.after(self.settings.stabilise_every, STABILISE)
            case "ring.fix":
                self._fix(self.settings.fixes)
                self.port.after(self.settings.fix_every, FIX)
            case "ring.probe":
                self._probe()

    def validate(self) -> None:
        """Raise AssertionError if the state contradicts itself."""
        far = [(node - self.own) & MASK for node in self.successors]
        assert far == sorted(set(far)), "successors are out of order"
        assert 0 not in far, "a node is its own successor"
        assert len(far) <= self.settings.successors, "too many successors"
        assert self.predecessor != self.own, "a node is its own predecessor"
        self.routes.validate(self.successors)
