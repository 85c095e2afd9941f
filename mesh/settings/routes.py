"""Networks behind a node: what may be routed into the mesh, and what a policy may call a network."""

import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from pydantic_core import PydanticCustomError

from mesh.settings.addresses import mesh_network, overlap, within
from mesh.settings.addresses6 import LOCAL, kind_of, mesh_network6
from mesh.settings.meant import meant, plain
from mesh.settings.names import host_name
from mesh.settings.problems import REMOVED, Told, another_value, refuse, show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.values import text

__all__ = [
    "NETWORK",
    "check_routes",
    "in_one_family",
    "is_network",
    "member",
    "networks_inside",
    "node_of",
    "read_routes",
    "route",
    "routes_by_member",
    "unknown_network",
]

# RFC 1918 and RFC 6598, as for the mesh's own network: public addresses are somebody's servers, and may be
# where a peer, a mirror or the provider is reached.
_PRIVATE: Final = tuple(
    IPv4Network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
_USUAL: Final = {4: 24, 6: 64}  # bits of one link's network
_WRITTEN: Final = "a network such as 10.20.0.0/16"
NETWORK: Final = re.compile(r"[0-9]+\.[0-9.]*/.*|[0-9A-Fa-f]*:.*/.*")
"""What begins as a network does, in the place of a name."""


def is_network(given: object) -> bool:
    """Whether a name of a policy is meant as a network."""
    return isinstance(given, str) and NETWORK.fullmatch(given) is not None


def route(value: object) -> IPv4Network | IPv6Network:
    """A network behind a node."""
    given = text(value, _WRITTEN, route)
    try:
        network = ip_network(given, strict=False)
    except (AddressValueError, ValueError):
        raise _no_network(given) from None
    if "%" in given:
        raise _no_network(given)
    private = _PRIVATE if network.version == 4 else (LOCAL,)
    if not network.prefixlen:
        raise refuse(
            f"{given} is every address, and would take the internet through this node; name the networks "
            f"behind the node, such as {'10.20.0.0/16' if network.version == 4 else 'fd20::/64'}"
        )
    if not any(within(network, each) for each in private):
        raise refuse(
            f"{given} {_kind(network)}; only private networks can be behind a node; give a "
            f"network inside {', '.join(map(str, private))}"
        )
    if "/" not in given:
        wider = network.supernet(new_prefix=_USUAL[network.version])
        raise refuse(
            f"{given} has no prefix length; write {network} for this address alone, or {wider}",
            str(network),
            str(wider),
        )
    if str(network) != given:
        host = ip_address(given.partition("/")[0]) != network.network_address
        what = "names a host, not a network" if host else "has another form"
        raise refuse(f"{given} {what}; write {network}", str(network))
    return network


def _kind(network: IPv4Network | IPv6Network) -> str:
    if isinstance(network, IPv6Network):
        return kind_of(network)
    if network.is_loopback or network.subnet_of(IPv4Network("0.0.0.0/8")):
        return "is this host itself"
    if network.is_link_local:
        return "is one link, never routed (the metadata of clouds is there)"
    if network.is_multicast:
        return "is multicast"
    if network.is_reserved:
        return "is reserved, in use nowhere"
    return "is public address space"


def _no_network(given: str) -> PydanticCustomError:
    """Say which network was probably meant."""
    said = f"{show(given)} is not {_WRITTEN}"
    tidy = re.sub(r"\s", "", plain(given).replace("\\", "/"))
    better = meant(given, route, re.sub(r"\b0+(?=[0-9])", "", tidy))
    if better is not None:
        return refuse(f"{said}; write {better}", better)
    return refuse(f"{said}; give the first address, a slash and the prefix length")


def member(value: object) -> str:
    """The name of a node or of a group of nodes, or a network that holds networks behind nodes."""
    if not isinstance(value, str) or not is_network(value):
        return host_name(value)
    try:
        network = ip_network(value)
    except ValueError:
        return str(route(value))  # says in its words what is wrong
    return str(network) if str(network) == value else str(route(value))


def routes_by_member(
    routes: Mapping[str, Iterable[IPv4Network | IPv6Network]],
) -> dict[str, IPv4Network | IPv6Network]:
    """Return the networks behind nodes by what stands for each in a policy: `10.20.0.0/16 behind gw`."""
    return {f"{network} behind {name}": network for name, networks in routes.items() for network in networks}


def node_of(member: str) -> str:
    """Return the node that a member of a policy is, or is behind."""
    return member.rpartition(" ")[2]


def in_one_family(member: str, other: str) -> bool:
    """Whether packets can go between two members: a node has all families, a network behind a node one."""
    return len({":" in each for each in (member, other) if " behind " in each}) < 2


def networks_inside(name: str, routes: Mapping[str, IPv4Network | IPv6Network]) -> frozenset[str]:
    """Return the members that a network of a policy stands for: the routes that are inside this network."""
    given = ip_network(name)
    return frozenset(who for who, network in routes.items() if within(network, given))


def unknown_network(name: str, routes: Mapping[str, IPv4Network | IPv6Network]) -> Told:
    """Say of a network in a policy that no route is inside it."""
    given = ip_network(name)
    for who, network in routes.items():
        if within(given, network):
            message = f"{name} is only a part of {who}; write {network}, or divide the network in `routes`"
            return Told(message, another_value(str(network)))
    known = f"known are {', '.join(routes)}" if routes else "no node has `routes`"
    return Told(f"{name} holds no network that is behind a node; {known}")


def read_routes(raw: Mapping[Any, Any]) -> dict[str, list[IPv4Network | IPv6Network]]:
    """Return the networks behind each node, as far as they can be read."""
    return {
        name: [network for given in listed(node, "routes") if (network := read(route, given)) is not None]
        for name, node in nodes(raw).items()
    }


def check_routes(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """A network is behind one node, is not the mesh's own, and its node forwards."""
    own = {
        "mesh.cidr": read(mesh_network, raw.get("cidr")),
        "mesh.cidr6": read(mesh_network6, raw.get("cidr6")),
    }
    claimed: list[tuple[IPv4Network | IPv6Network, str]] = []
    for name, node in nodes(raw).items():
        given = listed(node, "routes")
        for index, value in enumerate(given):
            network = read(route, value)
            if network is not None:
                told = _taken(network, name, own, claimed)
                if told is None and network.version == 6 and "cidr6" not in raw:
                    told = Told(
                        f"{network} is IPv6, and this mesh has IPv4 alone; give the mesh a cidr6, or remove "
                        f"the network",
                        (REMOVED,),
                    )
                if told is not None:
                    yield ("nodes", name, "routes", index), told
                claimed.append((network, name))
        if given and isinstance(node, Mapping) and node.get("forward") is False:
            message = "is false, but a node with `routes` forwards packets; remove one of both keys"
            yield ("nodes", name, "forward"), Told(message, (REMOVED,))


def _taken(
    network: IPv4Network | IPv6Network,
    name: str,
    own: Mapping[str, IPv4Network | IPv6Network | None],
    claimed: Iterable[tuple[IPv4Network | IPv6Network, str]],
) -> Told | None:
    for where, cidr in own.items():
        if cidr is not None and overlap(network, cidr):
            return Told(
                f"{network} overlaps {cidr}, the network of the mesh ({where}); the two need different "
                f"addresses"
            )
    for other, owner in claimed:
        if not overlap(network, other):
            continue
        if owner == name:
            same = "is given twice" if network == other else f"overlaps {other}, which stands here, too"
            return Told(f"{network} {same}; remove one", (REMOVED,))
        return Told(
            f"{network} overlaps {other}, which is behind {owner}; a network is behind one node: remove it "
            f"from {name} or from {owner}",
            (REMOVED,),
        )
    return None
