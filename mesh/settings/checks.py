"""What the parts of a stack file must be to each other.

Every check reads the raw values and passes over those that cannot be read, which are reported
elsewhere: so one mistake hides no other.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final, TypeVar

from pydantic_core import PydanticCustomError

from mesh.settings import fields
from mesh.settings.models import PublicPort, public_port
from mesh.settings.problems import show

__all__ = ["CHECKS", "Finding"]

# RFC 1123 host name in lower case; `<stack>-<name>` must stay a host name of 63 characters.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_T = TypeVar("_T")

Finding = tuple[tuple[int | str, ...], str]
"""A path below the mesh, and what is wrong there."""


def _read(field: Callable[[object], _T], value: object) -> _T | None:
    try:
        return field(value)
    except PydanticCustomError:
        return None


def _nodes(raw: Mapping[Any, Any]) -> dict[str, Any]:
    nodes = raw.get("nodes")
    return {str(name): node for name, node in nodes.items()} if isinstance(nodes, Mapping) else {}


def _listed(owner: object, key: str) -> list[Any]:
    value = owner.get(key) if isinstance(owner, Mapping) else None
    return value if isinstance(value, list) else []


def _names(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    nodes = raw.get("nodes")
    if isinstance(nodes, Mapping) and not nodes:
        yield ("nodes",), "is empty; a mesh has at least one node"
    for name in nodes if isinstance(nodes, Mapping) else ():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (
                ("nodes", str(name)),
                f"{show(name)} is not a host name: lower-case letters, digits and inner hyphens, at most 48",
            )
        elif name == "localhost":
            yield ("nodes", name), "is what every host calls itself; take another name"


def _addresses(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    cidr = _read(fields.mesh_network, raw.get("cidr"))
    nodes = _nodes(raw)
    if cidr is not None and len(nodes) > cidr.num_addresses - 2:
        room = cidr.num_addresses - 2
        yield ("cidr",), f"{cidr} has room for {room} nodes, and there are {len(nodes)}; widen it"
    owner: dict[IPv4Address, str] = {}
    for name, node in nodes.items():
        address = _read(fields.address, node.get("address") if isinstance(node, Mapping) else None)
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
    wireguard = _read(fields.integer, raw.get("port", 51820))
    for name, node in _nodes(raw).items():
        seen: list[PublicPort] = []
        for index, value in enumerate(_listed(node, "public")):
            port = _read(public_port, value)
            if port is None:
                continue
            path = ("nodes", name, "public", index)
            if wireguard is not None and port.protocol == "udp" and port.first <= wireguard <= port.last:
                yield path, f"{port} includes WireGuard's own port {wireguard}; it is open to peers anyway"
            for other in seen:
                if port.protocol == other.protocol and port.first <= other.last and other.first <= port.last:
                    yield path, f"{port} overlaps {other}; name each port once"
            seen.append(port)


CHECKS: Final[tuple[Callable[[Mapping[Any, Any]], Iterator[Finding]], ...]] = (
    _names,
    _addresses,
    _public_ports,
)
"""Each takes the raw value of the mesh and yields what is wrong with it."""
