"""Pure: former addresses that members of the mesh keep beside new ones, until all nodes know the new ones.

An address inside the mesh is what every node agrees on: in peers, firewall and names. A run that replaced it
at once would cut off all connections of the node, and again each time that only a part of the nodes commits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    collapse_addresses,
    ip_network,
)

from mesh.plan.access import AccessPlan
from mesh.plan.clients import ClientPlan
from mesh.plan.model import MeshPlan, NodePlan
from mesh.plan.peers import INTERNET4, PeerPlan, Relayed
from mesh.plan.policy import Ingress

__all__ = ["Held", "with_held"]

Held = Mapping[str, Sequence[IPv4Interface | IPv6Interface]]
"""By node or client, the former addresses that it keeps, each with the network that it was in."""
_Network = IPv4Network | IPv6Network
_Addresses = tuple[IPv4Address | IPv6Address, ...]


def with_held(plan: MeshPlan, held: Held) -> MeshPlan:
    """Return the plan with former addresses, too, wherever a node sends to them or lets them in.

    A node knows those in a network where it has an address itself: nothing on it can use the others.
    """
    if not any(held.values()):
        return plan
    own: dict[str, _Addresses] = {name: client.addresses for name, client in plan.clients.items()}
    own |= {name: tuple(each.ip for each in node.overlay.addresses) for name, node in plan.nodes.items()}
    return replace(
        plan,
        nodes={name: _node(node, held, own) for name, node in plan.nodes.items()},
        clients={name: _client(client, held) for name, client in plan.clients.items()},
    )


def _node(node: NodePlan, held: Held, present: Mapping[str, _Addresses]) -> NodePlan:
    """Return a node; `present` are the addresses that members have."""
    own = tuple(held.get(node.name, ()))
    networks = [each.network for each in (*node.overlay.addresses, *own)]
    seen = {name: _inside(addresses, networks) for name, addresses in held.items()}
    return replace(
        node,
        overlay=replace(node.overlay, held=own),
        peers=tuple(_peer(peer, seen) for peer in node.peers),
        access=_access(node.access, seen, present),
    )


def _inside(addresses: Iterable[IPv4Interface | IPv6Interface], networks: Iterable[_Network]) -> _Addresses:
    return tuple(each.ip for each in addresses if any(each.ip in network for network in networks))


def _client(client: ClientPlan, held: Held) -> ClientPlan:
    """A device calls nodes by either address, and has its new one with its next configuration."""
    seen = {name: tuple(each.ip for each in addresses) for name, addresses in held.items()}
    return replace(client, peers=tuple(_peer(peer, seen) for peer in client.peers))


def _peer(peer: PeerPlan, seen: Mapping[str, _Addresses]) -> PeerPlan:
    own = seen.get(peer.name, ())
    relays = tuple(_relayed(each, seen) for each in peer.relays)
    more = (*own, *(address for each in relays for address in each.held))
    last = (INTERNET4,) if peer.egress else ()
    return replace(
        peer,
        held=own,
        relays=relays,
        allowed_ips=(
            *(network for network in peer.allowed_ips if network not in last),
            *(ip_network(address) for address in more),
            *last,
        ),
    )


def _relayed(relayed: Relayed, seen: Mapping[str, _Addresses]) -> Relayed:
    return replace(relayed, held=seen.get(relayed.name, ()))


def _access(
    access: AccessPlan, seen: Mapping[str, _Addresses], present: Mapping[str, _Addresses]
) -> AccessPlan:
    sources = [access.ssh_mesh, *(seen[name] for name in seen if _opens_ssh(access, present.get(name, ())))]
    ssh = [ip_network(source) for each in sources for source in each]
    return replace(
        access,
        ssh_mesh=(
            *collapse_addresses(each for each in ssh if isinstance(each, IPv4Network)),
            *collapse_addresses(each for each in ssh if isinstance(each, IPv6Network)),
        ),
        ingress=_granted(access.ingress, seen),
        relayed=tuple((_relayed(one, seen), _relayed(other, seen)) for one, other in access.relayed),
        routes=tuple(replace(each, ingress=_granted(each.ingress, seen)) for each in access.routes),
        egress=tuple(_relayed(each, seen) for each in access.egress),
    )


def _opens_ssh(access: AccessPlan, addresses: _Addresses) -> bool:
    return any(address in network for address in addresses for network in access.ssh_mesh)


def _granted(
    ingress: tuple[Ingress, ...] | None, seen: Mapping[str, _Addresses]
) -> tuple[Ingress, ...] | None:
    if ingress is None:
        return None
    return tuple(replace(each, addresses=(*each.addresses, *seen.get(each.source, ()))) for each in ingress)
