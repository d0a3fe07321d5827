"""Look at this machine, say what Shoal needs on it, and install that where it may.

Usage: python3 scripts/preflight.py [--for PURPOSE] [--yes] [--python]

Standard library only, Python 3.9 or later: it runs before anything is installed. It ends with
0 when all that the purpose needs is there, and with 2 when something is missing that it may
not or cannot install; then the last lines say what to type. As root on Debian or Ubuntu it
installs packages, after one question on a terminal, at once with CI=true or --yes. In all
other cases it changes nothing.
"""

from __future__ import annotations

import argparse
import http.client
import ipaddress
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_OLDEST_PYTHON = (3, 11)
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_POLICY = Path("/usr/sbin/policy-rc.d")

#: Which Debian package brings which program of the lab.
LAB_TOOLS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "ps": "procps",
    "nsenter": "util-linux",
    "mount": "mount",
    "curl": "curl",
}
BENCH_TOOLS = {"docker-registry": "docker-registry"}
FRESH_TOOLS = {"debootstrap": "debootstrap"}
#: What each purpose cannot do without. Under `test` a missing lab only skips the lab's tests.
PURPOSES = {
    "unit": {},
    "test": LAB_TOOLS,
    "demo": LAB_TOOLS,
    "bench": {**LAB_TOOLS, **BENCH_TOOLS},
    "fresh": FRESH_TOOLS,
}


@dataclass(frozen=True)
class Facts:
    """What was found. Versions are "" for what is not there."""

    system: str = "Linux"
    distribution: str = ""  # name for people
    debian: bool = False
    root: bool = False
    python: str = ""  # path of a Python that is new enough
    python_version: str = ""
    python_has_venv: bool = False
    tools: frozenset[str] = frozenset()
    engine: str = ""  # version of the engine's program
    running: str = ""  # "VERSION, API VERSION" of an engine that answers
    rootless: bool = False
    cgroup: str = ""
    systemd: bool = False
    subnet: str = ""
    busy_ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What follows: packages to install, what stands in the way, lines for a person to type."""

    packages: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def plan(facts: Facts, purpose: str) -> Plan:
    """What the purpose still needs on a machine like this; nothing is asked or changed."""
    tools = PURPOSES[purpose]
    packages = sorted({package for tool, package in tools.items() if tool not in facts.tools})
    packages += _python_packages(facts)
    obstacles = []
    if not facts.debian and (not facts.python or not facts.python_has_venv):
        obstacles.append("Python 3.11 or later with venv is missing")
    if tools and facts.system != "Linux":
        obstacles.append(f"the lab needs Linux, this is {facts.system}")
    elif tools and not facts.root:
        rootless = "; a rootless engine does not change that" if facts.rootless else ""
        obstacles.append(f"the lab needs root{rootless}")
    if tools is LAB_TOOLS and facts.system == "Linux" and not facts.cgroup:
        obstacles.append("no cgroup file system is mounted below /sys/fs/cgroup")
    return Plan(packages, obstacles, _lines(facts, purpose, packages))


def _python_packages(facts: Facts) -> list[str]:
    """Debian's packages for what Python misses; releases with an older python3 may have 3.11."""
    if not facts.python:
        return ["python3.11", "python3.11-venv"]
    return [] if facts.python_has_venv else ["python3-venv"]


def _lines(facts: Facts, purpose: str, packages: list[str]) -> list[str]:
    """What a person would type to get there."""
    lines = []
    sudo = "" if facts.root else "sudo "
    command = "make " + ("test" if purpose == "unit" else purpose)
    if facts.system == "Darwin":
        lines += ["brew install python@3.12"] if not facts.python else []
        if purpose != "unit":
            lines.append("# the lab runs on Linux only: there, in a virtual machine, type")
            lines += ["git clone URL-OF-THIS-PROJECT shoal && cd shoal", "sudo " + command]
        return lines
    if packages and facts.debian:
        lines.append(sudo + "apt-get update")
        lines.append(sudo + "apt-get install --no-install-recommends " + " ".join(packages))
    elif packages:
        lines.append("# with this system's package manager, install what Debian calls")
        lines.append("# " + " ".join(packages))
    lines.append((sudo if purpose != "unit" else "") + command)
    return lines


# -- looking --------------------------------------------------------------------------------


def look() -> Facts:
    """Read the machine. Nothing is changed, nothing is started."""
    release = _os_release()
    python, version, has_venv = _find_python()
    families = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":" + _SBIN
    known = {**LAB_TOOLS, **BENCH_TOOLS, **FRESH_TOOLS}
    tools = frozenset(tool for tool in known if _has(tool, path))
    return Facts(
        system=platform.system(),
        distribution=release.get("PRETTY_NAME", platform.platform()),
        debian=bool(families & {"debian", "ubuntu"}) and _has("apt-get", path),
        root=_is_root(),
        python=python,
        python_version=version,
        python_has_venv=has_venv,
        tools=tools,
        engine=_engine_version(path) if "dockerd" in tools else "",
        running=_running_engine(Path("/var/run/docker.sock")),
        rootless=_rootless_socket().exists(),
        cgroup=_cgroup_version(),
        systemd=Path("/run/systemd/system").is_dir(),
        subnet=_free_subnet(path) if "ip" in tools else "",
        busy_ports=_busy_ports(),
    )


def _os_release() -> dict[str, str]:
    pairs = {}
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    for line in lines:
        key, equals, value = line.partition("=")
        if equals:
            pairs[key] = value.strip('"')
    return pairs


def _is_root() -> bool:
    """Whether we are the machine's root, not only root of a user namespace."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    try:
        return Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    except OSError:
        return True


def _find_python() -> tuple[str, str, bool]:
    """Path and version of the first Python that is new enough, and whether it has venv."""
    check = (
        "import sys, importlib.util as u;"
        "print('.'.join(map(str, sys.version_info[:3])),"
        " all(u.find_spec(m) for m in ('venv', 'ensurepip')))"
    )
    for name in ("python3", "python3.13", "python3.12", "python3.11", "python3.14"):
        path = shutil.which(name)
        if path is None:
            continue
        words = _output([path, "-I", "-c", check]).split()
        if len(words) == 2 and _numbers(words[0]) >= _OLDEST_PYTHON:
            return path, words[0], words[1] == "True"
    return "", "", False


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _has(tool: str, path: str) -> bool:
    found = shutil.which(tool, path=path)
    if found is None or tool != "busybox":
        return found is not None
    # An image made of it has no loader: a dynamic busybox is as good as none.
    return b"/ld-" not in Path(found).resolve().read_bytes()[:4096]


def _output(argv: list[str]) -> str:
    """What a program prints; "" when it is not there, fails or hangs."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=15, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _engine_version(path: str) -> str:
    words = _output([shutil.which("dockerd", path=path) or "dockerd", "--version"]).split()
    return words[2].rstrip(",") if len(words) > 2 else "of unknown version"


def _running_engine(path: Path) -> str:
    """Version and API version of the engine behind a socket; "" when none answers."""
    connection = http.client.HTTPConnection("localhost", timeout=3)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(3)
        connection.sock.connect(str(path))
        connection.request("GET", "/version")
        answer = json.loads(connection.getresponse().read())
        return f"{answer['Version']}, API {answer['ApiVersion']}"
    except (OSError, ValueError, KeyError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _rootless_socket() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"), "docker.sock")


def _cgroup_version() -> str:
    """v2, v1, or hybrid (v1 with v2 beside it for processes only); "" when none is mounted."""
    try:
        lines = Path("/proc/self/mounts").read_text().splitlines()
    except OSError:
        return ""
    kinds = {line.split()[2] for line in lines if line.split()[1].startswith("/sys/fs/cgroup")}
    if "cgroup" in kinds:
        return "hybrid" if "cgroup2" in kinds else "v1"
    return "v2" if "cgroup2" in kinds else ""


def _free_subnet(path: str) -> str:
    """The /24 that the first lab will get."""
    ip = shutil.which("ip", path=path) or "ip"
    used = []
    for line in _output([ip, "-4", "route", "show", "table", "all"]).splitlines():
        words = [w for w in line.split() if w not in ("local", "broadcast", "unicast")]
        if words and words[0][0].isdigit():
            used.append(ipaddress.ip_network(words[0], strict=False))
    for third in range(256):
        candidate = ipaddress.ip_network(f"10.9.{third}.0/24")
        if not any(candidate.overlaps(network) for network in used):
            return str(candidate)
    return ""


def _busy_ports() -> tuple[str, ...]:
    """Those of Shoal's own ports that something on this machine uses."""
    busy = []
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
    for port, protocol in ((7440, "tcp"), (7440, "udp"), (7441, "udp")):
        with socket.socket(socket.AF_INET, kinds[protocol]) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                busy.append(f"{port}/{protocol}")
    return tuple(busy)


# -- saying and doing -----------------------------------------------------------------------


def describe(facts: Facts, purpose: str) -> list[str]:
    """The findings, a line each."""
    python = f"{facts.python_version} ({facts.python})" if facts.python else "none of 3.11 or later"
    if facts.python and not facts.python_has_venv:
        python += ", without venv"
    running = f"{facts.running}, left alone" if facts.running else "none"
    needed = PURPOSES[purpose]
    missing = sorted(tool for tool in needed if tool not in facts.tools)
    rows = [
        ("system", facts.distribution or facts.system),
        ("root", "yes" if facts.root else "no"),
        ("Python", python),
        ("engine program", f"dockerd {facts.engine}" if facts.engine else "none"),
        ("engine running", "rootless" if facts.rootless and not facts.running else running),
        ("cgroups", facts.cgroup or "none"),
        ("systemd", "yes" if facts.systemd else "no"),
        ("lab's subnet", facts.subnet or "not known yet"),
        (
            "ports 7440, 7441",
            "in use: " + ", ".join(facts.busy_ports) if facts.busy_ports else "free",
        ),
        ("missing", ", ".join(missing) or "nothing"),
    ]
    return [f"  {name:<17} {value}" for name, value in rows]


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def may_install(packages: list[str], *, yes: bool) -> bool:
    """Ask a terminal once; CI and --yes mean yes, no terminal means no."""
    if yes or os.environ.get("CI") == "true":
        return True
    if not sys.stdin.isatty():
        return False
    say(f"Install {' '.join(packages)} with apt-get? Services are not started. [Y/n] ")
    return sys.stdin.readline().strip().lower() in ("", "y", "yes")


def install(packages: list[str]) -> bool:
    """Install Debian packages; a package's service stays as it is. Returns whether it worked."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["--yes", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120"]

    def run(*command: str) -> bool:
        say("+ " + " ".join(command))
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)
        return done.returncode == 0

    if not run("apt-get", "update", "-qq"):
        return False
    # Newer releases have the engine and its client in two packages.
    client = "docker.io" in packages and _output(["apt-cache", "show", "docker-cli"])
    with _services_stay_as_they_are():
        return run("apt-get", "install", *options, *packages, *(["docker-cli"] if client else []))


@contextmanager
def _services_stay_as_they_are() -> Iterator[None]:
    """The lab runs engines of its own; one more on the machine would change its firewall."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def main() -> int:
    parser = argparse.ArgumentParser(description="Look at this machine and install what it needs.")
    parser.add_argument("--for", dest="purpose", choices=sorted(PURPOSES), default="demo")
    parser.add_argument("--yes", action="store_true", help="install without asking")
    parser.add_argument("--python", action="store_true", help="print the Python to use, no more")
    options = parser.parse_args()
    if options.python:
        say(_find_python()[0])
        return 0
    facts = look()
    say("This machine:")
    for line in describe(facts, options.purpose):
        say(line)
    todo = plan(facts, options.purpose)
    if todo.packages and not todo.obstacles and facts.debian and facts.root:
        say("  will install      " + " ".join(todo.packages))
        if may_install(todo.packages, yes=options.yes) and install(todo.packages):
            facts = look()
            todo = plan(facts, options.purpose)
    return verdict(facts, options.purpose, todo)


def verdict(facts: Facts, purpose: str, todo: Plan) -> int:
    """Say how it stands; the exit code follows from it."""
    if not todo.packages and not todo.obstacles:
        return 0
    reasons = list(todo.obstacles)
    if todo.packages:
        reasons.append("not installed: " + ", ".join(todo.packages))
    only_lab = purpose == "test" and facts.python and facts.python_has_venv
    if only_lab and os.environ.get("CI") != "true":
        say("The tests of the lab will be skipped: " + "; ".join(reasons))
        return 0
    say("Not ready: " + "; ".join(reasons))
    say("Type:")
    for line in todo.lines:
        say("  " + line)
    return 2


if __name__ == "__main__":
    sys.exit(main())
