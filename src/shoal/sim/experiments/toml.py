"""Reading experiments from TOML; every error is one line with the key and what it may be."""

import re
import tomllib
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from shoal.model.errors import BadRequest
from shoal.sim.experiments.experiment import HOUR, MINUTE, MS, SECOND, Duration, Experiment

_UNITS = {"ms": MS, "s": SECOND, "m": MINUTE, "h": HOUR}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")


def duration(text: str) -> Duration:
    """Nanoseconds from text such as "20s". Raises ValueError if it is none."""
    matched = _DURATION.fullmatch(text.strip())
    if matched is None:
        raise ValueError(f"{text!r} is no duration")
    return Duration(round(float(matched[1]) * _UNITS[matched[2]]))


def builtins(experiment: Experiment) -> dict[str, Any]:
    """The experiment as plain values, durations as text: what `parse` would take."""
    plain: dict[str, Any] = msgspec.to_builtins(experiment, enc_hook=_encode)
    return plain


def _encode(value: Any) -> str:
    for unit, length in reversed(_UNITS.items()):
        if value % length == 0 and (value or unit == "s"):
            return f"{value // length}{unit}"
    return f"{value / MS:g}ms"


def read(path: Path) -> Experiment:
    """The experiment in a file. Raises BadRequest: unreadable, no TOML, wrong values."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"cannot read the experiment {path}: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Experiment:
    """The experiment in a text; `name` says in errors where that is from."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"{name}: not TOML: {error}") from error
    try:
        return msgspec.convert(data, Experiment, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{name}: {_explain(str(error))}") from error


def _decode(kind: type, value: object) -> object:
    if kind is Duration and isinstance(value, str):
        return duration(value)
    raise ValueError(f"{value!r} is no duration")


def _explain(error: str) -> str:
    matched = _PATH.search(error)
    what, path = (error[: matched.start()], matched[1]) if matched else (error, "")
    key = path or "the file"
    expected = _allowed(path)
    what = what.replace("Object contains", "has an").replace("unknown field", "unknown key")
    what = what.replace("an unknown key", "the unknown key").replace("Object missing", "lacks the")
    return f"{key}: {what[:1].lower()}{what[1:]}" + (f"; allowed: {expected}" if expected else "")


def _allowed(path: str) -> str:
    """What the structure allows at a path such as `ring.base` or `network.sites[...].share`."""
    found: list[Any] = [Experiment]
    for part in re.findall(r"\.\.\.|[^.\[\]]+", path):
        found = [inner for kind in found for inner in _inside(kind, part)]
    return " or ".join(dict.fromkeys(filter(None, map(_describe, found))))


def _inside(kind: Any, part: str) -> list[Any]:
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return [inner for one in get_args(kind) for inner in _inside(one, part)]
    if origin in (list, dict, tuple):
        return [get_args(kind)[-1]]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        return [hints[part]] if part in hints else _tag_choices(kind, part)
    return []


def _tag_choices(kind: type[msgspec.Struct], part: str) -> list[Any]:
    config = kind.__struct_config__
    return [Literal[config.tag]] if part == config.tag_field else []


def _describe(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(map(str, get_args(kind)))
    if origin is Annotated:
        return _bounded(*get_args(kind))
    if origin in (Union, UnionType):
        return " or ".join(map(_describe, get_args(kind)))
    if origin is list:
        return f"a list of {_describe(get_args(kind)[0])}"
    if kind is Duration:
        return 'a duration such as "20s", "15m", "2h" or "5ms"'
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        tag = kind.__struct_config__.tag
        fields = [*kind.__struct_encode_fields__]
        return "the keys " + ", ".join(fields if tag is None else ["kind", *fields])
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(kind, "")


def _bounded(kind: type, meta: msgspec.Meta) -> str:
    words = {int: "a whole number", float: "a number"}[kind]
    limits = [
        f"{sign} {value:g}"
        for sign, value in ((">=", meta.ge), (">", meta.gt), ("<=", meta.le))
        if value is not None
    ]
    return " ".join([words, " and ".join(limits)])
