"""What a rule set of nftables does with packets to this machine, pure.

A rule set is a program, and only running it tells what it does: peers that dial are the proof.
Here is only looked for what explains a failure: chains that drop by policy what no rule accepts,
and rules that drop our ports by number.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

Port = tuple[str, int]


class Dropping(msgspec.Struct, frozen=True):
    """A chain on input that drops. `accepts` and `drops` are those of our ports, as `tcp 7440`,
    that a rule of it names; `by_policy`: it drops what nobody accepts."""

    family: str
    table: str
    chain: str
    by_policy: bool
    accepts: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.family} {self.table} {self.chain}"


def dropping_chains(ruleset: bytes, port: int, membership_port: int) -> tuple[Dropping, ...] | None:
    """Read the output of `nft -j list ruleset`. None when it cannot be understood."""
    try:
        items = msgspec.json.decode(ruleset)["nftables"]
        ours: list[Port] = [("tcp", port), ("tcp", membership_port), ("udp", membership_port)]
        chains = [item["chain"] for item in items if "chain" in item]
        rules = [item["rule"] for item in items if "rule" in item]
        found = [_judge(chain, rules, ours) for chain in chains if chain.get("hook") == "input"]
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
    return tuple(one for one in found if one.by_policy or one.drops)


def _judge(chain: dict[str, Any], rules: list[dict[str, Any]], ours: list[Port]) -> Dropping:
    where = (chain["family"], chain["table"], chain["name"])
    mine = [rule for rule in rules if (rule["family"], rule["table"], rule["chain"]) == where]
    accepts, drops = [], []
    for rule in mine:
        expressions = rule.get("expr", [])
        named = [port for port in ours if _names(expressions, port)]
        if any("accept" in each for each in expressions):
            accepts += named
        elif any("drop" in each or "reject" in each for each in expressions):
            drops += named
    return Dropping(*where, chain.get("policy") == "drop", _words(accepts), _words(drops))


def _words(ports: list[Port]) -> tuple[str, ...]:
    return tuple(f"{protocol} {number}" for protocol, number in dict.fromkeys(ports))


def _names(expressions: list[dict[str, Any]], port: Port) -> bool:
    protocol, number = port
    for match in (each["match"] for each in expressions if "match" in each):
        field = match["left"].get("payload") if isinstance(match["left"], dict) else None
        if not field or field.get("field") != "dport" or field.get("protocol") != protocol:
            continue
        if any(low <= number <= high for low, high in _ranges(match["right"])):
            return match.get("op") in ("==", "in")
    return False


def _ranges(value: Any) -> Iterator[tuple[int, int]]:
    """Ports of a match: one, a range, or a set of both."""
    if isinstance(value, int):
        yield value, value
    elif isinstance(value, dict) and "range" in value:
        low, high = value["range"]
        yield low, high
    elif isinstance(value, dict) and "set" in value:
        for each in value["set"]:
            yield from _ranges(each)
