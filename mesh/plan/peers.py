"""The pairs that a mesh is made of: what one node must know of another one, as far as it can be planned."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

from mesh.plan.links import Links, plan_links
from mesh.plan.mtu import Underlay, underlay_of
from mesh.plan.paths import PUBLIC, Path, path_between
from mesh.settings import Settings
from mesh.settings.addresses6 import derived
from mesh.settings.callers import NO_ENDPOINT
from mesh.settings.egress import egress_of

__all__ = [
    "INTERNET4",
    "PRESHARED_EPOCH",
    "PeerPlan",
    "Relayed",
    "addresses_of",
    "networks_of",
    "oldest_name",
    "plan_peers",
    "routes_of",
]

PRESHARED_EPOCH: Final = 1
"""The version of the pre-shared keys."""

INTERNET4: Final = IPv4Network("0.0.0.0/0")
"""The IPv4 internet, in the allowed IPs of a peer that gives egress."""


@dataclass(frozen=True, kw_only=True)
class Relayed:
    """A node whose packets another one passes on: its name, and its addresses inside the mesh.

    `held` are former ones that it keeps, see `mesh.plan.held`.
    """

    name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    held: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PeerPlan:
    """One node as another one sees it.

    `addresses` are its own inside the mesh, one for each family, `held` former ones that it keeps (see
    `mesh.plan.held`); `allowed_ips` the networks that it may
    send from and is sent to, with its `routes`, the networks behind it; `keepalive` is in seconds (0: off),
    `mtu` the bytes that fit into the tunnel on the way to it, `preshared_epoch` the version of the pair's
    pre-shared key, which is derived from `oldest_name`. A peer that only ever `calls` has no endpoint: nobody
    can say where it calls from. `relays` are the nodes that are reached over this peer: their networks are
    among `allowed_ips`. A peer that gives `egress` has `INTERNET4` there, too, last. `underlay` is what `mtu`
    comes from, None where the stack file gives it. `path` is the way that both ends take to each other.
    A `client` is a device: its side takes no part in a rotation of keys.
    """

    name: str
    oldest_name: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    allowed_ips: tuple[IPv4Network | IPv6Network, ...]
    routes: tuple[IPv4Network | IPv6Network, ...]
    keepalive: int
    mtu: int
    preshared_epoch: int
    calls: bool = False
    relays: tuple[Relayed, ...] = ()
    underlay: Underlay | None = None
    path: Path = PUBLIC
    held: tuple[IPv4Address | IPv6Address, ...] = ()
    egress: bool = False
    client: bool = False


def addresses_of(settings: Settings, name: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return a node's addresses inside the mesh, one for each family that the mesh has."""
    node = settings.nodes[name]
    if settings.cidr6 is None:
        return (node.address,)
    return node.address, node.address6 or derived(node.address, settings.cidr, settings.cidr6)


def networks_of(settings: Settings) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of the mesh, one for each family that the mesh has, IPv4 first."""
    return (settings.cidr,) if settings.cidr6 is None else (settings.cidr, settings.cidr6)


def routes_of(settings: Settings, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks behind a node, in their order, IPv4 first."""
    return tuple(sorted(settings.nodes[name].routes, key=lambda network: (network.version, network)))


def oldest_name(settings: Settings, name: str) -> str:
    """Return the name that a node's pre-shared keys are derived from: its oldest, which never changes."""
    return next(iter(settings.nodes[name].formerly), name)


def plan_peers(settings: Settings) -> dict[str, tuple[PeerPlan, ...]]:
    """Return the peers of every node, both in the order of their addresses: all others that take part.

    Only those to which the node has a tunnel. A node that is not enabled has none.
    """
    links = plan_links(settings)
    order = sorted(settings.nodes, key=lambda name: addresses_of(settings, name))
    members = [name for name in order if settings.nodes[name].enabled]
    return {
        name: tuple(
            _pair(settings, links, members, name, other)
            for other in members
            if links.between(name, other) and links.relay(name, other) is None
        )
        if settings.nodes[name].enabled
        else ()
        for name in order
    }


@lru_cache(maxsize=1024)  # every node has it among its peers' allowed IPs
def _alone(address: IPv4Address | IPv6Address) -> IPv4Network | IPv6Network:
    return ip_network(address)


def _pair(settings: Settings, links: Links, members: Sequence[str], viewer: str, name: str) -> PeerPlan:
    """Return a node as another one, the viewer, sees it; `members` are the nodes that take part."""
    relays = tuple(
        Relayed(name=other, addresses=addresses_of(settings, other))
        for other in (members if links.over(viewer, name) else ())
        if other in links.over(viewer, name)
    )
    addresses = addresses_of(settings, name)
    underlay = underlay_of(settings, viewer, name)
    routes = routes_of(settings, name)
    egress = egress_of(settings, viewer) == name
    return PeerPlan(
        name=name,
        oldest_name=oldest_name(settings, name),
        addresses=addresses,
        allowed_ips=(
            *(
                _alone(address)
                for each in (addresses, *(other.addresses for other in relays))
                for address in each
            ),
            *routes,
            *((INTERNET4,) if egress else ()),
        ),
        routes=routes,
        keepalive=settings.nodes[viewer].keepalive,
        mtu=underlay.inside if settings.mtu == "auto" else settings.mtu,
        preshared_epoch=PRESHARED_EPOCH,
        calls=settings.nodes[name].endpoint == NO_ENDPOINT,
        relays=relays,
        underlay=underlay if settings.mtu == "auto" else None,
        path=path_between(settings, viewer, name) or PUBLIC,
        egress=egress,
    )
