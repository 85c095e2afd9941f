"""Addresses of nodes in the mesh's network: each its own, and a free one for a node without a right one."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from mesh.settings.addresses import address, mesh_network
from mesh.settings.problems import Told, another_value
from mesh.settings.raw import Finding, clients, everyone_in, nodes, read

__all__ = ["check_addresses", "free_addresses", "outside"]


def check_addresses(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The network has room for all nodes, and every node has an address in it, which nobody else has."""
    cidr = read(mesh_network, raw.get("cidr"))
    everyone = everyone_in(raw)
    if cidr is not None and len(everyone) > cidr.num_addresses - 2:
        room, who = cidr.num_addresses - 2, "nodes and clients" if clients(raw) else "nodes"
        yield (
            ("cidr",),
            f"{cidr} has room for {room} {who}, but there are {len(everyone)}; widen the network",
        )
    free = free_addresses(raw)
    owner: dict[IPv4Address, str] = {}
    for name, own in _given(everyone).items():
        refusal = None if cidr is None else outside(own, cidr)
        if refusal is None and own in owner:
            each = "every node" if name in nodes(raw) else "every node and client"
            refusal = f"{own} is already the address of {owner[own]}; {each} has its own"
        if refusal is not None:
            section = "nodes" if name in nodes(raw) else "clients"
            yield (section, name, "address"), _with_free(refusal, free.get(name), cidr)
        owner.setdefault(own, name)


def free_addresses(raw: Mapping[Any, Any]) -> dict[str, IPv4Address]:
    """Return an address for every node and client that has none it can have: the first free ones."""
    cidr = read(mesh_network, raw.get("cidr"))
    everyone = everyone_in(raw)
    if cidr is None:
        return {}
    taken: dict[IPv4Address, str] = {}
    for name, own in _given(everyone).items():
        if outside(own, cidr) is None:
            taken.setdefault(own, name)
    settled = set(taken.values())
    free = (one for one in cidr.hosts() if one not in taken)
    # a network without room for all leaves the last ones without
    return dict(zip((name for name in everyone if name not in settled), free, strict=False))


def _with_free(refusal: str, free: IPv4Address | None, cidr: IPv4Network | None) -> str | Told:
    if free is None:
        return (
            f"{refusal}; {'write another address' if cidr is None else 'no address of the network is free'}"
        )
    return Told(f"{refusal}; write {free}, which is free", another_value(str(free)))


def _given(everyone: Mapping[str, Any]) -> dict[str, IPv4Address]:
    """Return the addresses that can be read."""
    found = {
        name: read(address, node.get("address") if isinstance(node, Mapping) else None)
        for name, node in everyone.items()
    }
    return {name: own for name, own in found.items() if own is not None}


def outside(own: IPv4Address, cidr: IPv4Network) -> str | None:
    """Say why no host can have an address in a network; None where one can."""
    if own not in cidr:
        return f"{own} is outside {cidr}"
    if own == cidr.network_address:
        return f"{own} is the network address of {cidr}"
    if own == cidr.broadcast_address:
        return f"{own} is the broadcast address of {cidr}"
    return None
