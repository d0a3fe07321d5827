"""How a node is set up: what `shoal create|join|daemon` know before it starts."""

import ipaddress
from typing import Annotated, Literal

import msgspec

from shoal.model.ids import is_name
from shoal.model.resources import CpuClass

DEFAULT_PORT = 7440
DEFAULT_ENGINE = "unix:///var/run/docker.sock"
DEFAULT_SITE = "default"

#: How the nodes of a cloud find room for a container: strategies of `core.discovery`, but for the
#: one that has a master.
Discovery = Literal["view", "single", "multiple", "multiple-updates", "random"]


class NodeOptions(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"
):
    """Settings of one node; the keys of `shoal.toml` are the same words with dashes.

    Raises msgspec.ValidationError (by way of `msgspec.convert`) naming the field that is wrong.
    """

    name: str
    state_dir: str  # keys, records, log; absolute
    run_dir: str  # sockets; absolute
    address: str = ""  # IPv4 or IPv6 that peers dial; "": the one of the default route
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = DEFAULT_PORT
    site: str = DEFAULT_SITE
    labels: dict[str, str] = {}
    cpu_class: CpuClass = 0
    engine: str = DEFAULT_ENGINE
    record: str = ""  # file that gets every input of the node's core; absolute, "": none

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(f"name: `{self.name}` is not letters, digits, `_`, `.` or `-`")
        if self.address:
            _check_address(self.address)
        if not self.site:
            raise ValueError("site: must not be empty")
        if not self.engine.startswith("unix:///"):
            raise ValueError(f"engine: `{self.engine}` is not unix:///path/to/socket")
        for field, path in (("state-dir", self.state_dir), ("run-dir", self.run_dir)):
            if not path.startswith("/"):
                raise ValueError(f"{field}: `{path}` is not an absolute path")
        if self.record and not self.record.startswith("/"):
            raise ValueError(f"record: `{self.record}` is not an absolute path")

    @property
    def native_socket(self) -> str:
        """Path of the native API's socket."""
        return f"{self.run_dir}/shoal.sock"

    @property
    def docker_socket(self) -> str:
        """Path of the Docker API's socket."""
        return f"{self.run_dir}/docker.sock"

    @property
    def log_file(self) -> str:
        """Where a detached node writes what it would print."""
        return f"{self.state_dir}/log"


def _check_address(address: str) -> None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        raise ValueError(f"address: `{address}` is not an IPv4 or IPv6 address") from None
    if parsed.is_unspecified:
        raise ValueError(f"address: `{address}` cannot be dialled; name one of this machine's own")
