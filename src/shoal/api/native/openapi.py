"""The OpenAPI 3.1 description of the native API, generated from its routes and their types."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

import shoal
from shoal.api.native.routes import Query, Route
from shoal.api.native.wire import Problem

_IN_PATH = re.compile(r"\{(\w+)\}")


def describe(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document; equal routes give an equal document."""
    table = list(routes)
    types = [kind for route in table for kind in (route.body, route.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, Problem], ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(map(repr, [*types, Problem]), schemas, strict=True))
    paths: dict[str, Any] = {}
    for route in table:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Shoal",
            "version": shoal.__version__,
            "description": "What Docker's API has no word for. Served on the unix socket "
            "`shoal.sock` of every node; any node answers for the whole cloud.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in _IN_PATH.findall(route.path)
            ),
            *map(_parameter, route.query),
        ],
        "responses": {
            str(route.status): _answer(route, by_type),
            "default": {"description": "An error", "content": _json(by_type[repr(Problem)])},
        },
    }
    if route.body is not None:
        operation["requestBody"] = {"content": _json(by_type[repr(route.body)])}
    return operation


def _answer(route: Route, by_type: dict[str, Any]) -> dict[str, Any]:
    if route.answer is None:
        return {"description": "Done"}
    schema = by_type[repr(route.answer)]
    if route.stream:
        kind = "application/x-ndjson"
        return {"description": "One JSON value a line", "content": {kind: {"schema": schema}}}
    return {"description": "Success", "content": _json(schema)}


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameter(query: Query) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": query.kind}
    if query.many:
        schema = {"type": "array", "items": schema}
    return {"name": query.name, "in": "query", "description": query.about, "schema": schema}


def _name(route: Route) -> str:
    return route.handler.__name__
