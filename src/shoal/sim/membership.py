"""What each node believes of the others: late, asymmetric, flapping, and sometimes wrong.

A model of SWIM's outcome, not of SWIM: a node that cannot be reached, directly or through a
third one, is suspected and then held for dead by each observer after a delay of its own. Delays
follow those measured with the real one (suspected within 2 s, down within 2.5 to 5 s). Halves
that lost each other meet again only by `Rejoin`, or when a member starts.
"""

from collections.abc import Mapping

from shoal.core.events import PeerDown, PeerSuspect, PeerUp
from shoal.sim.host import Host
from shoal.sim.network import Network
from shoal.sim.world import SECOND, World


class View:
    """One observer's belief about one subject. `wanted` is where it is heading; a change that
    was planned under another `plan` number does not take place."""

    __slots__ = ("plan", "state", "wanted")

    def __init__(self) -> None:
        self.state = "down"
        self.wanted = False
        self.plan = 0


class Membership:
    """The views of all nodes. `calm` makes them quick and right."""

    def __init__(self, world: World, network: Network, hosts: Mapping[str, Host]) -> None:
        self._world = world
        self._network = network
        self._hosts = hosts
        self._random = world.random("membership")
        self._views: dict[tuple[str, str], View] = {
            (one, other): View() for one in hosts for other in hosts if one != other
        }

    def _connected(self, one: str, other: str) -> bool:
        """Whether two running daemons reach each other, maybe through a third."""
        hosts, net = self._hosts, self._network
        if not (hosts[one].running and hosts[other].running):
            return False
        if not net.blocked or net.both_ways(one, other):
            return True
        return any(
            host.running and net.both_ways(one, via) and net.both_ways(via, other)
            for via, host in hosts.items()
            if via not in (one, other)
        )

    def _seconds(self, least: float, most: float) -> int:
        return int(SECOND * self._random.uniform(least, most))

    # -- what happened -------------------------------------------------------------------------

    def links_changed(self) -> None:
        """Links were cut or healed: some are missed from now on, some are heard again."""
        for (one, other), view in self._views.items():
            if not self._hosts[one].running:
                continue
            connected = self._connected(one, other)
            if connected and view.state == "suspect":
                self._plan_up(one, other, 0.1, 1.0)
            elif not connected and view.wanted:
                self._plan_down(one, other)

    def started(self, node: str) -> None:
        """A daemon started: it joins those it reaches, and they hear of its new run."""
        for other in self._hosts:
            if other != node:
                view = self._views[node, other]
                view.state, view.wanted = "down", False
                view.plan += 1
                if self._connected(node, other):
                    self._plan_up(node, other, 0.05, 0.8)
                    self._plan_up(other, node, 0.05, 1.5)

    def stopped(self, node: str) -> None:
        for other in self._hosts:
            if other != node and self._views[other, node].wanted:
                self._plan_down(other, node)

    def rejoins(self, node: str, other: str) -> None:
        """A node seeds its membership with another: their halves meet."""
        if not self._connected(node, other):
            return
        for (one, two), view in self._views.items():
            if not view.wanted and self._connected(one, two):
                self._plan_up(one, two, 0.2, 1.5)

    def slander(self, node: str, observers: list[str]) -> None:
        """A healthy node is held for dead by some, until it refutes that."""
        for one in observers:
            view = self._views[one, node]
            if view.state != "down" and view.wanted:
                self._plan_down(one, node)
                self._later(one, node, self._seconds(3.0, 9.0), "up")

    # -- planned changes -----------------------------------------------------------------------

    def _plan_up(self, one: str, other: str, least: float, most: float) -> None:
        view = self._views[one, other]
        view.wanted = True
        view.plan += 1
        self._later(one, other, self._seconds(least, most), "up")

    def _plan_down(self, one: str, other: str) -> None:
        view = self._views[one, other]
        view.wanted = False
        view.plan += 1
        suspected = self._seconds(0.5, 2.0)
        self._later(one, other, suspected, "suspect")
        self._later(one, other, suspected + self._seconds(1.5, 3.0), "down")

    def _later(self, one: str, other: str, delay: int, state: str) -> None:
        plan = self._views[one, other].plan
        self._world.after(delay, self._change, one, other, state, plan)

    def _change(self, one: str, other: str, state: str, plan: int) -> None:
        view, host = self._views[one, other], self._hosts[one]
        if view.plan != plan or not host.running:
            return
        if state == "up":
            if not self._connected(one, other):
                view.wanted = False
                return
            view.wanted, view.state = True, "up"
            subject = self._hosts[other]
            host.deliver(PeerUp(other, subject.address, 7440, subject.epoch), host.epoch)
        elif view.wanted:
            return  # refuted meanwhile
        elif state == "suspect" and view.state == "up":
            view.state = "suspect"
            host.deliver(PeerSuspect(other), host.epoch)
        elif state == "down" and view.state != "down":
            view.state = "down"
            host.deliver(PeerDown(other), host.epoch)
