"""IPv6 inside the mesh: its network, and the address of each node: the IPv4 host part, or its own."""

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any, Final

from pydantic_core import PydanticCustomError

from mesh.settings.addresses import address, mesh_network
from mesh.settings.meant import meant, plain
from mesh.settings.problems import REMOVED, Told, another_value, refuse, show
from mesh.settings.raw import Finding, everyone_in, nodes, read
from mesh.settings.values import text

__all__ = ["LOCAL", "address6", "check_addresses6", "derived", "kind_of", "mesh_network6"]

LOCAL: Final = IPv6Network("fd00::/8")
"""Locally assigned unique local addresses (RFC 4193 section 3.1)."""

_SHORTEST: Final = 48  # what one draw of a 40 bit global ID gives (RFC 4193 section 3.1)
_LONGEST: Final = 120  # as much room as a /24 of IPv4
_USUAL: Final = 64  # one subnet (RFC 4291 section 2.5.4)
_EXAMPLE: Final = "fd1a:2b3c:4d5e::/64"
_ELSEWHERE: Final = (
    (IPv6Network("fc00::/8"), "is not assigned yet"),  # RFC 4193 section 3.2
    (IPv6Network("2000::/3"), "is public address space"),
    (IPv6Network("fe80::/10"), "is one link, never routed"),
    (IPv6Network("fec0::/10"), "is deprecated"),
    (IPv6Network("ff00::/8"), "is multicast"),
)


def mesh_network6(value: object) -> IPv6Network:
    """The network that the IPv6 addresses of the mesh lie in."""
    given = text(value, f"an IPv6 network such as {_EXAMPLE}", mesh_network6)
    network = _read_network(given)
    if network is None:
        raise _no_network(given)
    if "/" not in given:
        wider = IPv6Network((network.network_address, _USUAL), strict=False)
        raise refuse(f"{given} has no prefix length; write for example {wider}", _right(wider))
    if str(network) != given:
        host = network.network_address != IPv6Address(given.partition("/")[0])
        what = "names a host, not a network" if host else "has another form"
        raise refuse(f"{given} {what}; write {network}", _right(network))
    if not network.subnet_of(LOCAL):
        own = _drawn(given)
        raise refuse(f"{given} {kind_of(network)}; take a network inside {LOCAL}, such as {own}", own)
    if network.prefixlen < _SHORTEST:
        own = _drawn(given)
        raise refuse(
            f"{given} is wider than a network of your own: /{_SHORTEST} is the largest one; write for "
            f"example {own}",
            own,
        )
    if network.prefixlen > _LONGEST:
        wider = network.supernet(new_prefix=_USUAL)
        raise refuse(
            f"{given} has no room for a mesh; /{_LONGEST} is the smallest network: write for example {wider}",
            str(wider),
        )
    return network


def kind_of(network: IPv6Network) -> str:
    """Say what a network is that is not private: `is multicast`."""
    return next((words for other, words in _ELSEWHERE if network.subnet_of(other)), "is not private")


def _read_network(given: str) -> IPv6Network | None:
    try:
        return None if "%" in given else IPv6Network(given, strict=False)
    except ValueError:
        return None


def _no_network(given: str) -> PydanticCustomError:
    """Say which network was probably meant."""
    said = f"{show(given)} is not an IPv6 network such as {_EXAMPLE}"
    tidy = plain(given)
    better = meant(given, mesh_network6, tidy.replace("\\", "/"), re.sub(r"\s", "", tidy), tidy.strip("[]"))
    if better is not None:
        return refuse(f"{said}; write {better}", better)
    if read(mesh_network, tidy) is not None:
        return refuse(f"{said}; write an IPv4 network as cidr")
    host, slash, _ = tidy.partition("/")
    if slash and _read_address(host) is not None:
        return refuse(f"{said}; the prefix length after the slash goes from {_SHORTEST} to {_LONGEST}")
    return refuse(f"{said}; give the first address, a slash and the prefix length")


def _right(network: IPv6Network) -> str:
    """Return a network as it can be written; raises what is wrong with the network itself."""
    return str(mesh_network6(str(network)))


def _drawn(given: str) -> str:
    """Return a network as RFC 4193 section 3.2 wants one, of 40 bits that nobody chose.

    Drawn from the value that is refused: the same mistake gets the same answer.
    """
    drawn = hashlib.blake2b(given.encode(), digest_size=5).digest()
    return str(IPv6Network((b"\xfd" + drawn + bytes(10), _USUAL)))


def address6(value: object) -> IPv6Address:
    """An IPv6 address of the mesh."""
    given = text(value, "an IPv6 address such as fd1a:2b3c:4d5e::1", address6)
    found = _read_address(given)
    if found is None:
        raise _no_address(given)
    if str(found) != given:
        raise refuse(f"{given} has another form; write {found}", str(found))
    return found


def _read_address(given: str) -> IPv6Address | None:
    try:
        return None if "%" in given else IPv6Address(given)
    except ValueError:
        return None


def _no_address(given: str) -> PydanticCustomError:
    """Say which address was probably meant."""
    said = f"{show(given)} is not an IPv6 address such as fd1a:2b3c:4d5e::1"
    host, slash, _ = plain(given).partition("/")
    better = meant(given, address6, host, host.strip("[]"), re.sub(r"\s", "", host))
    if better is not None:
        why = ": cidr6 already has the network" if slash else ""
        return refuse(f"{said}; write {better}{why}", better)
    if read(address, host) is not None:
        return refuse(f"{said}; write an IPv4 address as address")
    return refuse(f"{said}; give groups of hexadecimal digits, with colons")


def derived(own: IPv4Address, cidr: IPv4Network, cidr6: IPv6Network) -> IPv6Address:
    """Return the host part of an IPv4 address in the IPv6 network: of 10.10.0.11 in a /24, the 11th (`::b`).

    Raises `ValueError` where the network has no room for the host part.
    """
    host = int(own) - int(cidr.network_address)
    if host >= cidr6.num_addresses:
        raise ValueError(f"{cidr6} has no room for the host part of {own}")
    return cidr6.network_address + host


def check_addresses6(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The IPv6 network has room for the host parts, and every node has an address in it, its own."""
    if "cidr6" not in raw:
        for name, own in _given(nodes(raw)).items():
            told = f"{own} lies in no network: the mesh has no cidr6; remove address6, or give the mesh one"
            yield ("nodes", name, "address6"), Told(told, (REMOVED,))
        return
    cidr, cidr6 = read(mesh_network, raw.get("cidr")), read(mesh_network6, raw.get("cidr6"))
    if cidr is not None and cidr6 is not None and cidr.num_addresses > cidr6.num_addresses:
        wider = cidr6.supernet(new_prefix=_USUAL)
        longest = cidr6.max_prefixlen - (cidr.max_prefixlen - cidr.prefixlen)
        told = (
            f"{cidr6} has no room for the host parts of {cidr}; /{longest} is the smallest network that has: "
            f"write for example {wider}"
        )
        yield ("cidr6",), Told(told, another_value(str(wider)))
        return
    yield from _own_addresses(raw, cidr, cidr6)


def _own_addresses(
    raw: Mapping[Any, Any], cidr: IPv4Network | None, cidr6: IPv6Network | None
) -> Iterator[Finding]:
    everyone = everyone_in(raw)
    hosts = _derived(everyone, cidr, cidr6)
    given = _given(nodes(raw))
    owner = {own: name for name, own in reversed(hosts.items()) if "address6" not in everyone[name]}
    by_host = dict(owner)
    for name, own in given.items():
        refusal = None if cidr6 is None else _outside(own, cidr6)
        if refusal is None and own in owner:
            why = f", the host part of {everyone[owner[own]]['address']}" if own in by_host else ""
            refusal = f"{own} is already the address of {owner[own]}{why}; every node has its own"
        if refusal is not None:
            others = {*owner, *(each for node, each in given.items() if node != name)}
            yield ("nodes", name, "address6"), _with_remedy(refusal, hosts.get(name), others, cidr6)
        owner.setdefault(own, name)


def _with_remedy(
    refusal: str, host: IPv6Address | None, others: set[IPv6Address], cidr6: IPv6Network | None
) -> Told:
    if host is not None and host not in others:
        return Told(f"{refusal}; remove address6: the node then has {host}", (REMOVED,))
    if cidr6 is None:
        return Told(f"{refusal}; write another address")
    # one more than there are nodes: one of them is free
    found = (cidr6.network_address + number for number in itertools.count(1))
    free = next(each for each in found if each not in others)
    return Told(f"{refusal}; write {free}, which is free", another_value(str(free)))


def _given(everyone: Mapping[str, Any]) -> dict[str, IPv6Address]:
    """Return the addresses that nodes give themselves and that can be read."""
    found = {
        name: read(address6, node["address6"])
        for name, node in everyone.items()
        if isinstance(node, Mapping) and "address6" in node
    }
    return {name: own for name, own in found.items() if own is not None}


def _derived(
    everyone: Mapping[str, Any], cidr: IPv4Network | None, cidr6: IPv6Network | None
) -> dict[str, IPv6Address]:
    """Return the host part of each node, as far as its IPv4 address can be read and is right."""
    if cidr is None or cidr6 is None:
        return {}
    found = {
        name: read(address, node.get("address"))
        for name, node in everyone.items()
        if isinstance(node, Mapping)
    }
    return {name: derived(own, cidr, cidr6) for name, own in found.items() if own is not None and own in cidr}


def _outside(own: IPv6Address, cidr6: IPv6Network) -> str | None:
    if own not in cidr6:
        return f"{own} is outside {cidr6}"
    if own == cidr6.network_address:
        # RFC 4291 section 2.6.1
        return f"{own} is the network address of {cidr6}, which any router in it answers to"
    return None
