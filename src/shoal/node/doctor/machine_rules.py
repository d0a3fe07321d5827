"""Findings about this machine, from facts alone."""

from shoal.node.doctor.findings import Finding, ok, problem, warning
from shoal.node.doctor.machine import Disk, EngineFacts, Machine

#: The oldest version of the engine's API that the daemon speaks.
OLDEST_API = (1, 41)
MIB, GIB = 1 << 20, 1 << 30
#: Below these bytes the disk is a problem; below these, or below this share, a warning.
DISK_PROBLEM = 256 * MIB
DISK_WARNING = 2 * GIB
DISK_SHARE = 0.05


def judge_machine(machine: Machine) -> list[Finding]:
    return [
        *judge_engine(machine.engine),
        *_cgroups(machine),
        _address(machine),
        *_firewall(machine),
        *map(_disk, machine.disks),
    ]


def judge_engine(engine: EngineFacts) -> list[Finding]:
    if engine.error:
        fix = (
            f"start it (`systemctl start docker`), or name its socket with --engine; "
            f"`curl --unix-socket {engine.socket} http://x/version` must answer"
        )
        return [problem("engine", engine.error, fix)]
    if _version(engine.api) < OLDEST_API:
        oldest = ".".join(map(str, OLDEST_API))
        text = f"the engine {engine.version} speaks its API up to {engine.api}, not {oldest}"
        return [problem("engine", text, "update the engine: Docker 20.10 or later")]
    driver = f", cgroup driver {engine.cgroup_driver}" if engine.cgroup_driver else ""
    span = f"API {engine.oldest_api} to {engine.api}"
    return [ok("engine", f"engine {engine.version} answers ({span}{driver})")]


def _version(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        return (0,)


def _cgroups(machine: Machine) -> list[Finding]:
    engine = machine.engine
    if engine.error:
        return []
    found = []
    limits = (("memory", engine.limits_memory), ("cpu", engine.limits_cpu))
    for resource, works in limits:
        if not works:
            fix = (
                f"enable the {resource} controller: with cgroup 1 boot with "
                f"`cgroup_enable={resource}`, without root delegate it to the user's slice"
            )
            text = f"the engine cannot limit {resource}: containers take what they like"
            found.append(problem("cgroups", text, fix))
    if engine.cgroup_version == "1":
        fix = "boot with `systemd.unified_cgroup_hierarchy=1`"
        found.append(warning("cgroups", "the engine uses cgroup 1, which engines give up", fix))
    if engine.cgroup_version == "1" and machine.cgroup2:
        found.append(warning("cgroups", "the machine has cgroup 2, the engine uses cgroup 1"))
    if not found:
        version = engine.cgroup_version or ("2" if machine.cgroup2 else "1")
        found.append(ok("cgroups", f"cgroup {version}; limits of memory and cpu work"))
    others = [_line(text) for text in engine.warnings]
    return found + [warning("engine", f"the engine warns: {text}") for text in others if text]


def _line(text: str) -> str:
    """The first line of an engine's warning, without its loud first word."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first.removeprefix("WARNING: ")


def _address(machine: Machine) -> Finding:
    if machine.owns_address:
        return ok("address", f"{machine.address} is an address of this machine")
    if machine.owns_address is None:
        named = machine.address or "none"
        return warning("address", f"the address that peers dial could not be checked: {named}")
    fix = "run the node with --address and one of those that `ip address` lists"
    text = f"peers dial {machine.address}, which is no address of this machine"
    return problem("address", text, fix)


def _firewall(machine: Machine) -> list[Finding]:
    if machine.firewall is None:
        return [ok("firewall", "not looked at: only root can read its rules")]
    ours = (
        f"tcp {machine.port}",
        f"tcp {machine.membership_port}",
        f"udp {machine.membership_port}",
    )
    found = []
    for chain in machine.firewall:
        if chain.drops:
            named = ", ".join(chain.drops)
            text = f"a rule of the chain `{chain.name}` drops {named}"
            found.append(warning("firewall", text, f"let peers in: `nft list chain {chain.name}`"))
        missing = [port for port in ours if port not in (*chain.accepts, *chain.drops)]
        if chain.by_policy and missing:
            text = f"the chain `{chain.name}` drops by policy, and none of its rules names "
            fix = " and ".join(
                f"`nft add rule {chain.name} {port.replace(' ', ' dport ')} accept`"
                for port in missing
            )
            found.append(warning("firewall", text + ", ".join(missing), fix))
    return found or [ok("firewall", "no chain drops what peers send")]


def _disk(disk: Disk) -> Finding:
    room = f"{_size(disk.free)} of {_size(disk.total)} free for {disk.what} ({disk.path})"
    if disk.free < DISK_PROBLEM:
        return problem("disk", f"only {room}", f"free some space below {disk.path}")
    if disk.free < DISK_WARNING or disk.free < disk.total * DISK_SHARE:
        return warning("disk", f"only {room}", f"free some space below {disk.path}")
    return ok("disk", room)


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
