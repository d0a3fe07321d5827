"""Facts about this machine. Looking at it needs no daemon, and no root but for the firewall."""

import asyncio
import errno
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import msgspec

from shoal.engine.http import read_json, socket_port
from shoal.model.errors import ShoalError
from shoal.model.options import NodeOptions
from shoal.node.doctor.firewall import Dropping, dropping_chains
from shoal.node.membership import MEMBERSHIP_OFFSET

#: Seconds that the engine, and a look at disks and firewall, may take.
_ENGINE = 8.0
_LOOK = 5.0
_CGROUP2 = Path("/sys/fs/cgroup/cgroup.controllers")  # of the kernel: never waits


class EngineFacts(msgspec.Struct, frozen=True):
    """What the engine says of itself; `error` says why it said nothing. `warnings` are the
    engine's own lines, `root` is the directory of its data."""

    socket: str
    error: str = ""
    version: str = ""
    api: str = "0.0"
    oldest_api: str = "0.0"
    cgroup_driver: str = ""
    cgroup_version: str = ""
    limits_memory: bool = True
    limits_cpu: bool = True
    warnings: tuple[str, ...] = ()
    root: str = ""


class Disk(msgspec.Struct, frozen=True):
    """Room (bytes) where `path` is, which holds `what`."""

    what: str
    path: str
    free: int
    total: int


class Machine(msgspec.Struct, frozen=True):
    """`address` is the one that peers dial, `owns_address` None where that cannot be told.
    `firewall` are the chains that drop what nobody accepts, None when they cannot be read."""

    engine: EngineFacts
    address: str
    port: int
    owns_address: bool | None
    cgroup2: bool
    disks: tuple[Disk, ...]
    firewall: tuple[Dropping, ...] | None

    @property
    def membership_port(self) -> int:
        return self.port + MEMBERSHIP_OFFSET


async def look_at_machine(options: NodeOptions, address: str) -> Machine:
    """Takes at most about 13 s, usually far below one."""
    engine, rules = await asyncio.gather(look_at_engine(options.engine), _firewall_rules())
    paths = [("the node's records", options.state_dir)]
    if engine.root:
        paths.append(("the engine's images and containers", engine.root))
    disks = await _within(asyncio.to_thread(_disks, paths), ())
    port = options.port
    return Machine(
        engine=engine,
        address=address,
        port=port,
        owns_address=owns(address),
        cgroup2=_has_cgroup2(),
        disks=disks,
        firewall=dropping_chains(rules, port, port + MEMBERSHIP_OFFSET) if rules else None,
    )


async def look_at_engine(url: str) -> EngineFacts:
    """Ask the engine anew, over a connection of its own."""
    path = url.removeprefix("unix://")
    port = socket_port(url)
    try:
        async with asyncio.timeout(_ENGINE):
            version = await read_json(await port.request("GET", "/version"))
            info = await read_json(await port.request("GET", "/info"))
    except ShoalError as error:
        return EngineFacts(path, error=error.text)
    except TimeoutError:
        return EngineFacts(path, error=f"the container engine at {path} did not answer in time")
    finally:
        await port.close()
    return _engine_facts(path, version, info)


def _engine_facts(path: str, version: dict[str, Any], info: dict[str, Any]) -> EngineFacts:
    return EngineFacts(
        path,
        version=str(version.get("Version", "")),
        api=str(version.get("ApiVersion", "0.0")),
        oldest_api=str(version.get("MinAPIVersion", "0.0")),
        cgroup_driver=str(info.get("CgroupDriver", "")),
        cgroup_version=str(info.get("CgroupVersion", "")),
        limits_memory=bool(info.get("MemoryLimit", True)),
        limits_cpu=bool(info.get("CpuCfsQuota", True)),
        warnings=tuple(str(line) for line in info.get("Warnings") or ()),
        root=str(info.get("DockerRootDir", "")),
    )


def _has_cgroup2() -> bool:
    return _CGROUP2.exists()


def owns(address: str) -> bool | None:
    """Whether an address is one of this machine's. None for "" and where that cannot be told."""
    if not address:
        return None
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return False if error.errno == errno.EADDRNOTAVAIL else None
    return True


def _disks(paths: list[tuple[str, str]]) -> tuple[Disk, ...]:
    """Those that can be looked at: another user's directory may be closed to us."""
    found = []
    for what, path in paths:
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            continue
        found.append(Disk(what, path, usage.free, usage.total))
    return tuple(found)


async def _within(work: Any, otherwise: Any) -> Any:
    try:
        return await asyncio.wait_for(work, _LOOK)
    except TimeoutError:
        return otherwise


async def _firewall_rules() -> bytes:
    """The rule set as `nft` prints it; empty without root or without nft."""
    if os.geteuid() != 0 or shutil.which("nft") is None:
        return b""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft",
            "-j",
            "list",
            "ruleset",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return b""
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _LOOK)
    except TimeoutError:
        process.kill()
        await process.wait()
        return b""
    return output if process.returncode == 0 else b""
