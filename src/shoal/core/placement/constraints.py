"""Constraint expressions: `FIELD==VALUE` and `FIELD!=VALUE` over what a node says of itself.

Fields are node.id (any prefix), node.name, node.hostname (the same), node.site, node.architecture,
node.platform.arch, node.platform.os and node.labels.NAME. As in Swarm, values are compared
without case, and a label that a node lacks counts as empty.
"""

import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

from shoal.model.errors import BadRequest
from shoal.model.node import NodeInfo

_LABELS: Final = "node.labels."
_FIELDS: Final = (
    "node.id",
    "node.name",
    "node.hostname",
    "node.site",
    "node.architecture",
    "node.platform.arch",
    "node.platform.os",
)
_EXPRESSION = re.compile(r"\s*([A-Za-z0-9_./-]+?)\s*(==|!=)\s*(.*?)\s*\Z", re.DOTALL)
_LABEL_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_./-]*[A-Za-z0-9_])?\Z")
#: What `uname -m` says -> what Docker says.
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


def normal_architecture(text: str) -> str:
    """Docker's name of an architecture: `x86_64` is amd64, `linux/arm64` is arm64."""
    name = text.lower().removeprefix("linux/")
    return _ARCHITECTURES.get(name, name)


class Constraint(msgspec.Struct, frozen=True):
    """One parsed expression; `value` is in lower case."""

    field: str
    operator: Literal["==", "!="]
    value: str

    def matches(self, node: NodeInfo) -> bool:
        return self._equal(node) == (self.operator == "==")

    def _equal(self, node: NodeInfo) -> bool:
        actual = _value(node, self.field).lower()
        if self.field == "node.id":
            return actual.startswith(self.value)
        return actual == self.value


def _value(node: NodeInfo, field: str) -> str:
    if field.startswith(_LABELS):
        return node.labels.get(field[len(_LABELS) :], "")
    match field:
        case "node.id":
            return node.id
        case "node.name" | "node.hostname":
            return node.name
        case "node.site":
            return node.site
        case "node.platform.os":
            return node.os
    return normal_architecture(node.architecture)


def is_label(name: str) -> bool:
    """Whether a constraint can name a label of this name."""
    return _LABEL_NAME.match(name) is not None


@lru_cache(maxsize=4096)
def parse(expression: str) -> Constraint:
    """Read one expression. Raises BadRequest with a line that says what is wrong with it."""
    match = _EXPRESSION.match(expression)
    if match is None:
        raise BadRequest(_malformed(expression))
    field, operator, value = match.groups()
    _check_field(expression, field)
    if not value and not field.startswith(_LABELS):
        raise BadRequest(f'constraint "{expression}" has no value: write {field}{operator}VALUE')
    if field in ("node.architecture", "node.platform.arch"):
        value = normal_architecture(value)
    return Constraint(field, "==" if operator == "==" else "!=", value.lower())


def _malformed(expression: str) -> str:
    field, sign, value = expression.partition("=")
    if sign and not value.startswith("=") and field.strip():
        field = field.strip()
        return f'constraint "{expression}" needs == or !=: did you mean {field}=={value.strip()}?'
    return f'constraint "{expression}" is not of the form FIELD==VALUE or FIELD!=VALUE'


def _check_field(expression: str, field: str) -> None:
    if field in _FIELDS:
        return
    if field.startswith(_LABELS):
        if not is_label(field[len(_LABELS) :]):
            raise BadRequest(
                f'constraint "{expression}" does not name a label: write node.labels.X'
            )
        return
    if field == "node.role":
        raise BadRequest(f'constraint "{expression}": nodes have no roles here; label them instead')
    known = ", ".join((*_FIELDS, "node.labels.NAME"))
    raise BadRequest(f'constraint "{expression}": no field "{field}"; there are {known}')
