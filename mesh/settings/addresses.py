"""Addresses and networks of the stack file: what is none, what never matches, what belongs to others."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Any, Final

from pydantic_core import PydanticCustomError

from mesh.settings.interfaces import interface, may_be
from mesh.settings.meant import accepts, meant, plain
from mesh.settings.problems import refuse, show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.values import text

__all__ = [
    "KNOWN_NETWORKS",
    "KnownNetwork",
    "address",
    "check_cidr_owner",
    "mesh_network",
    "overlap",
    "source_network",
    "within",
]

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
    given = text(value, "an IPv4 address such as 10.10.0.1", address)
    try:
        return IPv4Address(given)
    except ValueError:
        raise _no_address(given) from None


def _no_address(given: str) -> PydanticCustomError:
    """Say which address was probably meant."""
    said = f"{show(given)} is not an IPv4 address such as 10.10.0.1"
    host, slash, _ = plain(given).partition("/")
    dotted = _without_zeros(host)
    better = meant(given, address, host, dotted, host.partition(":")[0], host.replace(",", "."))
    if better is None:
        return refuse(f"{said}{_ipv6(given, 'address', 'give four numbers from 0 to 255, with dots')}")
    if slash:
        return refuse(f"{said}; write {better}: cidr already has the network", better)
    zeros = better == dotted and dotted != host
    why = ": a number with a leading zero reads as octal elsewhere" if zeros else ""
    return refuse(f"{said}; write {better}{why}", better)


def _without_zeros(given: str) -> str:
    """Return a dotted address whose numbers have no zero in front."""
    return re.sub(r"\b0+(?=[0-9])", "", given)


def _ipv6(given: str, what: str, otherwise: str) -> str:
    """Return the remedy for an address or a network: IPv6 has a key of its own."""
    if isinstance(read_ip(given.partition("/")[0]), IPv6Address):
        return f"; write an IPv6 {what} as {'address6' if what == 'address' else 'cidr6'}"
    return f"; {otherwise}"


def read_ip(given: str) -> IPv4Address | IPv6Address | None:
    """Return an address of either family; None when it is none."""
    try:
        return ipaddress.ip_address(given)
    except ValueError:
        return None


def mesh_network(value: object) -> IPv4Network:
    """The network all addresses of the mesh lie in."""
    given = text(value, "an IPv4 network such as 10.10.0.0/24", mesh_network)
    try:
        network = IPv4Network(given, strict=False)
    except ValueError:
        raise _no_network(given) from None
    if "/" not in given:
        raise _no_prefix(given)
    if str(network) != given:
        host = network.network_address != IPv4Address(given.partition("/")[0])
        what = "names a host, not a network" if host else "has another form"
        raise refuse(f"{given} {what}; write {network}", _right(network))
    if not any(network.subnet_of(private) for private in _PRIVATE):
        allowed = ", ".join(str(private) for private in _PRIVATE)
        what = next(
            (f"is {words}" for other, words in _NEVER_A_SOURCE.items() if within(network, other)),
            "is public address space",
        )
        raise refuse(f"{given} {what}; take a network inside {allowed}")
    if network.prefixlen > _PREFIX_LONGEST:
        wider = network.supernet(new_prefix=24)
        raise refuse(
            f"{given} has no room for a mesh; /{_PREFIX_LONGEST} is the smallest network: write for example "
            f"{wider}",
            str(wider),
        )
    return network


def _no_network(given: str) -> PydanticCustomError:
    """Say which network was probably meant."""
    said = f"{show(given)} is not an IPv4 network such as 10.10.0.0/24"
    tidy = plain(given)
    host, slash, prefix = re.sub(r"\s", "", tidy).partition("/")
    without_zeros = f"{_without_zeros(host)}{slash}{prefix}"
    better = meant(given, mesh_network, tidy.replace("\\", "/"), without_zeros, _starred(tidy))
    if better is not None:
        return refuse(f"{said}; write {better}", better)
    if isinstance(read_ip(host), IPv4Address) and slash:
        return refuse(f"{said}; the prefix length after the slash goes from 8 to {_PREFIX_LONGEST}")
    return refuse(f"{said}{_ipv6(given, 'network', 'give the first address, a slash and the prefix length')}")


def _no_prefix(given: str) -> PydanticCustomError:
    network = IPv4Network(f"{given}/24", strict=False)
    return refuse(f"{given} has no prefix length; write for example {network}", _right(network))


def _right(network: IPv4Network) -> str:
    """Return a network as it can be written; raises what is wrong with the network itself."""
    return str(mesh_network(str(network)))


def _starred(given: str) -> str:
    """Return `10.10.0.*` as the network that is meant."""
    fixed = re.fullmatch(r"((?:[0-9]{1,3}\.){1,3})(?:\*\.?)+", given)
    if fixed is None:
        return given
    parts = fixed[1].rstrip(".").split(".")
    return f"{'.'.join([*parts, *['0'] * (4 - len(parts))])}/{8 * len(parts)}"


def source_network(value: object) -> IPv4Network | IPv6Network:
    """A network, or one address, that packets come from."""
    given = text(value, "a network such as 203.0.113.0/24 or 2001:db8::/32", source_network)
    host, slash, _ = given.partition("/")
    if "%" in given:
        raise refuse(
            f"{show(given)} names an interface after the %: such an address works on one link only and "
            f"never reaches a server; give your public address"
        )
    try:
        network = ip_network(given, strict=False)
    except ValueError:
        raise _no_source(given) from None
    if slash and str(network.network_address) != str(ip_network(host)[0]):
        _refuse_what_never_comes(given, network)
        both = [str(ipaddress.ip_address(host)), str(network)]
        raise refuse(
            f"{given} names a host, not a network; write {both[0]} for this one "
            f"address, or {network} for all {_count(network)}",
            *(one for one in both if accepts(source_network, one)),
        )
    _refuse_what_never_comes(given, network)
    return network


def _no_source(given: str) -> PydanticCustomError:
    """Say which network of senders was probably meant."""
    said = f"{show(given)} is not a network such as 203.0.113.0/24 or 2001:db8::/32"
    tidy = plain(given)
    host, slash, prefix = re.sub(r"\s", "", tidy).partition("/")
    without_zeros = f"{_without_zeros(host)}{slash}{prefix}" if "." in host else tidy
    everywhere = ["0.0.0.0/0"] if tidy.lower() in {"*", "any", "all", "everywhere", "anywhere"} else []
    guesses = (tidy.replace("\\", "/"), without_zeros, _starred(tidy), tidy.strip("[]"))
    better = meant(given, source_network, *everywhere, *guesses)
    if better is not None:
        return refuse(f"{said}; write {better}", better)
    if read_ip(host) is not None and slash:
        return refuse(f"{said}; the prefix length after the slash is 0 to 32, with IPv6 0 to 128")
    return refuse(f"{said}; give addresses: a name's addresses can change")


def _count(network: IPv4Network | IPv6Network) -> str:
    bits = network.max_prefixlen - network.prefixlen
    return str(2**bits) if bits <= 32 else f"2^{bits}"


def _refuse_what_never_comes(given: str, network: IPv4Network | IPv6Network) -> None:
    for never, why in _NEVER_A_SOURCE.items():
        if not within(network, never):
            continue
        first = network.network_address
        if isinstance(first, IPv6Address) and int(first) > 1 and within(network, IPv6Network("::/80")):
            ipv4 = IPv4Address(int(first) & 0xFFFFFFFF)
            prefix = "" if network.prefixlen == network.max_prefixlen else f"/{network.prefixlen - 96}"
            written = f"{ipv4}{prefix}"
            if accepts(source_network, written):
                raise refuse(f"{given} is {why}, and never matches; write {written}", written)
        raise refuse(f"{given} is {why}: no packet comes from there; give your public address")


def within(network: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    """Whether a network lies in another one, which may be of the other family."""
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    """Whether two networks have addresses in common; they may be of different families."""
    return within(one, other) or within(other, one)


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
