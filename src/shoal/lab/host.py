"""One host of the lab: switched on and off, entered, its engine and daemon started and hurt."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from shoal.lab import cgroups, daemon, engine, hostinit, processes
from shoal.lab.errors import LabError
from shoal.lab.links import Links
from shoal.lab.network import Network
from shoal.lab.processes import Process
from shoal.lab.spec import HostSpec, LabSpec, Places
from shoal.lab.system import environment, run, spawn, wait_until

_ANSWER_TIMEOUT = 60.0
_GONE_FOR = 0.5
#: A daemon that is asked to end gets as long; it gives its own worker 20 s.
_STOP_TIMEOUT = 30.0


class Host:
    """A handle on one host. It keeps nothing but the spec: what is true is asked each time."""

    def __init__(self, places: Places, lab: LabSpec, spec: HostSpec, network: Network) -> None:
        self.spec = spec
        self.name = spec.name
        self.address = spec.address
        self.address6 = spec.address6
        self.site = spec.site
        sockets = places.sockets(spec.name)
        self.engine_socket = sockets / "engine.sock"
        self.api_socket = sockets / "docker.sock"
        self.shoal_socket = sockets / "shoal.sock"
        self.disk = places.disk(spec.name)
        self.engine_log = engine.log_file(places, spec.name)
        self.daemon_log = daemon.log_file(places, spec.name)
        self.recording = daemon.recording(places, spec.name)
        self._places = places
        self._lab = lab
        self._network = network
        self._links = Links(places, lab, network)

    # -- power ---------------------------------------------------------------------------

    def is_on(self) -> bool:
        return self._first() is not None

    def boot(self) -> None:
        """Switch the host on: namespaces, network, engine. Its disk is as it was left."""
        if self.is_on():
            raise LabError(f"host {self.name} is already on")
        sockets = self._places.sockets(self.name)
        sockets.mkdir(parents=True, exist_ok=True)
        (self.disk / "shoal").mkdir(parents=True, exist_ok=True)
        engine.prepare(self._places, self.name, network=f"{self._lab.subnet}.0/24")
        self._start_first_process()
        first = self._need_first()
        self._network.plug(self.spec, first.pid)
        self._links.plugged(self.name)
        self.start_engine()

    def power_off(self) -> None:
        """Cut the power: nothing is written, said or closed any more. The disk stays."""
        self._network.unplug(self.name)
        self._links.unplugged(self.name)
        processes.kill(processes.marked(self._places.marker(self.name)))
        self._forget_volatile()

    def _forget_volatile(self) -> None:
        """What a power cut loses: sockets, and the accounting of containers that are no more."""
        shutil.rmtree(self._places.sockets(self.name), ignore_errors=True)
        wait_until(
            f"the end of host {self.name}'s containers",
            lambda: not cgroups.remove(self._places.lab, self.name),
            timeout=20,
        )

    def _start_first_process(self) -> None:
        config = self.disk / "host.json"
        config.write_bytes(msgspec.json.encode(self._init_config()))
        argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--uts", "--ipc", "--net"]
        program = [sys.executable, "-I", "-S", str(Path(hostinit.__file__))]
        marker = self._places.marker(self.name)
        spawn([*argv, *program, marker, str(config)], f"host {self.name}")

    def _init_config(self) -> dict[str, object]:
        lines = ["127.0.0.1 localhost", "::1 localhost"]
        lines += [f"{host.address} {host.name}" for host in self._lab.hosts]
        return {
            "hostname": self.name,
            "sockets": str(self._places.sockets(self.name)),
            "disk": str(self.disk),
            "keep": sorted({str(path) for path in _needed_paths(self._places)}),
            "nameserver": self.address,
            "hosts": "\n".join(lines) + "\n",
        }

    # -- entering ------------------------------------------------------------------------

    def exec_argv(self, argv: Sequence[str]) -> list[str]:
        """The command that runs `argv` inside the host."""
        first = self._need_first()
        enter = ["nsenter", f"--target={first.pid}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        return [*enter, "--", *argv]

    def exec(
        self, *argv: str, check: bool = True, timeout: float = 30.0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside the host; raises LabError when it fails and `check` is set."""
        return run(self.exec_argv(argv), check=check, timeout=timeout)

    def processes(self) -> list[Process]:
        """The host's own processes, its containers' not included."""
        first = self._first()
        return processes.in_pid_namespace_of(first.pid) if first else []

    def _launch(self, argv: Sequence[str], log: Path) -> None:
        """Start a process that outlives us as a child of the host's first process."""
        with log.open("ab") as output:
            done = subprocess.run(
                self.exec_argv(["setsid", "--fork", *argv]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(),
                timeout=30,
                check=False,
            )
        if done.returncode != 0:
            raise LabError(f"`{argv[0]}` did not start on host {self.name}: see {log}")

    def _first(self) -> Process | None:
        for process in processes.marked(self._places.marker(self.name)):
            if processes.is_first_of_namespace(process):
                return process
        return None

    def _need_first(self) -> Process:
        first = self._first()
        if first is None:
            raise LabError(f"host {self.name} is off: `shoal lab start {self.name}` starts it")
        return first

    # -- engine --------------------------------------------------------------------------

    def start_engine(self) -> None:
        """Start the engine and wait until it answers."""
        self._launch(engine.command(self._places, self.name), self.engine_log)
        self._await_answer("engine", engine.is_engine, self._engine_is_up, self.engine_log)

    def load(self, archive: Path) -> None:
        """Load the images of a `docker save` archive into the engine."""
        engine.load(self.engine_socket, archive)

    def _engine_is_up(self) -> bool:
        return engine.is_up(self.engine_socket)

    def _await_answer(
        self,
        what: str,
        is_it: Callable[[Process], bool],
        answers: Callable[[], bool],
        log: Path,
    ) -> None:
        """Wait for a service to answer; gives up soon after its process has ended."""
        last_seen = time.monotonic()

        def up_or_ended() -> bool:
            nonlocal last_seen
            if answers():
                return True
            now = time.monotonic()
            if any(is_it(p) for p in self.processes()):
                last_seen = now
            # A process that starts another program is nobody for a moment.
            return now > last_seen + _GONE_FOR

        try:
            wait_until(what, up_or_ended, timeout=_ANSWER_TIMEOUT)
        except LabError:
            complaint = f"host {self.name}: no {what} in {_ANSWER_TIMEOUT:.0f} s: see {log}"
            raise LabError(complaint) from None
        if not answers():
            raise LabError(f"host {self.name}: the {what} ended: {_last_line(log)} (see {log})")

    # -- daemon --------------------------------------------------------------------------

    def create_cloud(self, extra: Sequence[str] = ()) -> None:
        """Start the daemon as the first node of a new cloud."""
        self._run_daemon(daemon.create_command(self._places, self.spec, extra))

    def join_cloud(self, token: str, extra: Sequence[str] = ()) -> None:
        """Start the daemon as a further node of the cloud that `token` is for."""
        self._run_daemon(daemon.join_command(self._places, self.spec, token, extra))

    def start_daemon(self) -> None:
        """Start the daemon of a host that is in the cloud already, and wait until it serves."""
        if not self.is_member():
            raise LabError(f"host {self.name} is in no cloud yet: `shoal lab up` makes one")
        self._run_daemon(daemon.restart_command(self._places, self.name))

    def is_member(self) -> bool:
        return daemon.is_member(self._places, self.name)

    def daemon_is_ready(self) -> bool:
        return daemon.is_ready(self.shoal_socket)

    def daemon_processes(self) -> list[Process]:
        """The daemon's parent process, then its workers; empty when it does not run."""
        first, all_of_host = self._need_first().pid, self.processes()
        return [*daemon.parents(all_of_host, first), *daemon.workers(all_of_host, first)]

    def stop_daemon(self) -> None:
        """Ask the daemon to end and wait for it."""
        daemon.stop(self.processes(), self._need_first().pid, timeout=_STOP_TIMEOUT)

    def kill_daemon(self) -> None:
        """kill -9 of the daemon with its worker; containers and engine go on."""
        processes.kill(self._need_daemon())

    def pause_daemon(self) -> None:
        """Freeze the whole daemon (SIGSTOP), as a machine that swaps or is suspended does."""
        processes.send(self._need_daemon(), signal.SIGSTOP)

    def resume_daemon(self) -> None:
        # The worker first: the parent must not find it silent for what was our doing.
        processes.send(reversed(self._need_daemon()), signal.SIGCONT)

    def block_daemon(self, seconds: float) -> None:
        """Block the daemon's event loop: only its worker is frozen. Returns when it is over,
        or when the parent process has ended the worker before."""
        first, all_of_host = self._need_first().pid, self.processes()
        workers = daemon.workers(all_of_host, first)
        if not workers:
            raise LabError(f"host {self.name} runs no daemon whose loop could be blocked")
        processes.send(workers, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            processes.send(workers, signal.SIGCONT)

    def _need_daemon(self) -> list[Process]:
        found = self.daemon_processes()
        if not found:
            raise LabError(
                f"host {self.name} runs no daemon: `shoal lab start-daemon {self.name}` starts it"
            )
        return found

    def _run_daemon(self, argv: Sequence[str]) -> None:
        if self.daemon_processes():
            raise LabError(f"the daemon of host {self.name} runs already")
        self._launch(argv, self.daemon_log)
        ready, log = self.daemon_is_ready, self.daemon_log
        self._await_answer("daemon", daemon.is_daemon, ready, log)
        daemon.note_member(self._places, self.name)

    # -- state ---------------------------------------------------------------------------

    def state(self) -> str:
        """off, engine-down, no-daemon (never started), daemon-down, paused, blocked or up."""
        first = self._first()
        if first is None:
            return "off"
        if not engine.is_up(self.engine_socket, timeout=1.0):
            return "engine-down"
        all_of_host = self.processes()
        if not self.is_member():
            return "no-daemon"
        if any(p.stopped for p in daemon.parents(all_of_host, first.pid)):
            return "paused"
        if any(p.stopped for p in daemon.workers(all_of_host, first.pid)):
            return "blocked"
        return "up" if daemon.is_ready(self.shoal_socket, timeout=1.0) else "daemon-down"


def _needed_paths(places: Places) -> list[Path]:
    """What a host must see even if it lies under /run or /tmp, which are its own."""
    source = Path(hostinit.__file__).resolve().parents[2]
    return [places.state, source, Path(sys.prefix), Path(sys.base_prefix)]


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except FileNotFoundError:
        return "no log"
    return lines[-1] if lines else "no message"
