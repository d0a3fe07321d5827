"""What containers ask for and nodes have: integer millicores, bytes and host ports."""

from typing import Literal

import msgspec

#: What replacement counts for a container without sizes (design: storms are braked).
DEFAULT_CPU_MILLIS = 100
DEFAULT_MEMORY = 64 << 20

CpuClass = Literal[0, 1]  # 0 slow, 1 fast


class HostPort(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A published port; ip "" stands for every address of the host."""

    port: int
    protocol: str = "tcp"
    ip: str = ""

    def conflicts(self, other: "HostPort") -> bool:
        same = self.port == other.port and self.protocol == other.protocol
        return same and (not self.ip or not other.ip or self.ip == other.ip)

    def __str__(self) -> str:
        return f"{self.ip + ':' if self.ip else ''}{self.port}/{self.protocol}"


class Resources(msgspec.Struct, frozen=True):
    """A request. Zero means none was asked for: best effort, never refused for that resource."""

    cpu_millis: int = 0
    memory: int = 0  # bytes
    pinned_cores: tuple[int, ...] = ()  # numbers of whole cores taken exclusively
    ports: tuple[HostPort, ...] = ()

    def with_defaults(self) -> "Resources":
        """What a replacement counts as, so that a storm cannot pile up unsized containers."""
        return msgspec.structs.replace(
            self,
            cpu_millis=self.cpu_millis or DEFAULT_CPU_MILLIS,
            memory=self.memory or DEFAULT_MEMORY,
        )


class Capacity(msgspec.Struct, frozen=True):
    """What a node has in all."""

    cpu_millis: int
    memory: int  # bytes


class Load(msgspec.Struct, frozen=True):
    """What a node has promised: the hint that placement works with. The node itself decides."""

    cpu_millis: int = 0
    memory: int = 0  # bytes
    containers: int = 0
    ports: tuple[HostPort, ...] = ()
    pinned_cores: tuple[int, ...] = ()
