"""Public ports: what each node opens."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from mesh.settings import fields
from mesh.settings.grants import Grant, PortRange, port_range
from mesh.settings.problems import REMOVED, Told
from mesh.settings.raw import Finding, listed, nodes, read

__all__ = ["check_public_ports", "merged", "overlap", "overlapping"]


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
                    _own_port(
                        f"{port} includes WireGuard's own port {wireguard}; this port is open to peers "
                        f"anyway",
                        port,
                    ),
                )
            if ssh is not None and port.overlaps(_single("tcp", ssh)):
                yield (
                    path,
                    _own_port(f"{port} includes SSH's port {ssh}; ssh.from has the allowed sources", port),
                )
            for other in seen:
                if port.overlaps(other):
                    yield path, overlapping(port, other)
            seen.append(port)


def _own_port(said: str, port: PortRange) -> Told:
    alone = port.first == port.last
    return Told(f"{said}: {'remove it' if alone else 'leave this port out'}", (REMOVED,) if alone else ())


def overlapping(port: Grant, other: Grant) -> Told:
    """Say that an entry repeats another one; it can be taken out where the other one covers it."""
    helps = "; remove this one" if _covers(other, port) else ""
    return Told(f"{port} overlaps {other}; name each port once{helps}", (REMOVED,) if helps else ())


def _covers(one: Grant, other: Grant) -> bool:
    if isinstance(one, PortRange) and isinstance(other, PortRange):
        return one.overlaps(other) and one.first <= other.first and other.last <= one.last
    return one in {other, "all"}


def _single(protocol: Literal["tcp", "udp"], port: int) -> PortRange:
    return PortRange(protocol=protocol, first=port, last=port)
