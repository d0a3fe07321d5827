"""Parts of Docker's API that are not there yet: refused by name, never a silent success."""

from shoal.model.errors import NotFound, NotSupported, ShoalError

_AREAS = {
    "auth": "registry logins",
    "build": "builds",
    "commit": "commit",
    "configs": "configs",
    "distribution": "registry look-ups",
    "grpc": "builds",
    "networks": "networks",
    "nodes": "Swarm nodes",
    "plugins": "plugins",
    "secrets": "secrets",
    "services": "Swarm services",
    "session": "builds",
    "swarm": "Swarm mode",
    "system": "disk usage (system df)",
    "tasks": "Swarm tasks",
    "volumes": "volumes",
}
_CONTAINER = {
    "update": "update",
    "ws": "attach over WebSocket",
}
_IMAGE = {
    "history": "image history",
    "prune": "image prune",
    "push": "push",
    "search": "search",
    "tag": "tag",
}


#: What `docker inspect NAME` also asks for: there is none of these, and that is the answer.
_NOTHING_OF = {
    "configs": "config",
    "networks": "network",
    "nodes": "node",
    "plugins": "plugin",
    "secrets": "secret",
    "services": "service",
    "tasks": "task",
    "volumes": "volume",
}


def missing(method: str, path: str) -> str:
    """The feature that a request without a handler belongs to; "" when Docker has no such page.
    `path` has no version."""
    parts = path.strip("/").split("/")
    area, last = parts[0], parts[-1]
    if area == "containers":
        return _CONTAINER.get(last, "")
    if area == "images":
        return "removing images" if method == "DELETE" else _IMAGE.get(last, "")
    return _AREAS.get(area, "")


def refusal(method: str, path: str) -> ShoalError:
    """Why a request has no handler: a feature that comes later, or no such page. `path` has no
    version."""
    area, *rest = path.strip("/").split("/")
    feature = missing(method, path)
    if method == "GET" and area in _NOTHING_OF and rest:
        return NotFound(f"No such {_NOTHING_OF[area]}: {rest[0]} (shoal: {feature}: not there yet)")
    if feature:
        return NotSupported(f"shoal: {feature}: not there yet")
    return NotFound("page not found")
