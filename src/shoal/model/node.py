"""What a node says about itself to its peers."""

import msgspec

from shoal.model.resources import Capacity, CpuClass, Load


class EngineInfo(msgspec.Struct, frozen=True):
    """The container engine below a node; `up` is false while it does not answer."""

    up: bool = False
    version: str = ""
    api_version: str = "0.0"
    min_api_version: str = "0.0"
    storage_driver: str = ""
    cgroup_version: str = ""
    kernel: str = ""
    os_name: str = ""


class ImageInfo(msgspec.Struct, frozen=True):
    """An image that a node holds. `tags` are full references (`name:tag`)."""

    id: str  # sha256:...
    tags: tuple[str, ...] = ()
    size: int = 0  # bytes
    created: int = 0  # seconds since 1970
    architecture: str = ""


class NodeInfo(msgspec.Struct, frozen=True):
    """Identity, addresses and inventory of a node. The node is the only writer; `revision`
    grows with every change, so that the newest one wins wherever two copies meet."""

    id: str
    name: str
    address: str  # IPv4 or IPv6, without brackets
    port: int = 7440
    revision: int = 0
    site: str = "default"
    labels: dict[str, str] = {}
    architecture: str = ""  # as Docker names it: amd64, arm64, ...
    os: str = "linux"
    cpu_class: CpuClass = 0
    capacity: Capacity = Capacity(0, 0)
    load: Load = Load()
    engine: EngineInfo = EngineInfo()
    images: tuple[ImageInfo, ...] = ()
    protocol: int = 1
    version: str = ""
    started: int = 0  # wall clock, ns: when the daemon started
    admin: bool = False
    cordoned: bool = False  # gets no more containers
    draining: bool = False  # its containers are to run elsewhere; always cordoned too

    @property
    def endpoint(self) -> str:
        """`address:port`, IPv6 in brackets."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def has_image(self, image_id: str) -> bool:
        return any(image.id == image_id for image in self.images)


class NodeChange(msgspec.Struct, frozen=True):
    """What an operator wants otherwise at a node. None leaves it as it is, and so it is with the
    labels that are not named; a label that is None is taken away."""

    cordoned: bool | None = None
    draining: bool | None = None
    labels: dict[str, str | None] = {}


class Tenant(msgspec.Struct, frozen=True):
    """A container that a node holds. `moves`: a drain starts it elsewhere; else `stays_because`
    says why not."""

    id: str
    name: str
    vcluster: str
    running: bool
    moves: bool
    stays_because: str = ""


class Tenancy(msgspec.Struct, frozen=True):
    """All that a node holds, and whether it is being emptied."""

    draining: bool
    tenants: tuple[Tenant, ...] = ()
