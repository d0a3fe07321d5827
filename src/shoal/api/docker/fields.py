"""Those fields of Docker's `containers/create` that Shoal reads itself, with their types.

All others pass through to the engine untouched, which checks them.
"""

from typing import Any

import msgspec

from shoal.model.errors import BadRequest


class PortTarget(msgspec.Struct, frozen=True, rename="pascal"):
    """Where a port is published. `host_port` may be a range, "" or "0" for any."""

    host_ip: str = ""
    host_port: str = ""


class Restart(msgspec.Struct, frozen=True, rename="pascal"):
    name: str = ""
    maximum_retry_count: int = 0


class Mount(msgspec.Struct, frozen=True, rename="pascal"):
    type: str = ""
    source: str = ""
    target: str = ""


class Device(msgspec.Struct, frozen=True, rename="pascal"):
    path_on_host: str = ""


class HostFields(msgspec.Struct, frozen=True, rename="pascal"):
    """Go writes empty lists and objects as null, so all of those may be None."""

    binds: list[str] | None = None
    mounts: list[Mount] | None = None
    port_bindings: dict[str, list[PortTarget] | None] | None = None
    restart_policy: Restart | None = None
    auto_remove: bool = False
    memory: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_quota: int = 0
    cpu_period: int = 0
    cpuset_cpus: str = ""
    network_mode: str = ""
    pid_mode: str = ""
    ipc_mode: str = ""
    devices: list[Device] | None = None
    device_requests: list[Any] | None = None
    links: list[str] | None = None
    volumes_from: list[str] | None = None


class CreateFields(msgspec.Struct, frozen=True, rename="pascal"):
    image: str = ""
    cmd: list[str] | str | None = None
    entrypoint: list[str] | str | None = None
    labels: dict[str, str] | None = None
    volumes: dict[str, Any] | None = None
    host_config: HostFields | None = None
    networking_config: dict[str, Any] | None = None

    @property
    def host(self) -> HostFields:
        return self.host_config or HostFields()


def read_body(raw: bytes) -> dict[str, Any]:
    """The request as it came. Raises BadRequest, worded as Docker does."""
    if not raw.strip():
        raise BadRequest("invalid JSON: got EOF while reading request body")
    try:
        body = msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise BadRequest(f"invalid JSON: {error}") from error
    if body is None:
        raise BadRequest("config cannot be empty in order to create a container")
    if not isinstance(body, dict):
        raise BadRequest("invalid JSON: expected an object")
    return body


def read_fields(body: dict[str, Any]) -> CreateFields:
    """The fields that we read. Raises BadRequest naming the field of a wrong type."""
    try:
        return msgspec.convert(body, CreateFields)
    except msgspec.ValidationError as error:
        raise BadRequest(f"invalid JSON: {error}") from error
