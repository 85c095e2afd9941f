"""What the parts of a stack file must be to each other.

Every check reads the raw values and passes over those that cannot be read, which are reported
elsewhere: so one mistake hides no other.
"""

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from mesh.settings import fields
from mesh.settings.models import PortRange, port_range
from mesh.settings.problems import show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.references import check_groups, check_policy, check_policy_tests, check_rollout

__all__ = ["CHECKS"]


def _names(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    found = raw.get("nodes")
    if isinstance(found, Mapping) and not found:
        yield ("nodes",), "is empty; a mesh has at least one node"
    for name in found if isinstance(found, Mapping) else ():
        if not isinstance(name, str) or not fields.NAME.fullmatch(name):
            yield (
                ("nodes", str(name)),
                f"{show(name)} is not a host name: lower-case letters, digits and inner hyphens, at most 48",
            )
        elif name == "localhost":
            yield ("nodes", name), "is what every host calls itself; take another name"


def _addresses(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    cidr = read(fields.mesh_network, raw.get("cidr"))
    everyone = nodes(raw)
    if cidr is not None and len(everyone) > cidr.num_addresses - 2:
        room = cidr.num_addresses - 2
        yield ("cidr",), f"{cidr} has room for {room} nodes, and there are {len(everyone)}; widen it"
    owner: dict[IPv4Address, str] = {}
    for name, node in everyone.items():
        address = read(fields.address, node.get("address") if isinstance(node, Mapping) else None)
        if address is None:
            continue
        refusal = None if cidr is None else _outside(address, cidr)
        if refusal is None and address in owner:
            refusal = f"{address} is already the address of {owner[address]}; every node has its own"
        if refusal is not None:
            yield ("nodes", name, "address"), refusal
        owner.setdefault(address, name)


def _outside(address: IPv4Address, cidr: IPv4Network) -> str | None:
    if address not in cidr:
        return f"{address} is outside {cidr}"
    if address == cidr.network_address:
        return f"{address} is the network address of {cidr}; the first usable one is {cidr[1]}"
    if address == cidr.broadcast_address:
        return f"{address} is the broadcast address of {cidr}; the last usable one is {cidr[-2]}"
    return None


def _public_ports(raw: Mapping[Any, Any]) -> Iterator[Finding]:
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
            if wireguard is not None and port.protocol == "udp" and port.first <= wireguard <= port.last:
                yield path, f"{port} includes WireGuard's own port {wireguard}; it is open to peers anyway"
            if ssh is not None and port.protocol == "tcp" and port.first <= ssh <= port.last:
                yield path, f"{port} includes SSH's port {ssh}; who may use it is said under ssh.from"
            for other in seen:
                if port.overlaps(other):
                    yield path, f"{port} overlaps {other}; name each port once"
            seen.append(port)


CHECKS: Final[tuple[Callable[[Mapping[Any, Any]], Iterator[Finding]], ...]] = (
    _names,
    _addresses,
    _public_ports,
    check_groups,
    check_policy,
    check_policy_tests,
    check_rollout,
)
"""Each takes the raw value of the mesh and yields what is wrong with it."""
