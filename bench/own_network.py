"""A network of its own for one row: a namespace with nothing but a loopback interface, so that its
traffic can be counted and no port is taken. Linux, root."""

import contextlib
import json
import subprocess
from collections.abc import Iterator

import msgspec

from shoal.lab.system import environment, run

_COUNTERS = """table inet bench {
  counter datagrams { }
  counter streams { }
  chain sent {
    type filter hook output priority 0;
    meta l4proto udp counter name datagrams
    meta l4proto tcp counter name streams
  }
}
"""


class Traffic(msgspec.Struct, frozen=True):
    """What was sent; bytes count IP's headers too."""

    packets: int
    bytes: int

    def since(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.packets - earlier.packets, self.bytes - earlier.bytes)


class OwnNetwork:
    def __init__(self, pid: int) -> None:
        self._pid = pid

    def inside(self, *argv: str) -> list[str]:
        """The command that does `argv` in this network, as the same process."""
        return ["nsenter", f"--net=/proc/{self._pid}/ns/net", *argv]

    def sent(self) -> dict[str, Traffic]:
        """ "datagrams" (UDP) and "streams" (TCP), since the beginning."""
        return counters(run(self.inside("nft", "--json", "list", "counters")).stdout)


def counters(listing: str) -> dict[str, Traffic]:
    """What `nft --json list counters` says, by name."""
    found = [entry["counter"] for entry in json.loads(listing)["nftables"] if "counter" in entry]
    return {one["name"]: Traffic(one["packets"], one["bytes"]) for one in found}


@contextlib.contextmanager
def own_network() -> Iterator[OwnNetwork]:
    """Gone when it and the processes inside end. Raises LabError."""
    # The holder ends with its input, hence also if we are killed.
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()  # from here on it has left our network
        network = OwnNetwork(holder.pid)
        run(network.inside("ip", "link", "set", "lo", "up"))
        run(network.inside("nft", "--file", "-"), stdin=_COUNTERS)
        try:
            yield network
        finally:
            holder.kill()
