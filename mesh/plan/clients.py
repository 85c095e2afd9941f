"""Clients: the nodes that each device calls, and what a node must know of the devices that call."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final

from mesh.plan.peers import PRESHARED_EPOCH, PeerPlan, addresses_of, oldest_name, routes_of
from mesh.settings import Settings, members_by_name
from mesh.settings.addresses6 import derived

__all__ = ["CLIENT_MTU", "ClientPlan", "client_addresses", "plan_clients", "tunnel_nodes", "with_clients"]

# IPv6's minimum link MTU (RFC 8200, 5): the smallest that wg-quick and every platform's app take, and with
# WireGuard's 80 bytes it fits where mobile networks, PPPoE and tunnels of others carry less than 1500.
CLIENT_MTU: Final = 1280
"""Bytes that fit into the tunnel of a device which may be anywhere."""

# Opens NAT and stateful firewalls in time (wireguard.com/quickstart, "NAT and Firewall Traversal").
_KEEPALIVE: Final = 25


@dataclass(frozen=True, kw_only=True)
class ClientPlan:
    """One device: `addresses` are its own inside the mesh, `peers` the nodes that it calls, as it sees them.

    `public_key` (base64) is of a key made on the device; None asks for a generated one. One that is not
    `enabled` has no peers and is nobody's. `mtu` in bytes.
    """

    name: str
    oldest_name: str
    enabled: bool
    addresses: tuple[IPv4Address | IPv6Address, ...]
    public_key: str | None
    mtu: int
    peers: tuple[PeerPlan, ...]


def client_addresses(settings: Settings, name: str) -> tuple[IPv4Address | IPv6Address, ...]:
    """Return a client's addresses inside the mesh, one for each family that the mesh has."""
    address = settings.clients[name].address
    if settings.cidr6 is None:
        return (address,)
    return address, derived(address, settings.cidr, settings.cidr6)


def tunnel_nodes(settings: Settings, name: str) -> frozenset[str]:
    """Return the nodes that a client has tunnels to, whether they are enabled or not."""
    members = members_by_name({node: each.groups for node, each in settings.nodes.items()})
    return frozenset().union(*(members[each] for each in settings.clients[name].to))


def plan_clients(settings: Settings) -> dict[str, ClientPlan]:
    """Return the clients in the order of their addresses."""
    order = sorted(settings.clients, key=lambda name: client_addresses(settings, name))
    return {name: _client(settings, name) for name in order}


def with_clients(
    settings: Settings, viewer: str, peers: Sequence[PeerPlan], mtu: int
) -> tuple[PeerPlan, ...]:
    """Return a node's peers with the clients that call it among them, in the order of their addresses.

    `mtu` is that of the node's interface: what fits on the way to a device, its own MTU tells the node.
    """
    if not settings.nodes[viewer].enabled:
        return tuple(peers)
    callers = [
        _caller(settings, name, mtu)
        for name, client in settings.clients.items()
        if client.enabled and viewer in tunnel_nodes(settings, name)
    ]
    if not callers:
        return tuple(peers)
    return tuple(sorted((*peers, *callers), key=lambda peer: peer.addresses))


def _caller(settings: Settings, name: str, mtu: int) -> PeerPlan:
    """Return a client as its nodes see it; the client's own side keeps the way open (keepalive)."""
    addresses = client_addresses(settings, name)
    return PeerPlan(
        name=name,
        oldest_name=_oldest_name(name),
        addresses=addresses,
        allowed_ips=tuple(ip_network(address) for address in addresses),
        keepalive=0,
        mtu=mtu,
        routes=(),
        preshared_epoch=PRESHARED_EPOCH,
        calls=True,
        client=True,
    )


def _client(settings: Settings, name: str) -> ClientPlan:
    client = settings.clients[name]
    return ClientPlan(
        name=name,
        oldest_name=_oldest_name(name),
        enabled=client.enabled,
        addresses=client_addresses(settings, name),
        public_key=client.public_key,
        mtu=CLIENT_MTU,
        peers=tuple(_called(settings, name)) if client.enabled else (),
    )


def _called(settings: Settings, client: str) -> Iterator[PeerPlan]:
    """Yield the nodes that a client calls, as it sees them, in the order of their addresses."""
    called = [name for name in tunnel_nodes(settings, client) if settings.nodes[name].enabled]
    for name in sorted(called, key=lambda name: addresses_of(settings, name)):
        addresses = addresses_of(settings, name)
        yield PeerPlan(
            name=name,
            oldest_name=oldest_name(settings, name),
            addresses=addresses,
            allowed_ips=(*(ip_network(address) for address in addresses), *routes_of(settings, name)),
            routes=routes_of(settings, name),
            keepalive=_KEEPALIVE,
            mtu=CLIENT_MTU,
            preshared_epoch=PRESHARED_EPOCH,
        )


def _oldest_name(name: str) -> str:
    """Return what a client's pre-shared keys are derived from: no node ever has a colon in its name."""
    return f"client:{name}"
