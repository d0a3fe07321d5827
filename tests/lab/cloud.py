"""A running cloud in a lab as tests see it: the stock client, the `shoal` command, the APIs, and
what the engines really have."""

import io
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shoal.lab import Host, Lab, LabError
from shoal.lab.http import call, get_json

Result = TypeVar("Result")
Done = subprocess.CompletedProcess[str]

_SHOAL = [sys.executable, "-m", "shoal"]
_names = itertools.count(1)


def eventually(
    what: str, probe: Callable[[], Result | None], *, timeout: float = 60.0, pause: float = 0.1
) -> Result:
    """Poll until `probe` gives something true, and answer that. What the lab raises while things
    are on their way counts as not yet."""
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            last = probe()
        except (LabError, OSError) as error:
            last = error
        else:
            if last:
                return last
        assert time.monotonic() < deadline, f"not within {timeout:.0f} s: {what} (last: {last!r})"
        time.sleep(pause)


def stays(what: str, probe: Callable[[], object], *, seconds: float) -> None:
    """Look for a while that something remains true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert probe(), what
        time.sleep(0.2)


class Cloud:
    """A lab with daemons. Hosts go by their names: a, b, c, ..."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.names = [host.name for host in lab.hosts]
        self._log_read: dict[str, int] = {}
        self._clients: list[subprocess.Popen[str]] = []

    def host(self, name: str) -> Host:
        return self.lab.host(name)

    # -- the two commands ----------------------------------------------------------------------

    def docker(self, via: str, *args: str, check: bool = True, timeout: float = 60.0) -> Done:
        """The stock client through a host."""
        return self.lab.docker(via, *args, check=check, timeout=timeout)

    def docker_argv(self, via: str, *args: str) -> list[str]:
        return ["docker", "--host", f"unix://{self.host(via).api_socket}", *args]

    def popen(self, via: str, *args: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """The stock client in the background; ended by `restore` at the latest."""
        client = subprocess.Popen(
            self.docker_argv(via, *args),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._clients.append(client)
        return client

    def shoal(self, via: str, *args: str, timeout: float = 60.0) -> Done:
        socket = f"unix://{self.host(via).shoal_socket}"
        return subprocess.run(
            [*_SHOAL, "-H", socket, *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(self, via: str, *args: str, name: str = "") -> str:
        """`docker run --detach`; answers the name."""
        name = name or new_name()
        self.docker(via, "run", "--detach", "--name", name, *args)
        return name

    def sleeper(self, via: str, *args: str, on: str = "", name: str = "") -> str:
        """A running container that does nothing, on the host `on` if one is named."""
        pin = ["--label", f"shoal.constraint=node.name=={on}"] if on else []
        return self.run(via, *pin, *args, "busybox", "sleep", "100000", name=name)

    def movable(self, via: str, on: str, *args: str) -> str:
        """A container that restarts always and may move, started on a host of choice: the
        others are full while it is placed. What it asks for itself must be sized by `args`,
        else a tenth of a core is."""
        fillers = []
        capacities = {n["name"]: n["capacity"]["cpu_millis"] for n in self.native(via, "/v1/nodes")}
        for host in self.others(on):
            fillers.append(new_name("filler"))
            words = ["--label", f"shoal.node={host}", "--cpus", str(capacities[host] / 1000)]
            self.docker(via, "create", "--name", fillers[-1], *words, "busybox")
        name = self.sleeper(via, "--restart", "always", *(args or ("--cpus", "0.1")))
        self.docker(via, "rm", *fillers)
        assert self.node_of(name, via) == on
        return name

    def inspect(self, via: str, ref: str) -> Any:
        return json.loads(self.docker(via, "inspect", "--type", "container", ref).stdout)[0]

    def raw(
        self,
        via: str,
        method: str,
        url: str,
        *,
        body: object = None,
        sent: bytes = b"",
        timeout: float = 30.0,
    ) -> tuple[int, Any]:
        """Status and JSON of a request to a host's Docker API; `sent` goes out as it is."""
        data = sent or (json.dumps(body).encode() if body is not None else b"")
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        socket = self.host(via).api_socket
        status, answer = call(
            socket, method, url, body=io.BytesIO(data), headers=headers, timeout=timeout
        )
        return status, json.loads(answer) if answer else None

    # -- what nodes say ------------------------------------------------------------------------

    def native(self, via: str, path: str, *, timeout: float = 5.0) -> Any:
        return get_json(self.host(via).shoal_socket, path, timeout=timeout)

    def ps(self, via: str) -> dict[str, Any]:
        """All containers by name, as the native API lists them."""
        listing = self.native(via, "/v1/vclusters/default/containers?all=true")
        return {one["name"]: one for one in listing["containers"]}

    def container(self, via: str, name: str) -> Any:
        """The line of one container; {} when there is none."""
        return self.ps(via).get(name, {})

    def node_of(self, name: str, via: str = "") -> str:
        """Name of the host that a container is on."""
        node = self.container(via or self.names[0], name)["node"]
        assert isinstance(node, str)
        return node

    def status(self, via: str) -> Any:
        return self.native(via, "/v1/status")

    def vcluster(self, via: str, name: str = "default") -> Any:
        """`keeper` and `copies` of a vcluster by the names of hosts."""
        return next(one for one in self.status(via)["vclusters"] if one["name"] == name)

    def keeper(self, via: str = "", vcluster: str = "default") -> str:
        return str(self.vcluster(via or self.names[0], vcluster)["keeper"])

    def others(self, *names: str) -> list[str]:
        return [name for name in self.names if name not in names]

    def sees(self, via: str) -> dict[str, str]:
        """The state of every host as one of them sees it."""
        return {node["name"]: node["state"] for node in self.native(via, "/v1/nodes")}

    def knows_gone(self, via: str, *gone: str) -> bool:
        seen = self.sees(via)
        return all(seen[name] == "down" for name in gone)

    # -- what engines have ---------------------------------------------------------------------

    def engine(self, name: str, *, running: bool = False) -> list[Any]:
        """The containers in a host's own engine, as its API lists them."""
        url = "/containers/json" + ("" if running else "?all=1")
        found = get_json(self.host(name).engine_socket, url, timeout=10.0)
        assert isinstance(found, list)
        return found

    def instances(
        self, object_id: str, hosts: Sequence[str] = (), *, running: bool = False
    ) -> list[str]:
        """The hosts whose engines have a container of this id, once for each that they have."""
        return [
            name
            for name in hosts or self.names
            for one in self.engine(name, running=running)
            if one["Labels"].get("shoal.id") == object_id
        ]

    # -- back to the start ---------------------------------------------------------------------

    def restore(self) -> None:
        """Bring back every host, remove every container, and see that nothing is left."""
        self._end_clients()
        self.lab.heal()
        self._repair()
        eventually("every host sees all others", self.whole, timeout=90)
        eventually("no container is listed", self._emptied, timeout=60)
        eventually("no engine and no ledger holds anything", self._nothing_left, timeout=60)
        self._no_daemon_stumbled()

    def _end_clients(self) -> None:
        clients, self._clients = self._clients, []
        for client in clients:
            client.kill()
            with client:  # closes its pipes and collects it
                pass

    def _repair(self) -> None:
        for host in self.lab.hosts:
            state = host.state()
            if state in ("paused", "blocked"):
                host.resume_daemon()
            elif state == "engine-down":
                host.start_engine()
        self.lab.start()
        for host in self.lab.hosts:
            if not host.daemon_processes():
                host.start_daemon()

    def whole(self) -> bool:
        return all(set(self.sees(name).values()) == {"up"} for name in self.names)

    def _emptied(self) -> bool:
        via = self.names[0]
        found = list(self.ps(via))
        if found:
            self.docker(via, "rm", "--force", "--volumes", *found, check=False)
        return not any(self.ps(name) for name in self.names)

    def _nothing_left(self) -> bool:
        left = [
            (name, one["Names"])
            for name in self.names
            for one in self.engine(name)
            if "shoal.id" in one["Labels"]
        ]
        nodes = self.native(self.names[0], "/v1/nodes")
        loads = [(n["name"], n["load"]) for n in nodes if _loaded(n["load"])]
        if left or loads:
            raise LabError(f"engines still have {left}, ledgers {loads}")
        return True

    def _no_daemon_stumbled(self) -> None:
        """No daemon has logged a traceback since the last look."""
        stumbled = []
        for host in self.lab.hosts:
            log = host.daemon_log.read_text(errors="replace")
            news = log[self._log_read.get(host.name, 0) :]
            self._log_read[host.name] = len(log)
            stumbled += [line for line in news.splitlines() if "Traceback" in line]
        assert not stumbled


def _loaded(load: dict[str, Any]) -> bool:
    return any(bool(value) for value in load.values())


def new_name(kind: str = "t") -> str:
    """A name that no other test of this run uses."""
    return f"{kind}{next(_names)}"
