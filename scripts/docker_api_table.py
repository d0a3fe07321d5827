"""Write docs/docker-api.md: what becomes of every endpoint of Docker's Engine API.

Usage: .venv/bin/python scripts/docker_api_table.py

The answers are the router's own; a test fails while the page is not what this writes.
"""

import re
from pathlib import Path
from typing import NamedTuple, cast

from shoal.api.docker.app import Route, passed_on, served
from shoal.api.docker.front import Front
from shoal.api.docker.later import missing
from shoal.api.docker.system import NEWEST_API, OLDEST_API, System
from shoal.node.service import Service

_DOCS = Path(__file__).parents[1] / "docs"
PAGE = _DOCS / "docker-api.md"
ENDPOINTS = _DOCS / "engine-endpoints.txt"
_PARAMETER = re.compile(r"\{[^}]*\}")

_INTRODUCTION = """\
# Docker's API

Every node answers Docker's Engine API on `/run/shoal/docker.sock`, for the whole cloud: which node
is asked makes no difference. This page is written by `scripts/docker_api_table.py` from the router;
change it there.

- **served**: Shoal answers, from what the cloud knows.
- **passed**: the engine of the container's host answers, through the node that was asked. Streams
  go on piece by piece, at the pace of the slower side; a client that goes away ends them at the
  engine. Names and ids are the cloud's in answers and errors. A host that is away is a 503 that
  names it.
- **refused**: 501 with a line that names the feature, never a silent success. `GET` of one network,
  volume, secret and so on is a 404 (there is none), which `docker inspect NAME` needs.

The API version is the highest that every engine of the cloud speaks, at most {newest}; clients down
to {oldest} are served. Paths work with and without a version before them.

An exec's id is the id of its node followed by the engine's own, 128 hexadecimal digits: whatever
node is asked finds the engine again, and none has to remember anything. An archive is compressed
when the client says that it takes that (`Accept-Encoding`), as the engine does.

Prune of containers takes what does not run on hosts that can be reached, by the same removal as
`docker rm`, eight at once; what is started meanwhile stays.

| Endpoint | In versions | What becomes of it |
|---|---|---|
"""


class Endpoint(NamedTuple):
    """`since` is the first of the versions 1.41 and 1.44 that has it; none has gone."""

    method: str
    path: str
    since: str


def endpoints() -> list[Endpoint]:
    """Those of Docker's API, in its order."""
    lines = ENDPOINTS.read_text().splitlines()
    return [Endpoint(*line.split()) for line in lines if not line.startswith("#")]


def answers() -> dict[tuple[str, str], str]:
    """`served` or `passed` by method and path, parameters of the path without their names."""
    # No handler is called, so none needs the node behind it.
    front = Front(cast(Service, None), vcluster="", node_name="")
    found = {_key(route): "served" for route in served(front, System(front))}
    return found | {_key(route): "passed" for route in passed_on(front)}


def page() -> str:
    """The whole page."""
    known = answers()
    rows = [
        f"| `{one.method} {one.path}` | {'1.41, ' if one.since == '1.41' else ''}1.44 "
        f"| {known.get(_key(one)) or _refused(one)} |"
        for one in endpoints()
    ]
    introduction = _INTRODUCTION.format(newest=NEWEST_API, oldest=OLDEST_API)
    return introduction + "\n".join(rows) + "\n"


def _refused(one: Endpoint) -> str:
    return f"refused: {missing(one.method, one.path)}, not there yet"


def _key(one: Route | Endpoint) -> tuple[str, str]:
    return one.method, _PARAMETER.sub("{}", one.path)


if __name__ == "__main__":
    PAGE.write_text(page())
