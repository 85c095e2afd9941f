"""What the firewall table of a node lets in, as the template needs it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, Literal

from mesh.plan import AccessPlan, Ingress, NodePlan, PeerPlan, Relayed, RoutePlan
from mesh.render.facts import Endpoint, PeerFacts, Unknown
from mesh.settings.addresses import within

__all__ = ["Behind", "Family", "FirewallView", "NamedSet", "Side", "firewall_view"]

_Address = IPv4Address | IPv6Address | IPv4Network | IPv6Network


@dataclass(frozen=True, kw_only=True)
class Family:
    """An address family in the words of nftables; `suffix` ends the names of its sets."""

    version: Literal[4, 6]
    name: str
    keyword: str
    nfproto: str
    icmp: str
    type: str
    suffix: str


_IPV4: Final = Family(
    version=4, name="IPv4", keyword="ip", nfproto="ipv4", icmp="icmp", type="ipv4_addr", suffix=""
)
_IPV6: Final = Family(
    version=6, name="IPv6", keyword="ip6", nfproto="ipv6", icmp="icmpv6", type="ipv6_addr", suffix="6"
)
_FAMILIES: Final = (_IPV4, _IPV6)


@dataclass(frozen=True, kw_only=True)
class Side:
    """A family that the mesh has: the node's own address in it, and the network of all.

    A former address of the node is `apart` if its network is not among those of the sides before.
    """

    family: Family
    address: IPv4Address | IPv6Address
    network: IPv4Network | IPv6Network
    apart: bool = True


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A network behind this node or a peer: what the reader is told of it; `begins` is as in the plan."""

    family: Family
    network: IPv4Network | IPv6Network
    note: str
    begins: bool = True


@dataclass(frozen=True, kw_only=True)
class NamedSet:
    """A set of the table: name, nftables type, and elements, each with a note for the reader or none."""

    name: str
    type: str
    elements: Sequence[tuple[str, str]]

    @property
    def interval(self) -> bool:
        """Whether an element is a network or a range.

        Measured on Linux 6.18, at 500 packets a second: replacing a table a hundred times loses about one
        packet on a rule that needs such a set, and none on one that does not; it looks as if the new set
        were empty for some microseconds. So a set is one only where it must be, and no rule for
        established traffic uses one.
        """
        return any("/" in element or "-" in element for element, _ in self.elements)


@dataclass(frozen=True, kw_only=True)
class FirewallView:
    """All sets of the table `inet wgmesh`, in the order of the file; `policy` says whether there is one.

    `families` are all there are, `inside` and `absent` those that the mesh has and does not have, `former`
    the node's former addresses that it still holds, `endpoints` the families that peers are reached by.
    `called` says whether a peer calls: then WireGuard's port is open to all. `routes` are the networks behind
    peers, `own_routes` those behind this node. `mesh4` are the IPv4 networks of the mesh, former ones
    included. `answers` are these and the networks behind peers, on a node with egress: from all others, only
    answers come through the tunnel.
    """

    sets: Sequence[NamedSet]
    policy: bool
    families: Sequence[Family]
    inside: Sequence[Side]
    former: Sequence[Side]
    absent: Sequence[Family]
    endpoints: Sequence[Family]
    called: bool
    routes: Sequence[Behind]
    own_routes: Sequence[Behind]
    mesh4: Sequence[IPv4Network | IPv6Network]
    answers: Sequence[IPv4Network | IPv6Network]


def firewall_view(node: NodePlan, facts: Mapping[str, PeerFacts]) -> FirewallView:
    """Return the sets of one node, whose peers `facts` has. Raises `LookupError` of a path that it has not.

    A peer whose endpoint is not known (in a preview) stands as that text in the set of its path's family.
    """
    inside = [
        Side(family=family, address=address.ip, network=address.network)
        for family in _FAMILIES
        for address in node.overlay.addresses
        if address.version == family.version
    ]
    former = list(_former(node, [side.network for side in inside]))
    access = node.access
    peers = _endpoint_sets(
        [(peer.path.family, facts[peer.name].at(peer.path)) for peer in node.peers if not peer.calls]
    )
    sets = [*peers.values(), *_outside_sets(access), *_relay_sets(access), *_egress_sets(node)]
    if access.ingress is not None:
        for side in inside:
            sets += _policy_sets(side.family, access, access.ingress)
            if access.routes:
                sets += _route_sets(side.family, access.routes)
    has = [side.family for side in inside]
    mesh4 = [side.network for side in (*inside, *former) if side.family is _IPV4 and side.apart]
    behind4 = [network for peer in node.peers for network in peer.routes if network.version == 4]
    return FirewallView(
        sets=sets,
        policy=access.ingress is not None,
        families=_FAMILIES,
        inside=inside,
        former=former,
        absent=[family for family in _FAMILIES if family not in has],
        endpoints=list(peers),
        called=any(peer.calls for peer in node.peers),
        routes=[
            Behind(family=family, network=network, note=f"behind {peer.name}")
            for family in has
            for peer in node.peers
            for network in peer.routes
            if network.version == family.version
        ],
        own_routes=[
            Behind(family=family, network=each.network, note="behind this node", begins=each.begins)
            for family in has
            for each in access.routes
            if each.network.version == family.version
        ],
        mesh4=mesh4,
        answers=[*mesh4, *behind4] if any(peer.egress for peer in node.peers) else [],
    )


def _former(node: NodePlan, networks: Sequence[IPv4Network | IPv6Network]) -> Iterator[Side]:
    told = list(networks)
    for held in node.overlay.held:
        yield Side(
            family=next(family for family in _FAMILIES if family.version == held.version),
            address=held.ip,
            network=held.network,
            apart=not any(within(held.network, each) for each in told),
        )
        told.append(held.network)


def _plain(values: Sequence[object]) -> list[tuple[str, str]]:
    return [(str(value), "") for value in values]


def _of(family: Family, values: Sequence[_Address]) -> list[_Address]:
    return [value for value in values if value.version == family.version]


def _endpoint_sets(endpoints: Sequence[tuple[str, Endpoint | Unknown]]) -> dict[Family, NamedSet]:
    """Return a set for each family that peers are reached by; the one for IPv4 is there without any, too."""
    found = {
        family: NamedSet(
            name=f"peer_endpoints{family.suffix}",
            type=family.type,
            elements=_plain(list(_hosts(family, endpoints))),
        )
        for family in _FAMILIES
    }
    return {family: each for family, each in found.items() if each.elements or family is _IPV4}


def _hosts(family: Family, endpoints: Sequence[tuple[str, Endpoint | Unknown]]) -> Iterator[str]:
    """Yield the addresses of one family, each of them once: nftables refuses an element that comes twice.

    Several nodes may stand behind one address.
    """
    seen = set()
    for of, endpoint in endpoints:
        if isinstance(endpoint, Unknown):
            if of == family.nfproto:
                yield str(endpoint)
        elif endpoint.address.version == family.version and endpoint.address not in seen:
            seen.add(endpoint.address)
            yield str(endpoint.address)


def _outside_sets(access: AccessPlan) -> list[NamedSet]:
    return [
        *(
            NamedSet(
                name=f"ssh_sources{family.version}",
                type=family.type,
                elements=_plain(_of(family, access.ssh_from)),
            )
            for family in _FAMILIES
        ),
        *(
            NamedSet(
                name=f"public_{protocol}",
                type="inet_service",
                elements=_plain([port.range_text for port in access.public if port.protocol == protocol]),
            )
            for protocol in ("tcp", "udp")
        ),
    ]


def _relay_sets(access: AccessPlan) -> list[NamedSet]:
    """Return the pairs that the node passes packets on for: a set for each family that they have."""
    found = {
        family: [
            (f"{source} . {target}", f"{one.name} to {other.name}")
            for one, other in access.relayed
            for source in _of(family, (*one.addresses, *one.held))
            for target in _of(family, (*other.addresses, *other.held))
        ]
        for family in _FAMILIES
    }
    return [
        NamedSet(name=f"relayed{family.suffix}", type=f"{family.type} . {family.type}", elements=pairs)
        for family, pairs in found.items()
        if pairs
    ]


def _egress_sets(node: NodePlan) -> Iterator[NamedSet]:
    """Yield who reaches the internet over this node, and whom a node with egress takes for a member.

    The allowed IPs of a peer that gives egress hold all addresses that no other peer has.
    """
    users = [(str(one), each.name) for each in node.access.egress for one in _ipv4(each)]
    if users:
        yield NamedSet(name="egress", type=_IPV4.type, elements=users)
    if any(peer.egress for peer in node.peers):
        members: list[PeerPlan | Relayed] = [*node.peers]
        members += (each for peer in node.peers for each in peer.relays)
        known = [(str(one), each.name) for each in members for one in _ipv4(each)]
        yield NamedSet(name="members", type=_IPV4.type, elements=known)


def _ipv4(member: PeerPlan | Relayed) -> list[_Address]:
    return _of(_IPV4, (*member.addresses, *member.held))


def _policy_sets(family: Family, access: AccessPlan, ingress: Sequence[Ingress]) -> list[NamedSet]:
    ssh = NamedSet(
        name=f"mesh_ssh{family.suffix}", type=family.type, elements=_plain(_of(family, access.ssh_mesh))
    )
    granted = [(str(address), each) for each in ingress for address in _of(family, each.addresses)]
    return [ssh, *_granted_sets("mesh", family, family.type, granted)]


def _route_sets(family: Family, routes: Sequence[RoutePlan]) -> list[NamedSet]:
    """Return what members may do to hosts in the networks behind this node: source, network, and port."""
    granted = [
        (f"{address} . {route.network}", each)
        for route in routes
        if route.network.version == family.version
        for each in route.ingress or ()
        for address in _of(family, each.addresses)
    ]
    return _granted_sets("routes", family, f"{family.type} . {family.type}", granted)


def _granted_sets(
    prefix: str, family: Family, type_: str, granted: Sequence[tuple[str, Ingress]]
) -> list[NamedSet]:
    """Return the sets for everything, ICMP, TCP and UDP; `granted` has the element and the grant of each."""

    def named(name: str, elements: Sequence[tuple[str, str]], also: str = "") -> NamedSet:
        return NamedSet(name=f"{prefix}_{name}{family.suffix}", type=f"{type_}{also}", elements=elements)

    def ports(protocol: Literal["tcp", "udp"]) -> NamedSet:
        elements = [
            (f"{text} . {port.range_text}", each.source)
            for text, each in granted
            for port in each.ports
            if port.protocol == protocol
        ]
        return named(protocol, elements, " . inet_service")

    return [
        named("all", [(text, each.source) for text, each in granted if each.everything]),
        named("icmp", [(text, each.source) for text, each in granted if each.icmp]),
        ports("tcp"),
        ports("udp"),
    ]
