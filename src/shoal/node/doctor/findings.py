"""What an examination ends with."""

from typing import Literal

import msgspec

Level = Literal["ok", "warning", "problem"]
_ORDER: tuple[Level, ...] = ("problem", "warning", "ok")


class Finding(msgspec.Struct, frozen=True):
    """One line for people. `check` names what was looked at, the same for good news and bad;
    `node` is the name of the peer it is about, "" for this machine; `fix` is what to do, ""
    where there is nothing to do."""

    level: Level
    check: str
    text: str
    fix: str = ""
    node: str = ""


class Examination(msgspec.Struct, frozen=True):
    """All findings of one visit, the worst first. `node` is the name of the node that was asked,
    "" when no daemon runs and only the machine was looked at."""

    node: str
    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        return not any(finding.level == "problem" for finding in self.findings)


def examination(node: str, findings: list[Finding]) -> Examination:
    """Findings of one level stay in the order in which they were made."""
    return Examination(node, tuple(sorted(findings, key=lambda one: _ORDER.index(one.level))))


def ok(check: str, text: str, *, node: str = "") -> Finding:
    return Finding("ok", check, text, "", node)


def warning(check: str, text: str, fix: str = "", *, node: str = "") -> Finding:
    return Finding("warning", check, text, fix, node)


def problem(check: str, text: str, fix: str, *, node: str = "") -> Finding:
    return Finding("problem", check, text, fix, node)
