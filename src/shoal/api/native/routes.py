"""The table of routes: what both the server and its OpenAPI description are made from."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Query(msgspec.Struct, frozen=True):
    """A query parameter; `kind` is its JSON Schema type."""

    name: str
    about: str
    kind: str = "string"
    many: bool = False


class Route(msgspec.Struct, frozen=True):
    """One operation. `body` and `answer` are the msgspec types of its JSON, None for none."""

    method: str
    path: str
    handler: Handler
    summary: str
    body: Any = None
    answer: Any = None
    status: int = 200
    query: tuple[Query, ...] = ()
    stream: bool = False  # the answer is one JSON value a line
