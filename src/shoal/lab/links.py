"""Bad links: delay, jitter, loss and rate on what a host sends and receives."""

import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from shoal.lab import processes, relay
from shoal.lab.errors import LabError
from shoal.lab.network import Network, port, shaped_port
from shoal.lab.spec import LabSpec, Places
from shoal.lab.system import spawn


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How bad a link is. Delay and jitter in seconds, loss 0..1, rate in bytes/s (0: full)."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise LabError(f"loss is a share from 0 to 1 (0% to 100%), not {self.loss}")
        if min(self.delay, self.jitter, self.rate) < 0:
            raise LabError("delay, jitter and rate cannot be negative")


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    outgoing: bool
    peer: str | None
    delay: float
    jitter: float
    loss: float
    rate: float


class _Config(msgspec.Struct, frozen=True, kw_only=True):
    host_side: str
    bridge_side: str
    rules: tuple[_Rule, ...] = ()


class Links:
    """The bad links of one lab. A host without rules is plugged straight into the bridge."""

    def __init__(self, places: Places, spec: LabSpec, network: Network) -> None:
        self._places = places
        self._spec = spec
        self._network = network

    def shape(self, host: str, quality: Quality, *, to: str | None, one_way: bool) -> None:
        """Make the host's link as bad as `quality` says, replacing an earlier rule for the
        same peer.

        `to` limits it to frames exchanged with one other host (broadcasts excepted), `one_way`
        to frames that `host` sends.
        """
        self._spec.host(host)
        peer = self._spec.host(to).mac if to else None
        ways = (True,) if one_way else (True, False)
        values = msgspec.structs.asdict(quality)
        added = tuple(_Rule(outgoing=way, peer=peer, **values) for way in ways)
        kept = tuple(
            r for r in self._rules(host) if (r.outgoing, r.peer) not in {(w, peer) for w in ways}
        )
        # A rule for one peer is asked before the rule for all.
        rules = sorted((*kept, *added), key=lambda rule: rule.peer is None)
        self._stop(host)
        self._start(host, tuple(rules))

    def restore(self, host: str) -> None:
        """Give the host a good link again, if it has a bad one."""
        self._file(host).unlink(missing_ok=True)
        self._stop(host)
        commands = [f"link set {port(host)} master br0 up"]
        with suppress(LabError):  # a host that is off has no cable
            self._network.batch(commands)

    def plugged(self, host: str) -> None:
        """Apply the host's rules to its new cable after a power-on."""
        rules = self._rules(host)
        if rules:
            self._stop(host)
            self._start(host, rules)

    def unplugged(self, host: str) -> None:
        """Stop the relay of a host whose cable is gone; its rules wait for the next power-on."""
        self._stop(host)

    def _rules(self, host: str) -> tuple[_Rule, ...]:
        try:
            return msgspec.json.decode(self._file(host).read_bytes(), type=_Config).rules
        except FileNotFoundError:
            return ()

    def _stop(self, host: str) -> None:
        processes.kill(processes.marked(self._marker(host)))
        self._network.inside("ip", "link", "delete", shaped_port(host), check=False)

    def _start(self, host: str, rules: tuple[_Rule, ...]) -> None:
        cable, inner, outer = port(host), f"r-{host}", shaped_port(host)
        config = _Config(host_side=cable, bridge_side=inner, rules=rules)
        self._file(host).write_bytes(msgspec.json.encode(config))
        if not self._has_cable(host):
            return  # switched off; the rules are applied when it is plugged in
        self._network.batch(
            [
                f"link set {cable} nomaster",
                f"link add {outer} type veth peer name {inner}",
                f"link set {inner} up",
                f"link set {outer} master br0 up",
            ]
        )
        self._run_relay(host)

    def _has_cable(self, host: str) -> bool:
        return bool(self._network.inside("ip", "link", "show", port(host), check=False))

    def _run_relay(self, host: str) -> None:
        program = [sys.executable, "-I", "-S", str(Path(relay.__file__)), self._marker(host)]
        argv = [*self._network.entering(), *program, str(self._file(host))]
        spawn(argv, f"the relay of host {host}'s link")

    def _marker(self, host: str) -> str:
        return f"{self._places.marker(host)}/link"

    def _file(self, host: str) -> Path:
        return self._places.run / f"{host}.link.json"
