"""Public ports: what each node opens, and what fits into a firewall of the cloud."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from mesh.settings import fields
from mesh.settings.models import Grant, PortRange, port_range
from mesh.settings.raw import Finding, listed, nodes, read

__all__ = ["check_cloud_firewalls", "check_public_ports", "merged", "overlap"]

# Hetzner Cloud: 50 rules in a firewall (API document, POST /firewalls), 50 firewalls in a project
# (documentation).
_MOST_RULES: Final = 50
_MOST_FIREWALLS: Final = 50
# ICMP, and SSH and WireGuard twice each while one of their ports is changed.
_OUR_RULES: Final = 5


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
                yield path, f"{port} includes WireGuard's own port {wireguard}; it is open to peers anyway"
            if ssh is not None and port.overlaps(_single("tcp", ssh)):
                yield path, f"{port} includes SSH's port {ssh}; who may use it is said under ssh.from"
            for other in seen:
                if port.overlaps(other):
                    yield path, f"{port} overlaps {other}; name each port once"
            seen.append(port)


def _single(protocol: Literal["tcp", "udp"], port: int) -> PortRange:
    return PortRange(protocol=protocol, first=port, last=port)


def _public(node: object) -> tuple[PortRange, ...]:
    return merged(port for value in listed(node, "public") if (port := read(port_range, value)) is not None)


def check_cloud_firewalls(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """What the cloud's firewalls have room for."""
    most = _MOST_RULES - _OUR_RULES
    sets: set[tuple[PortRange, ...]] = set()
    for name, node in nodes(raw).items():
        ports = _public(node)
        sets.add(tuple(ports))
        if len(ports) > most:
            message = (
                f"comes to {len(ports)} rules, and a firewall of the cloud has room for {most} beside those "
                f"for SSH, WireGuard and ICMP (neighbouring ports are one rule); give ranges, such as "
                f"{_span(ports)}, or fewer ports"
            )
            yield ("nodes", name, "public"), message
    if len(sets) > _MOST_FIREWALLS:
        message = (
            f"have {len(sets)} different sets of public ports, each of which is a firewall in the cloud, and "
            f"a project has at most {_MOST_FIREWALLS}; let more nodes have the same set"
        )
        yield ("nodes",), message


def _span(ports: tuple[PortRange, ...]) -> PortRange:
    """The range around the first few ports of one protocol."""
    first = ports[0]
    near = [port for port in ports if port.protocol == first.protocol][:10]
    return PortRange(protocol=first.protocol, first=first.first, last=near[-1].last)
