"""Ping, version and info: the cloud as one Docker host."""

import time

from aiohttp import web

from shoal import __version__
from shoal.api.docker.durations import short_duration
from shoal.api.docker.front import Front, reply
from shoal.api.docker.states import state_of
from shoal.node.service import Member

#: Newer engines are used through at most this version of Docker's API: shapes of answers that
#: we make ourselves are those of this version.
NEWEST_API = "1.51"
#: What is said while no engine of the cloud is up.
_NO_ENGINE_API = "1.41"
OLDEST_API = "1.24"
_FRESH = 1.0  # seconds


def api_number(version: str) -> tuple[int, ...]:
    """A version for comparison; nonsense is older than all."""
    parts = version.split(".")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else (0,)


class System:
    """Handlers for the cloud as a whole."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._api_version = ""
        self._looked = 0.0

    def api_version(self) -> str:
        """The lowest engine maximum in the cloud, what every host understands: no older than a
        second, as every request asks and members may be many."""
        now = time.monotonic()
        if not self._api_version or now > self._looked + _FRESH:
            self._api_version, self._looked = self._lowest(), now
        return self._api_version

    def _lowest(self) -> str:
        versions = [m.info.engine.api_version for m in self._front.live() if m.info.engine.up]
        known = [version for version in versions if api_number(version) > (0, 0)]
        return min([*known, NEWEST_API], key=api_number) if known else _NO_ENGINE_API

    async def ping(self, request: web.Request) -> web.Response:
        headers = {
            "Builder-Version": "1",
            "Cache-Control": "no-cache, no-store, must-revalidate",
            "Pragma": "no-cache",
            "Swarm": "inactive",
        }
        return web.Response(
            text="" if request.method == "HEAD" else "OK",
            headers=headers,
            content_type="text/plain",
        )

    async def version(self, request: web.Request) -> web.Response:
        here = self._here()
        live = self._front.live()
        engines = {m.info.engine.version for m in live if m.info.engine.version}
        architecture = here.info.architecture if here is not None else ""
        kernel = here.info.engine.kernel if here is not None else ""
        details = {"ApiVersion": self.api_version(), "MinAPIVersion": OLDEST_API}
        return reply(
            {
                "Platform": {"Name": "Shoal"},
                "Components": [
                    {"Name": "Shoal", "Version": __version__, "Details": details},
                    *({"Name": "Engine", "Version": version} for version in sorted(engines)),
                ],
                "Version": __version__,
                **details,
                "GitCommit": "",
                "GoVersion": "",
                "Os": "linux",
                "Arch": architecture,
                "KernelVersion": kernel,
                "BuildTime": "",
            }
        )

    async def info(self, request: web.Request) -> web.Response:
        states = [state_of(view) for view in await self._front.views()]
        members = [m for m in self._front.service.members() if m.state != "left"]
        live = [m for m in members if m.state == "up"]
        here = self._here()
        engine = here.info.engine if here is not None else None
        running = sum(state in {"running", "restarting"} for state in states)
        return reply(
            {
                "ID": self._front.service.cloud,
                "Name": self._front.node_name,
                "Containers": len(states),
                "ContainersRunning": running,
                "ContainersPaused": states.count("paused"),
                "ContainersStopped": len(states) - running - states.count("paused"),
                "Images": len({image.id for m in live for image in m.info.images}),
                "Driver": "shoal",
                "DriverStatus": _node_lines(members, time.time_ns()),
                "NCPU": sum(m.info.capacity.cpu_millis for m in live) // 1000,
                "MemTotal": sum(m.info.capacity.memory for m in live),
                "OSType": "linux",
                "OperatingSystem": f"Shoal, a cloud of {len(members)} nodes",
                "Architecture": here.info.architecture if here is not None else "",
                "KernelVersion": engine.kernel if engine is not None else "",
                "CgroupVersion": engine.cgroup_version if engine is not None else "",
                "ServerVersion": __version__,
                "SystemTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "Swarm": {"LocalNodeState": "inactive", "NodeID": "", "ControlAvailable": False},
                "Plugins": {"Volume": ["local"], "Network": ["bridge", "host", "null"], "Log": []},
                "MemoryLimit": True,
                "SwapLimit": True,
                "CpuCfsPeriod": True,
                "CpuCfsQuota": True,
                "CPUShares": True,
                "CPUSet": True,
                "PidsLimit": True,
                "IPv4Forwarding": True,
                "OomKillDisable": True,
                "Labels": [],
                "SecurityOptions": [],
                "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": []},
                "IndexServerAddress": "https://index.docker.io/v1/",
                "Warnings": _warnings(members, time.time_ns()),
            }
        )

    def _here(self) -> Member | None:
        own = self._front.service.node_id
        return next((m for m in self._front.service.members() if m.info.id == own), None)


def _node_lines(members: list[Member], now: int) -> list[list[str]]:
    """Rows that `docker info` prints below the storage driver, as it did for Swarm's nodes."""
    return [["Nodes", str(len(members))]] + [
        [f"  {member.info.name}", _node_line(member, now)] for member in members
    ]


def _node_line(member: Member, now: int) -> str:
    load, capacity = member.info.load, member.info.capacity
    state = "up" if member.info.engine.up else "up, its engine is away"
    if member.state != "up":
        state = f"{member.state} for {short_duration(now - member.since)}"
    parts = (
        member.info.address,
        state,
        f"{load.containers} containers",
        f"{load.cpu_millis / 1000:g}/{capacity.cpu_millis / 1000:g} cpus",
        f"{load.memory >> 20}/{capacity.memory >> 20} MiB",
    )
    return ", ".join(parts)


def _warnings(members: list[Member], now: int) -> list[str]:
    return [
        f"WARNING: node {member.info.name} is {member.state} for "
        f"{short_duration(now - member.since)}"
        for member in members
        if member.state != "up"
    ] + [
        f"WARNING: the container engine of node {member.info.name} is away"
        for member in members
        if member.state == "up" and not member.info.engine.up
    ]
