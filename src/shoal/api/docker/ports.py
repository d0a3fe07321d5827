"""Published ports as the whole cloud sees them: at the host's address instead of at any: pure."""

from typing import Any

from shoal.model.container import ContainerView, PortBinding

_ANY = frozenset(("", "0.0.0.0", "::"))  # noqa: S104 - read, not bound


def outside(view: ContainerView, binding: PortBinding) -> str:
    """The address at which other machines reach a bound port."""
    return (view.node_address or "0.0.0.0") if binding.host_ip in _ANY else binding.host_ip  # noqa: S104


def port_rows(view: ContainerView) -> list[dict[str, Any]]:
    """`Ports` of a list entry. An engine binds IPv4 and IPv6: from outside both are one."""
    rows = {
        (p.container_port, p.protocol, outside(view, p), p.host_port): p for p in view.status.ports
    }
    published = [
        {"IP": address, "PrivatePort": inner, "PublicPort": outer, "Type": protocol}
        for inner, protocol, address, outer in sorted(rows)
    ]
    taken = {(row["PrivatePort"], row["Type"]) for row in published}
    exposed = [
        {"PrivatePort": int(number), "Type": protocol or "tcp"}
        for number, _, protocol in (
            key.partition("/") for key in view.spec.body.get("ExposedPorts") or {}
        )
        if number.isdecimal() and (int(number), protocol or "tcp") not in taken
    ]
    return published + exposed


def port_map(view: ContainerView) -> dict[str, Any]:
    """`NetworkSettings.Ports` of an inspect document."""
    found: dict[str, Any] = dict.fromkeys(view.spec.body.get("ExposedPorts") or {})
    for row in port_rows(view):
        if "PublicPort" in row:
            key = f"{row['PrivatePort']}/{row['Type']}"
            target = {"HostIp": row["IP"], "HostPort": str(row["PublicPort"])}
            found[key] = [*(found.get(key) or ()), target]
    return found
