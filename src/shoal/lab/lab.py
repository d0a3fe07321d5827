"""A real multi-host cloud on one machine: its whole life, and the faults it is put through."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from shoal.lab import cgroups, daemon, network, processes
from shoal.lab.errors import LabError
from shoal.lab.host import Host
from shoal.lab.links import Links, Quality
from shoal.lab.network import Network
from shoal.lab.spec import LabSpec, Places, plan
from shoal.lab.system import require_tools, run, wait_until

Progress = Callable[[str], None]


def _silent(_line: str) -> None:
    """Progress for nobody."""


DEFAULT_NAME = "lab"


class Lab:
    """A lab by name. As a context manager what it
    brought up is taken down at the end.

    Every method asks the machine what is true, so that several processes may use one lab.
    All raise LabError with one line for users.
    """

    def __init__(self, name: str = DEFAULT_NAME) -> None:
        self.name = name
        self._places = Places(name)
        self._network = Network(self._places)
        self._spec: LabSpec | None = None
        self._made_here = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: object, trace: TracebackType | None
    ) -> None:
        if self._made_here:
            self.down()

    # -- life ----------------------------------------------------------------------------

    def up(
        self,
        *,
        hosts: int = 3,
        sites: Mapping[str, list[str]] | None = None,
        daemons: bool = True,
        images: Sequence[Path] = (),
        images_on: str = "first",
        record: bool = False,
        discovery: str = "view",
        keep: bool = False,
        progress: Progress = _silent,
    ) -> Self:
        """Make the lab and start it: engines, then images, then (unless `daemons` is false)
        a cloud of all hosts. `images_on` is "first", "all" or names of hosts. With `record` each
        daemon writes down all it hears and decides, see `Host.recording`. `discovery` is the
        cloud's, as of `shoal create`. What is half made when
        something fails is taken away again, unless `keep` is set.
        """
        require_tools()
        for archive in images:
            if not archive.is_file():
                raise LabError(f"there is no image archive {archive}")
        try:
            self._claim(hosts, sites or {})
            progress(f"starting {hosts} hosts with their engines")
            self._boot(self.hosts)
            if images:
                progress(f"loading {len(images)} image archive(s)")
                self._load(images, self._chosen(images_on))
            if daemons:
                progress("starting the daemons")
                self.start_daemons(record=record, discovery=discovery)
        except BaseException:
            if self._made_here and not keep:
                self.down()
            raise
        return self

    def _chosen(self, words: str) -> list[Host]:
        """The hosts that `all`, `first` or names with commas stand for. Raises LabError."""
        if words == "all":
            return self.hosts
        return self.hosts[:1] if words == "first" else [self.host(n) for n in words.split(",")]

    def down(self) -> None:
        """Take away everything of the lab, also of one that is half made or half gone."""
        require_tools()
        processes.kill(processes.marked(self._places.marker("")))
        self._network.remove()
        wait_until(
            f"the end of lab {self.name}'s containers",
            lambda: not cgroups.remove(self.name),
            timeout=20,
        )
        self._unmount_leftovers()
        for directory in (self._places.run, self._places.state):
            shutil.rmtree(directory, ignore_errors=True)
        for root in (self._places.run_root, self._places.state_root):
            with suppress(OSError):  # other labs live there
                root.rmdir()
        self._spec = None
        self._made_here = False

    def leftovers(self) -> list[str]:
        """What of the lab exists on the machine; empty before `up` and after `down`."""
        places = self._places
        found = [f"process {p.pid}" for p in processes.marked(places.marker(""))]
        found += [f"cgroup {path}" for path in cgroups.leftovers(self.name)]
        link = Path("/sys/class/net", network.uplink(self.name))
        found += [f"interface {link.name}"] if link.exists() else []
        found += [f"mount {path}" for path in self._mounts()]
        found += [f"directory {path}" for path in (places.run, places.state) if path.exists()]
        return found

    def _claim(self, hosts: int, sites: Mapping[str, list[str]]) -> None:
        """Reserve name and subnet on disk and network, which makes the claim visible to others."""
        with self._lock():
            if self.leftovers():
                command = f"shoal lab down --name {self.name}"
                raise LabError(f"lab {self.name} exists already: `{command}` removes it")
            # Documentation and habit expect the first addresses in the lab without a name.
            subnet = network.free_subnet(skip=0 if self.name == DEFAULT_NAME else 1)
            spec = plan(self.name, hosts=hosts, subnet=subnet, sites=dict(sites))
            self._made_here = True
            self._places.state.mkdir(parents=True)
            self._places.save(spec)
            self._network.make(spec)
            self._spec = spec

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One `up` at a time on this machine, since two must not choose the same subnet."""
        root = self._places.run_root
        while True:
            root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                # A `down` may have removed the directory that we waited for.
                if root.exists() and os.path.samestat(os.fstat(descriptor), root.stat()):
                    yield
                    return
            finally:
                os.close(descriptor)

    def _mounts(self) -> list[Path]:
        """Mount points below the lab's directories, the deepest first."""
        points = []
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            point = Path(line.split()[4].encode().decode("unicode_escape"))
            if any(point.is_relative_to(top) for top in (self._places.run, self._places.state)):
                points.append(point)
        return sorted(points, key=lambda point: -len(point.parts))

    def _unmount_leftovers(self) -> None:
        for point in self._mounts():
            run(["umount", "--lazy", str(point)])

    # -- hosts ---------------------------------------------------------------------------

    @property
    def spec(self) -> LabSpec:
        if self._spec is None:
            self._spec = self._places.load()
        return self._spec

    @property
    def hosts(self) -> list[Host]:
        return [self.host(host.name) for host in self.spec.hosts]

    def host(self, name: str) -> Host:
        """The handle of one host; raises LabError naming the hosts when there is none such."""
        return Host(self._places, self.spec, self.spec.host(name), self._network)

    def start(self, *names: str) -> None:
        """Switch hosts on again (all that are off when none is named), daemons included."""
        require_tools()
        chosen = [self.host(n) for n in names] or [h for h in self.hosts if not h.is_on()]
        self._network.make(self.spec)
        self._boot(chosen)
        _together(lambda host: host.start_daemon(), [h for h in chosen if h.is_member()])

    def power_off(self, *names: str) -> None:
        """Cut the power of several hosts at the same moment."""
        require_tools()
        _together(lambda host: host.power_off(), [self.host(name) for name in names])

    def start_daemons(
        self,
        names: Sequence[str] = (),
        *,
        extra: Sequence[str] = (),
        record: bool = False,
        discovery: str = "view",
    ) -> None:
        """Bring hosts (all when none is named) into the cloud, which the first one creates.

        `extra` are further options of `shoal create` and `shoal join`; with `record` new members
        write recordings; `discovery` is that of a cloud that is created.
        """

        def options(host: Host) -> list[str]:
            return [*extra, *(["--record", str(host.recording)] if record else [])]

        chosen = [self.host(name) for name in names] or self.hosts
        _together(lambda host: host.start_daemon(), [h for h in chosen if h.is_member()])
        new = [host for host in chosen if not host.is_member()]
        members = [host for host in self.hosts if host.is_member() and host.daemon_is_ready()]
        if new and not members:
            new[0].create_cloud([*options(new[0]), "--discovery", discovery])
            members, new = [new[0]], new[1:]
        if new:
            token = daemon.new_token(members[0].shoal_socket)
            _together(lambda host: host.join_cloud(token, options(host)), new)

    def _boot(self, hosts: Sequence[Host]) -> None:
        _together(lambda host: host.boot(), hosts)

    def _load(self, images: Sequence[Path], hosts: Sequence[Host]) -> None:
        for archive in images:
            _together(partial(Host.load, archive=archive), hosts)

    def docker(
        self, host: str, *args: str, check: bool = True, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """The stock client pointed at the host's Docker API; raises LabError when it fails and
        `check` is set, or when it does not end in time."""
        argv = ["docker", "--host", f"unix://{self.host(host).api_socket}", *args]
        return run(argv, check=check, timeout=timeout)

    # -- faults --------------------------------------------------------------------------

    def partition(self, groups: Sequence[Sequence[str]]) -> None:
        """Let hosts reach only their own group. Hosts in no group form one more."""
        require_tools()
        named = [name for group in groups for name in group]
        for name in named:
            self.spec.host(name)
        if len(named) != len(set(named)):
            raise LabError("a host is named in two groups of the partition")
        rest = [host.name for host in self.spec.hosts if host.name not in named]
        self._network.cut([group for group in (*groups, rest) if group])

    def heal(self) -> None:
        """End the partition and make all links good again."""
        require_tools()
        self._network.cut([])
        for host in self.spec.hosts:
            self._links().restore(host.name)

    def netem(
        self, host: str, quality: Quality, *, to: str | None = None, one_way: bool = False
    ) -> None:
        """Make a host's link bad; see Links.shape."""
        require_tools()
        self._links().shape(host, quality, to=to, one_way=one_way)

    def _links(self) -> Links:
        return Links(self._places, self.spec, self._network)

    # -- state ---------------------------------------------------------------------------

    def status(self) -> dict[str, object]:
        """Everything about the lab, for `status --json`."""
        states = _together(lambda host: host.state(), self.hosts)
        return {
            "name": self.name,
            "subnet": f"{self.spec.subnet}.0/24",
            "hosts": [
                {
                    "name": host.name,
                    "address": host.address,
                    "address6": host.address6,
                    "site": host.site,
                    "state": state,
                    "engine_socket": str(host.engine_socket),
                    "api_socket": str(host.api_socket),
                    "shoal_socket": str(host.shoal_socket),
                }
                for host, state in zip(self.hosts, states, strict=True)
            ],
        }

    def logs(self) -> list[Path]:
        """The logs of engines and daemons, as far as the lab exists."""
        return sorted(self._places.state.glob("*/*.log"))


_Result = TypeVar("_Result")


def _together(action: Callable[[Host], _Result], hosts: Sequence[Host]) -> list[_Result]:
    """Do something with several hosts at once; the first error is raised when all have ended."""
    if not hosts:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(hosts))) as pool:
        return list(pool.map(action, hosts))
