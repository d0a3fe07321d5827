"""Where a lab host's containers are accounted: one cgroup per host, under v1, hybrid and v2."""

from contextlib import suppress
from pathlib import Path

_ROOT = "shoal-lab"


def parent(lab: str, host: str) -> str:
    """The cgroup that the host's engine puts its containers under."""
    return f"/{_ROOT}/{lab}/{host}"


def leftovers(lab: str, host: str | None = None) -> list[Path]:
    """Directories of the host's (or the whole lab's) cgroups in every hierarchy, deepest first."""
    below = f"{_ROOT}/{lab}/{host}" if host else f"{_ROOT}/{lab}"
    found: list[Path] = []
    for mount in _mounts():
        top = mount / below
        if top.is_dir():
            inner = sorted((p for p in top.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts))
            found += [*inner, top]
    return found


def remove(lab: str, host: str | None = None) -> list[Path]:
    """Remove the empty cgroups of a host or a lab; returns those that are still in use."""
    for directory in leftovers(lab, host):
        with suppress(OSError):
            directory.rmdir()
    if host is None:
        for mount in _mounts():
            with suppress(OSError):
                (mount / _ROOT).rmdir()
    return leftovers(lab, host)


def _mounts() -> list[Path]:
    """Mount points of all cgroup hierarchies (type cgroup or cgroup2)."""
    mounts = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.split(" ", 1)[0] in {"cgroup", "cgroup2"}:
            mounts.append(Path(left.split()[4]))
    return mounts
