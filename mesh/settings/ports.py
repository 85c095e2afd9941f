"""Public ports: what each node opens."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from mesh.settings import fields
from mesh.settings.grants import Grant, PortRange, port_range
from mesh.settings.raw import Finding, listed, nodes, read

__all__ = ["check_public_ports", "merged", "overlap"]


def merged(ports: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """Return the same ports in as few ranges as can be, in order: neighbours and overlaps become one."""
    found: list[PortRange] = []
    for port in sorted(ports):
        last = found[-1] if found else None
        if last is not None and last.protocol == port.protocol and port.first <= last.last + 1:
            wider = max(last.last, port.last)
            found[-1] = PortRange(protocol=last.protocol, first=last.first, last=wider)
        else:
            found.append(port)
    return tuple(found)


def overlap(one: Grant, other: Grant) -> bool:
    """Whether both let something through that the other one does, too."""
    if isinstance(one, PortRange) and isinstance(other, PortRange):
        return one.overlaps(other)
    return one == other or "all" in {one, other}


def check_public_ports(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """WireGuard's and SSH's ports are not said here, and no port is said twice."""
    wireguard = read(fields.integer, raw.get("port", 51820))
    settings = raw.get("ssh")
    ssh = read(fields.integer, settings.get("port", 22) if isinstance(settings, Mapping) else 22)
    for name, node in nodes(raw).items():
        seen: list[PortRange] = []
        for index, value in enumerate(listed(node, "public")):
            port = read(port_range, value)
            if port is None:
                continue
            path = ("nodes", name, "public", index)
            if wireguard is not None and port.overlaps(_single("udp", wireguard)):
                yield (
                    path,
                    f"{port} includes WireGuard's own port {wireguard}; this port is open to peers anyway",
                )
            if ssh is not None and port.overlaps(_single("tcp", ssh)):
                yield (
                    path,
                    f"{port} includes SSH's port {ssh}; ssh.from has the allowed sources",
                )
            for other in seen:
                if port.overlaps(other):
                    yield path, f"{port} overlaps {other}; name each port once"
            seen.append(port)


def _single(protocol: Literal["tcp", "udp"], port: int) -> PortRange:
    return PortRange(protocol=protocol, first=port, last=port)
