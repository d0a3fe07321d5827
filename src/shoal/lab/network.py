"""The lab's network: a bridge in a namespace of its own, one cable per host, one to the machine.

The machine gets a single new interface, `sl-LAB`, with address .1 of the lab's /24 and no
firewall rule, route or forwarding beyond it. Everything else lies in the bridge's namespace,
which a bind-mounted file keeps alive and which vanishes whole when that file is unmounted.
"""

import ipaddress
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from shoal.lab.errors import LabError
from shoal.lab.spec import HostSpec, LabSpec, Places, network6
from shoal.lab.system import run

_CANDIDATES = [f"10.9.{third}" for third in range(256)]
_QUIET = (
    "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done 2>/dev/null"
)


def uplink(lab: str) -> str:
    """The machine's interface to the lab."""
    return f"sl-{lab}"


def port(host: str) -> str:
    """The bridge's end of a host's cable."""
    return f"h-{host}"


def shaped_port(host: str) -> str:
    """Takes the port's place on the bridge while a relay shapes the host's link."""
    return f"s-{host}"


def free_subnet(used: Iterable[str] | None = None, *, skip: int = 0) -> str:
    """The first /24 of 10.9.0.0/16, after `skip` of them, that overlaps nothing the machine
    routes to.

    Returns its first three numbers. `used` (networks in CIDR notation) is read from the
    machine when not given. Raises LabError when none is free.
    """
    taken = [ipaddress.ip_network(n) for n in (_used_networks() if used is None else used)]
    for candidate in _CANDIDATES[skip:]:
        network = ipaddress.ip_network(f"{candidate}.0/24")
        if not any(network.overlaps(other) for other in taken if other.version == 4):
            return candidate
    raise LabError("no free /24 in 10.9.0.0/16: every one of them is routed on this machine")


def _used_networks() -> list[str]:
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout or "[]")
    destinations = {route["dst"] for route in routes} - {"default"}
    return [d if "/" in d else f"{d}/32" for d in destinations]


class Network:
    """The network of one lab. Hosts are plugged in by the pid of their first process."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._namespace = places.bridge_namespace

    def exists(self) -> bool:
        return os.path.ismount(self._namespace)

    def make(self, spec: LabSpec) -> None:
        """Make bridge and uplink unless they exist."""
        if self.exists():
            return
        self._places.run.mkdir(parents=True, exist_ok=True)
        self._namespace.touch()
        run(["unshare", f"--net={self._namespace}", "sh", "-c", _QUIET])
        here = os.getpid()
        link = uplink(spec.name)
        self.batch(
            [
                "link set lo up",
                # No learning delay and no snooping: a port forwards as soon as it is up.
                "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                "link set br0 up",
                f"link add up0 type veth peer name {link} netns {here}",
                "link set up0 master br0 up",
            ]
        )
        addresses = (f"{spec.subnet}.1/24", f"{network6(spec.subnet)}::1/64")
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []
            run(["ip", "address", "add", address, "dev", link, *nodad])
        run(["ip", "link", "set", link, "up"])

    def plug(self, host: HostSpec, pid: int) -> None:
        """Connect the host whose first process is `pid`, and give it its addresses."""
        cable = port(host.name)
        self.batch(
            [
                f"link add {cable} type veth peer name eth0 netns {pid}",
                f"link set {cable} master br0 up",
            ]
        )
        commands = [
            "link set lo up",
            f"link set eth0 address {host.mac}",
            f"address add {host.address}/24 dev eth0",
            f"address add {host.address6}/64 dev eth0 nodad",
            "link set eth0 up",
        ]
        enter = ["nsenter", f"--net=/proc/{pid}/ns/net"]
        run([*enter, "ip", "-batch", "-"], stdin="\n".join(commands) + "\n")

    def unplug(self, host: str) -> None:
        """Pull the host's cable at once, so that a dying host says no goodbye to its peers."""
        for name in (port(host), shaped_port(host)):
            self.inside("ip", "link", "delete", name, check=False)

    def cut(self, groups: Sequence[Sequence[str]]) -> None:
        """Let hosts reach only hosts of their own group; replaces an earlier cut.

        The machine keeps reaching all of them.
        """
        pairs = [
            (port_a, port_b)
            for index, group in enumerate(groups)
            for other in groups[index + 1 :]
            for a in group
            for b in other
            for port_a in (port(a), shaped_port(a))
            for port_b in (port(b), shaped_port(b))
        ]
        both_ways = [*pairs, *((b, a) for a, b in pairs)]
        elements = ", ".join(f'"{a}" . "{b}"' for a, b in both_ways)
        # Before priority 0, at which br_netfilter takes IP frames out of the bridge's hands.
        self._firewall(
            "table bridge lab {\n"
            f" set cut {{ type ifname . ifname; elements = {{ {elements} }} }}\n"
            " chain between {\n"
            "  type filter hook forward priority -200; policy accept;\n"
            "  iifname . oifname @cut drop\n"
            " }\n}\n"
            if elements
            else ""
        )

    def _firewall(self, table: str) -> None:
        # Declared before it is deleted, so that deleting works whether or not it was there.
        script = f"table bridge lab {{}}\ndelete table bridge lab\n{table}"
        run([*self.entering(), "nft", "-f", "-"], stdin=script)

    def remove(self) -> None:
        """Take away the uplink and the bridge's namespace, whatever of them exists."""
        link = uplink(self._places.lab)
        if Path("/sys/class/net", link).exists():
            run(["ip", "link", "delete", link], check=False)
        while self.exists():
            run(["umount", "--lazy", str(self._namespace)])
        with suppress(FileNotFoundError):
            self._namespace.unlink()

    def inside(self, *argv: str, check: bool = True) -> str:
        """Run a tool in the bridge's namespace; returns what it printed."""
        return run([*self.entering(), *argv], check=check).stdout

    def batch(self, commands: Sequence[str]) -> None:
        """Run `ip` commands in the bridge's namespace, in one process."""
        run([*self.entering(), "ip", "-batch", "-"], stdin="\n".join(commands) + "\n")

    def entering(self) -> list[str]:
        """The prefix that runs a command in the bridge namespace."""
        return ["nsenter", f"--net={self._namespace}"]
