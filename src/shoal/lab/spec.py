"""What a lab consists of: its hosts, their addresses, and where everything lies on the machine."""

import os
import re
from pathlib import Path

import msgspec

from shoal.lab.errors import LabError

#: Interface names have 15 characters and sockets' paths 107: both hold the lab's name.
_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")
MAX_HOSTS = 200
#: Hosts start at .2; .1 is the machine itself, on the other end of the lab's uplink.
_FIRST_HOST = 2


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One host: `mac` identifies its frames on the bridge, `site` groups hosts."""

    name: str
    address: str
    address6: str
    mac: str
    site: str = "default"


class LabSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A lab as `up` made it; kept on disk, so that any later command knows it."""

    name: str
    subnet: str  # the first three numbers of its /24, "10.9.0"
    hosts: tuple[HostSpec, ...]

    def host(self, name: str) -> HostSpec:
        """The host of that name; raises LabError naming the hosts that exist."""
        for host in self.hosts:
            if host.name == name:
                return host
        known = ", ".join(host.name for host in self.hosts)
        raise LabError(f"lab {self.name} has no host {name}; its hosts are {known}")


class Places:
    """Paths of one lab. `disk` survives a host's power-off, `run` does not.

    The roots are /var/lib/shoal-lab and /run/shoal-lab, or what the environment says in
    SHOAL_LAB_STATE and SHOAL_LAB_RUN.
    """

    def __init__(self, lab: str) -> None:
        if not _NAME.fullmatch(lab):
            raise LabError(
                f"lab name {lab!r} does not fit: up to 10 lower-case letters and digits, "
                "a letter first"
            )
        self.lab = lab
        self.state_root = Path(os.environ.get("SHOAL_LAB_STATE", "/var/lib/shoal-lab")).absolute()
        self.run_root = Path(os.environ.get("SHOAL_LAB_RUN", "/run/shoal-lab")).absolute()
        self.state = self.state_root / lab
        self.run = self.run_root / lab

    @property
    def spec_file(self) -> Path:
        return self.state / "lab.json"

    @property
    def bridge_namespace(self) -> Path:
        return self.run / "bridge.ns"

    def marker(self, host: str) -> str:
        """An argument of every process that holds a part of this lab, to find it again by."""
        return f"shoal-lab={self.lab}/{host}"

    def disk(self, host: str) -> Path:
        return self.state / host

    def sockets(self, host: str) -> Path:
        """The directory that is /run/shoal inside the host."""
        return self.run / host

    def load(self) -> LabSpec:
        """The lab's spec from disk; raises LabError when there is no such lab."""
        try:
            return msgspec.json.decode(self.spec_file.read_bytes(), type=LabSpec)
        except FileNotFoundError:
            raise LabError(
                f"there is no lab {self.lab}; `shoal lab up --name {self.lab}` makes one"
            ) from None

    def save(self, spec: LabSpec) -> None:
        partial = self.spec_file.with_suffix(".new")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(spec)))
        partial.replace(self.spec_file)


def plan(lab: str, *, hosts: int, subnet: str, sites: dict[str, list[str]]) -> LabSpec:
    """Lay out a lab of `hosts` hosts named a, b, c, …; `sites` maps a site to its hosts' names."""
    if not 1 <= hosts <= MAX_HOSTS:
        raise LabError(f"a lab has 1 to {MAX_HOSTS} hosts, not {hosts}")
    site_of = _site_of(sites)
    names = [host_name(index) for index in range(hosts)]
    strangers = sorted(set(site_of) - set(names))
    if strangers:
        raise LabError(f"--sites names {', '.join(strangers)}, but the hosts are {names}")
    third = int(subnet.rsplit(".", 1)[1])
    return LabSpec(
        name=lab,
        subnet=subnet,
        hosts=tuple(
            HostSpec(
                name=name,
                address=f"{subnet}.{number}",
                address6=f"{network6(subnet)}::{number:x}",
                mac=f"02:5a:00:{third:02x}:00:{number:02x}",
                site=site_of.get(name, "default"),
            )
            for number, name in enumerate(names, start=_FIRST_HOST)
        ),
    )


def host_name(index: int) -> str:
    """a … z, then aa, ab, … as columns of a spreadsheet are called."""
    name = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        name = chr(ord("a") + letter) + name
    return name


def network6(subnet: str) -> str:
    """The lab's IPv6 /64 (unique local), derived from its IPv4 /24."""
    first, second, third = (int(part) for part in subnet.split("."))
    return f"fd53:{first:x}:{second:x}:{third:x}"


def _site_of(sites: dict[str, list[str]]) -> dict[str, str]:
    site_of: dict[str, str] = {}
    for site, names in sites.items():
        for name in names:
            if name in site_of:
                raise LabError(f"host {name} is in two sites, {site_of[name]} and {site}")
            site_of[name] = site
    return site_of
