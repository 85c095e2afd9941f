"""Addresses and networks of the stack file: what is none, what never matches, what belongs to others."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, Final

from mesh.settings.interfaces import interface, may_be
from mesh.settings.problems import refuse, show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.values import text

__all__ = ["KNOWN_NETWORKS", "KnownNetwork", "address", "check_cidr_owner", "mesh_network", "source_network"]

_PREFIX_LONGEST: Final = 29  # a network with room for at least two nodes and to grow
# RFC 1918 and, for shared address space, RFC 6598: what never belongs to anyone else's server.
_PRIVATE: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
# What no packet that reaches a server over the internet has as its source (RFC 6890, RFC 4291).
_NEVER_A_SOURCE: Final[Mapping[IPv4Network | IPv6Network, str]] = {
    IPv4Network("0.0.0.0/8"): "this host itself",
    IPv4Network("127.0.0.0/8"): "this host itself",
    IPv4Network("169.254.0.0/16"): "one link, never routed",
    IPv4Network("224.0.0.0/4"): "multicast, never a source",
    IPv4Network("240.0.0.0/4"): "reserved, in use nowhere",
    IPv6Network("::/128"): "no address",
    IPv6Network("::1/128"): "this host itself",
    IPv6Network("::ffff:0:0/96"): "an IPv4 address in IPv6 form, which arrives as IPv4",
    IPv6Network("::/96"): "an IPv4 address in a form that is used nowhere",
    IPv6Network("fe80::/10"): "one link, never routed",
    IPv6Network("ff00::/8"): "multicast, never a source",
}


@dataclass(frozen=True, kw_only=True)
class KnownNetwork:
    """A network that is known to be somebody's on a host: whose, and behind which interface."""

    network: IPv4Network
    owner: str
    interface: str | None


KNOWN_NETWORKS: Final = tuple(
    KnownNetwork(network=IPv4Network(network), owner=owner, interface=behind)
    for network, owner, behind in (
        ("172.17.0.0/16", "Docker gives to its default bridge", "docker0"),
        ("10.42.0.0/16", "k3s and RKE2 give to their pods", "cni0"),
        ("10.43.0.0/16", "k3s and RKE2 give to their services", "cni0"),
        ("10.244.0.0/16", "Kubernetes with flannel gives to its pods", "cni0"),
        ("10.96.0.0/12", "Kubernetes (kubeadm) gives to its services", "cni0"),
        ("10.88.0.0/16", "Podman gives to its default bridge", "podman0"),
        ("10.0.3.0/24", "LXC gives to its default bridge", "lxcbr0"),
        ("192.168.122.0/24", "libvirt gives to its default bridge", "virbr0"),
        ("100.64.0.0/10", "Tailscale and the address translation of carriers use", "tailscale0"),
    )
)
"""Defaults of what people run on servers, from the documentation of each."""


def address(value: object) -> IPv4Address:
    """An address of the mesh."""
    given = text(value, "an IPv4 address such as 10.10.0.1")
    try:
        return IPv4Address(given)
    except ValueError:
        words = f"{show(given)} is not an IPv4 address such as 10.10.0.1"
        raise refuse(f"{words}{_better_address(given)}") from None


def _better_address(given: str) -> str:
    """Say what was probably meant."""
    if re.fullmatch(r"[0-9.]+/[0-9.]+", given):
        return f"; write {given.partition('/')[0]}: cidr already has the network"
    if re.fullmatch(r"([0-9]+\.){3}[0-9]+", given):
        plain = ".".join(str(int(part)) for part in given.split("."))
        if read_ip(plain) is not None:
            return f"; write {plain}: a number with a leading zero reads as octal elsewhere"
    return _only_ipv4(given)


def _only_ipv4(given: str) -> str:
    is_ipv6 = isinstance(read_ip(given.partition("/")[0]), IPv6Address)
    return "; a mesh has IPv4 addresses only" if is_ipv6 else ""


def read_ip(given: str) -> IPv4Address | IPv6Address | None:
    """Return an address of either family; None when it is none."""
    try:
        return ipaddress.ip_address(given)
    except ValueError:
        return None


def mesh_network(value: object) -> IPv4Network:
    """The network all addresses of the mesh lie in."""
    given = text(value, "an IPv4 network such as 10.10.0.0/24")
    try:
        network = IPv4Network(given, strict=False)
    except ValueError:
        words = f"{show(given)} is not an IPv4 network such as 10.10.0.0/24"
        raise refuse(f"{words}{_only_ipv4(given)}") from None
    if "/" not in given:
        raise refuse(f"{given} has no prefix length; write for example {given}/24")
    if str(network) != given:
        raise refuse(f"{given} names a host, not a network; write {network}")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        allowed = ", ".join(str(private) for private in _PRIVATE)
        what = next(
            (f"is {meant}" for other, meant in _NEVER_A_SOURCE.items() if _inside(network, other)),
            "is public address space",
        )
        raise refuse(f"{given} {what}; take a network inside {allowed}")
    if network.prefixlen > _PREFIX_LONGEST:
        raise refuse(f"{given} has no room for a mesh; /{_PREFIX_LONGEST} is the smallest network")
    return network


def source_network(value: object) -> IPv4Network | IPv6Network:
    """A network, or one address, that packets come from."""
    given = text(value, "a network such as 203.0.113.0/24 or 2001:db8::/32")
    host, slash, _ = given.partition("/")
    if "%" in given:
        raise refuse(
            f"{show(given)} names an interface after the %: such an address works on one link only and "
            f"never reaches a server; give your public address"
        )
    try:
        network = ip_network(given, strict=False)
    except ValueError:
        raise refuse(f"{show(given)} is not a network such as 203.0.113.0/24 or 2001:db8::/32") from None
    if slash and str(network.network_address) != str(ip_network(host)[0]):
        raise refuse(
            f"{given} names a host, not a network; write {ipaddress.ip_address(host)} for this one "
            f"address, or {network} for all {_count(network)}"
        )
    _refuse_what_never_comes(given, network)
    return network


def _count(network: IPv4Network | IPv6Network) -> str:
    bits = network.max_prefixlen - network.prefixlen
    return str(2**bits) if bits <= 32 else f"2^{bits}"


def _refuse_what_never_comes(given: str, network: IPv4Network | IPv6Network) -> None:
    for never, meant in _NEVER_A_SOURCE.items():
        if not _inside(network, never):
            continue
        first = network.network_address
        if isinstance(first, IPv6Address) and int(first) > 1 and _inside(network, IPv6Network("::/80")):
            plain = IPv4Address(int(first) & 0xFFFFFFFF)
            prefix = "" if network.prefixlen == network.max_prefixlen else f"/{network.prefixlen - 96}"
            raise refuse(f"{given} is {meant}, and never matches; write {plain}{prefix}")
        raise refuse(f"{given} is {meant}: no packet comes from there; give your public address")


def _inside(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def check_cidr_owner(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The mesh must not lie in a network that is behind an interface which a node trusts."""
    cidr = read(mesh_network, raw.get("cidr"))
    if cidr is None:
        return
    for known in KNOWN_NETWORKS:
        if known.interface is None or not cidr.overlaps(known.network):
            continue
        trusting = _who_trusts(raw, known.interface)
        if trusting is not None:
            who, given = trusting
            message = (
                f"{cidr} overlaps {known.network}, which {known.owner}, and {who} trusts {given}: packets "
                f"from {known.interface} would look like packets of the mesh; take another network, such as "
                f"10.10.0.0/24"
            )
            yield ("cidr",), message
            return


def _who_trusts(raw: Mapping[Any, Any], name: str) -> tuple[str, str] | None:
    """Return the first node, or the defaults, that trust an interface of this name, and how they say it."""
    owners = {"mesh.defaults": raw.get("defaults"), **nodes(raw)}
    for who, owner in owners.items():
        for given in listed(owner, "trustedInterfaces"):
            if read(interface, given) is not None and may_be(str(given), name):
                return who, str(given)
    return None
