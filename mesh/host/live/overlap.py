"""Whether the mesh's network is somebody else's on this host, or packets to a peer would take another way."""

from __future__ import annotations

import ipaddress
import re

from ..answers import AgentError, Answer
from ..difference import Difference
from ..files.document import WG_CONF
from ..files.generation import load_link
from ..files.wgconf import WgFile, is_address
from ..records import dataclass, replace
from ..system.iproute import ask
from ..system.rtnetlink import addresses
from .lookup import Packet, Route, Rule, decide, parse_rules, parse_table
from .routes import routes_made

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ..places import Places
    from ..system.rtnetlink import Entry
    from ..tunnel import Tunnel
    from .lookup import Network

__all__ = [
    "Conflict",
    "Host",
    "conflicts",
    "overlap_differences",
    "read_host",
    "refuse_overlap",
    "routed",
    "without_former",
]

_RESOLVERS = ("etc/resolv.conf", "run/systemd/resolve/resolv.conf")
_NAMESERVER = re.compile(r"(?m)^nameserver\s+([0-9a-fA-F.:]+)\s*$")


@dataclass(frozen=True)
class Conflict:
    """What of ours is in conflict, with what of this host, and how to end that here or in the stack file."""

    ours: str
    theirs: str
    cure: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.ours} {self.theirs}"


@dataclass(frozen=True)
class Host:
    """The networks of this host without our interface: addresses by interface, rules by IP version...

    `held` are the networks behind peers that the committed files have already.
    """

    addresses: Sequence[tuple[str, str]]
    rules: Mapping[int, Sequence[Rule]]
    routes: Sequence[Route]
    resolvers: Sequence[str]
    held: frozenset[str] = frozenset()


def routed(file: WgFile) -> list[Network]:
    """Return the networks that go through the tunnel: the addresses' own, and what peers hold outside. Pure.

    A peer that takes everything makes no network of the mesh.
    """
    networks: list[Network] = [ipaddress.ip_interface(address).network for address in file.addresses]
    for peer in file.peers:
        for part in peer.allowed_ips:
            allowed = ipaddress.ip_network(part)
            if allowed.prefixlen and not any(_within(allowed, network) for network in networks):
                networks.append(allowed)
    return networks


def _within(inner: Any, outer: Any) -> bool:
    return bool(inner.version == outer.version and inner.subnet_of(outer))


def read_host(places: Places, tunnel: Tunnel, networks: Iterable[Network]) -> Host:
    """Read what could meet these networks, by few processes however many peers. Raises `AgentError`."""
    rules: dict[int, list[Rule]] = {}
    routes: list[Route] = []
    wanted = list(networks)
    for version in sorted({network.version for network in wanted}):
        # The routes within, around, and by way of each network: a host may have a million others.
        questions = [
            f"route show table all {which} {network}"
            for network in wanted
            for which in ("root", "match", "via")
            if network.version == version
        ]
        found = [entry for answer in ask(version, ["rule show", *questions]) for entry in answer]
        rules[version] = parse_rules(entry for entry in found if "priority" in entry)
        routes += parse_table((entry for entry in found if "priority" not in entry), version)
    return Host(
        addresses=_addresses(tunnel, addresses()),
        rules=rules,
        routes=[route for route in dict.fromkeys(routes) if route.device != tunnel.interface],
        resolvers=_resolvers(places),
        held=frozenset(route.partition(" ")[0] for route in routes_made(places)),
    )


def _addresses(tunnel: Tunnel, shown: Sequence[Entry]) -> list[tuple[str, str]]:
    """Return interface and address, with the length of its network; of a pair of ends both."""
    found = []
    for entry in shown:
        for info in entry["addr_info"] if entry["ifname"] != tunnel.interface else []:
            length = info["prefixlen"]
            ends = [info["local"]] if "address" not in info else [info["local"], info["address"]]
            found += [(entry["ifname"], f"{end}/{length}") for end in ends]
    return found


def _resolvers(places: Places) -> list[str]:
    files = [places.root / name for name in _RESOLVERS]
    texts = [file.read_text(errors="replace") for file in files if file.is_file()]
    named = (address for text in texts for address in _NAMESERVER.findall(text))
    return [address for address in dict.fromkeys(named) if is_address(address)]


def conflicts(tunnel: Tunnel, file: WgFile, host: Host) -> Iterator[Conflict]:
    """Yield what of the host meets the mesh's networks, or keeps packets to a peer from them. Pure."""
    networks = routed(file)
    yield from _endpoints(tunnel, file, networks)
    for network in networks:
        yield from _overlaps(network, host, _remedy(file, network))
    yield from _lost_resolvers(file, networks, host)
    yield from _other_ways(tunnel, file, networks, host)


def _remedy(file: WgFile, ours: Any) -> str:
    """Say what to change in the stack file: the mesh's own network, or one behind a peer. Pure."""
    own = [ipaddress.ip_interface(address).network for address in file.addresses]
    inside = next((network for network in own if _within(ipaddress.ip_network(ours), network)), None)
    if inside is not None:
        return f"give the mesh another `{'cidr' if inside.version == 4 else 'cidr6'}` in the stack file"
    behind = next(net for net in routed(file) if _within(ipaddress.ip_network(ours), net))
    return f"take {behind} out of the `routes` of a node in the stack file"


def _endpoints(tunnel: Tunnel, file: WgFile, networks: Sequence[Network]) -> Iterator[Conflict]:
    for peer in file.peers:
        if peer.endpoint is None:
            continue
        address = ipaddress.ip_address(peer.endpoint.rpartition(":")[0].strip("[]"))
        inside = next((net for net in networks if net.version == address.version and address in net), None)
        if inside is not None:
            yield Conflict(
                f"the endpoint {peer.endpoint} of peer {', '.join(peer.allowed_ips)}",
                f"lies in {inside}, but {tunnel.interface} sends this network through the tunnel",
                "give that peer an endpoint outside this network",
                _remedy(file, inside),
            )


def _overlaps(network: Network, host: Host, remedy: str) -> Iterator[Conflict]:
    taken = set()
    for interface, address in host.addresses:
        theirs = ipaddress.ip_interface(address).network
        if _overlap(network, theirs):
            taken.add(interface)
            yield Conflict(
                str(network),
                f"overlaps the network {theirs} of {interface} (its address {address})",
                f"remove that network from {interface}, or move it to other addresses",
                remedy,
            )
    for route in host.routes:
        # What is wider than ours is no conflict: the longest prefix wins.
        if route.table in ("main", "local") and route.kind != "throw" and route.device not in taken:
            if _within(route.destination, network):
                cure = "remove that route, or move it elsewhere"
                yield Conflict(str(network), f"holds the route {route}", cure, remedy)
            elif route.gateway and _holds(network, route.gateway):
                yield Conflict(
                    str(network),
                    f"holds the gateway of the route {route}",
                    "give that gateway another address",
                    remedy,
                )
    for rule in host.rules.get(network.version, ()):
        target = rule.target
        if target and _within(target, network) and _leads_elsewhere(rule, host):
            yield Conflict(
                str(network),
                f"contains the network of the rule {rule}",
                f"remove that rule (`ip rule del pref {rule.priority}`)",
                remedy,
            )


def _leads_elsewhere(rule: Rule, host: Host) -> bool:
    tables = {route.table for route in host.routes} - {"main", "local"}
    return bool(rule.action) or rule.table in tables


def _overlap(one: Any, other: Any) -> bool:
    return bool(one.version == other.version and one.overlaps(other))


def _holds(network: Network, address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.version == network.version and parsed in network


def _lost_resolvers(file: WgFile, networks: Sequence[Network], host: Host) -> Iterator[Conflict]:
    members = {address.partition("/")[0] for address in file.addresses}
    members |= {part.partition("/")[0] for peer in file.peers for part in peer.allowed_ips}
    for resolver in host.resolvers:
        for network in networks:
            # Behind a peer, a DNS server is used on purpose once the way there is ours.
            if resolver not in members and str(network) not in host.held and _holds(network, resolver):
                yield Conflict(
                    str(network),
                    f"holds this host's DNS server {resolver}",
                    "let this host use another DNS server",
                    _remedy(file, network),
                )


def _other_ways(tunnel: Tunnel, file: WgFile, networks: Sequence[Network], host: Host) -> Iterator[Conflict]:
    """Yield the rules that would keep packets to peers from our routes; each with the first such peer."""
    ours = [Route("main", "unicast", network, tunnel.interface, "", "kernel") for network in networks]
    routes = [*ours, *host.routes]
    told: set[str] = set()
    for packet in packets(file):
        rule, route = decide(packet, host.rules.get(packet.destination.version, ()), routes)
        if rule is None or (route is not None and route.device == tunnel.interface):
            continue
        theirs = f"is taken by the rule {rule}" + (f" with the route {route}" if route else "")
        if theirs not in told:
            told.add(theirs)
            cure = f"remove that route or that rule (`ip rule del pref {rule.priority}`)"
            yield Conflict(
                f"the way to {packet.destination}", theirs, cure, _remedy(file, packet.destination)
            )


def packets(file: WgFile) -> list[Packet]:
    """Return one packet to each network of each peer, without a source and from our own address. Pure."""
    own = [ipaddress.ip_interface(address).ip for address in file.addresses]
    found = []
    for peer in file.peers:
        for part in peer.allowed_ips:
            network = ipaddress.ip_network(part)
            if network.prefixlen:
                target = network[0] if network.prefixlen == network.max_prefixlen else network[1]
                sources = [None, *(address for address in own if address.version == target.version)]
                found += [Packet(target, source) for source in sources]
    return found


def refuse_overlap(places: Places, tunnel: Tunnel, file: WgFile) -> None:
    """Refuse a mesh whose network is in use on this host by somebody else. Raises `AgentError`.

    A network that the mesh moves away from is not refused: that may be why it moves.
    """
    committed = load_link(places, places.current)
    if committed is not None:
        file = without_former(file, committed.file)
    for found in conflicts(tunnel, file, read_host(places, tunnel, routed(file))):
        raise AgentError(
            Answer.REFUSED,
            f"{WG_CONF}: {found}: {found.remedy}, or {found.cure}",
        )


def without_former(file: WgFile, committed: WgFile) -> WgFile:
    """Return a file without committed networks of the mesh, where it has another one beside. Pure."""
    networks = [_network(address) for address in file.addresses]
    known = {_network(address) for address in committed.addresses}
    several = {network for network in networks if any(_beside(network, other) for other in networks)}
    former = known & several
    return replace(
        file,
        addresses=tuple(each for each in file.addresses if _network(each) not in former),
        peers=tuple(
            replace(peer, allowed_ips=tuple(each for each in peer.allowed_ips if not _in_any(each, former)))
            for peer in file.peers
        ),
    )


def _network(address: str) -> Network:
    return ipaddress.ip_interface(address).network


def _beside(network: Network, other: Network) -> bool:
    return network.version == other.version and network != other


def _in_any(allowed: str, networks: Collection[Network]) -> bool:
    return any(_within(ipaddress.ip_network(allowed), network) for network in networks)


def overlap_differences(places: Places, tunnel: Tunnel, file: WgFile) -> list[Difference]:
    """Say what on this host meets the mesh's networks now. Raises `AgentError`."""
    found = conflicts(tunnel, file, read_host(places, tunnel, routed(file)))
    return [Difference(each.ours, each.theirs, f"{tunnel.interface}'s alone") for each in found]
