"""A process that carries one host's frames slowly and with losses, as a bad link would.

Run as `python -I -S relay.py MARKER CONFIG` in the bridge's namespace. It imports nothing of
the project. The kernel's netem does the same, but many kernels are built without it; this
one works wherever packet sockets do, and treats both directions alike.

CONFIG is a JSON file: {"host_side": interface, "bridge_side": interface, "rules": [...]}, a
rule being {"outgoing": bool, "peer": MAC or null for all, "delay": s, "jitter": s,
"loss": 0..1, "rate": bytes/s or 0}. The first rule that matches a frame decides; a frame
that matches none passes at once.
"""

import heapq
import json
import random
import select
import socket
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING = 263, 15, 23
_SO_RCVBUFFORCE = 33
_ETH_P_ALL = 3
#: Frames can be large, since senders leave cutting them up to hardware that is not there. The
#: header in front says how they are to be cut, and travels with them.
_HEADER = 10
_LARGEST = _HEADER + 65536 + 64
#: As many frames wait in one direction at most; a real link's queue is bounded too.
_QUEUE = 1000
_TURN = 64


class Rule(NamedTuple):
    peer: bytes | None
    delay: float
    jitter: float
    loss: float
    rate: float


class Direction:
    """Frames from `source` to `target`, each leaving at its time."""

    def __init__(
        self, source: socket.socket, target: socket.socket, rules: list[Rule], peer_at: int
    ) -> None:
        self.source = source
        self._target = target
        self._rules = rules
        self._peer_at = peer_at  # where a frame has the peer's address
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._last_due: dict[Rule, float] = {}
        self._free_at: dict[Rule, float] = {}

    def receive(self, now: float) -> None:
        """Take what has arrived, a bounded number of frames, so that none starves the other."""
        for _ in range(_TURN):
            try:
                frame = self.source.recv(_LARGEST)
            except BlockingIOError:
                return
            except OSError:
                return  # the interface went down; the lab tool replaces us
            self._accept(now, frame)

    def _accept(self, now: float, frame: bytes) -> None:
        rule = self._rule_for(frame)
        if rule is None:
            self._send(frame)
            return
        if random.random() < rule.loss or len(self._waiting) >= _QUEUE:  # noqa: S311
            return
        due = now + max(0.0, rule.delay + rule.jitter * random.uniform(-1, 1))  # noqa: S311
        if rule.rate:
            start = max(now, self._free_at.get(rule, 0.0))
            self._free_at[rule] = start + (len(frame) - _HEADER) / rule.rate
            due += self._free_at[rule] - now
        # In order, as on a cable: jitter delays those behind instead of letting them overtake.
        due = max(due, self._last_due.get(rule, 0.0))
        self._last_due[rule] = due
        self._count += 1
        heapq.heappush(self._waiting, (due, self._count, frame))

    def _rule_for(self, frame: bytes) -> Rule | None:
        start = _HEADER + self._peer_at
        address = frame[start : start + 6]
        for rule in self._rules:
            if rule.peer is None or rule.peer == address:
                return rule
        return None

    def release(self, now: float) -> None:
        """Send every frame whose time has come."""
        while self._waiting and self._waiting[0][0] <= now:
            self._send(heapq.heappop(self._waiting)[2])

    def _send(self, frame: bytes) -> None:
        try:
            self._target.send(frame)
        except OSError:
            return  # the other side is down or full: lost, as on a cable

    def next_due(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None


def _open(interface: str) -> socket.socket:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    packets.bind((interface, _ETH_P_ALL))
    packets.setblocking(False)
    return packets


def _rule(config: dict[str, Any]) -> Rule:
    peer = bytes.fromhex(config["peer"].replace(":", "")) if config["peer"] else None
    return Rule(peer, config["delay"], config["jitter"], config["loss"], config["rate"])


def main() -> None:
    config = json.loads(Path(sys.argv[2]).read_text())
    host_side, bridge_side = _open(config["host_side"]), _open(config["bridge_side"])
    rules = [(rule["outgoing"], _rule(rule)) for rule in config["rules"]]
    leaving = [rule for outgoing, rule in rules if outgoing]
    coming = [rule for outgoing, rule in rules if not outgoing]
    # A frame starts with its destination's address, then its source's.
    directions = [
        Direction(host_side, bridge_side, leaving, peer_at=0),
        Direction(bridge_side, host_side, coming, peer_at=6),
    ]
    poller = select.poll()
    for direction in directions:
        poller.register(direction.source, select.POLLIN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        dues = [due for d in directions if (due := d.next_due()) is not None]
        wait = max(0.0, min(dues) - time.monotonic()) * 1000 if dues else None
        poller.poll(wait)
        now = time.monotonic()
        for direction in directions:
            direction.receive(now)
            direction.release(now)


if __name__ == "__main__":
    main()
