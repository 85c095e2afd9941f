"""Public addresses and private networks: what does not fit, in a mesh whose single values are right."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any, Final, Literal

from mesh.settings.addresses import overlap
from mesh.settings.attached import free_addresses, gateway, network_address
from mesh.settings.base import Model
from mesh.settings.models import Settings
from mesh.settings.names import is_host_name
from mesh.settings.node import Node
from mesh.settings.problems import Told, another_value, nearest, show
from mesh.settings.raw import Finding
from mesh.settings.room import outside

__all__ = ["Family", "check_endpoints", "families_of", "known_addresses"]

Family = Literal["ipv4", "ipv6"]
"""An address family."""

_Free = Mapping[str, Iterator[IPv4Address]]
_OF_OTHERS: Final[tuple[Family, ...]] = ("ipv4",)


def families_of(node: Node) -> tuple[Family, ...]:
    """Return the families of a node's public addresses: what its provider's model says, or else IPv4."""
    found: tuple[Family, ...] = getattr(node, "families", _OF_OTHERS)
    return found


def known_addresses(machine: Model) -> tuple[str, ...]:
    """Return the public addresses of a machine that its model knows: of a server that is there already."""
    found: tuple[str, ...] = getattr(machine, "known_addresses", ())
    return found


def check_endpoints(settings: Settings, raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Yield what cannot be: `raw` says whether a node or the defaults have a value."""
    yield from _networks(settings)
    free = {name: free_addresses(settings, name) for name in settings.networks}
    for name, node in settings.nodes.items():
        yield from _families(settings, name, node)
        yield from _network_of(settings, raw, name, node, free)
    yield from _addresses_twice(settings, free)


def _networks(settings: Settings) -> Iterator[Finding]:
    seen: dict[str, IPv4Network] = {}
    for name, network in settings.networks.items():
        if not is_host_name(name):
            message = (
                f"{show(name)} is not a name: lower-case letters, digits and inner hyphens; write backbone"
            )
            yield ("networks", name), message
        if network.cidr.overlaps(settings.cidr):
            message = (
                f"{network.cidr} overlaps {settings.cidr}, the network of the mesh; take another network"
            )
            yield ("networks", name, "cidr"), message
        for other, known in seen.items():
            if network.cidr.overlaps(known):
                message = f"{network.cidr} overlaps {known} of networks.{other}; take another network"
                yield ("networks", name, "cidr"), message
        for owner, node in settings.nodes.items():
            for route in node.routes:
                if overlap(route, network.cidr):
                    message = (
                        f"{network.cidr} overlaps {route} of nodes.{owner}.routes, which goes through the "
                        f"mesh; take another network, or remove the route"
                    )
                    yield ("networks", name, "cidr"), message
        seen[name] = network.cidr


def _families(settings: Settings, name: str, node: Node) -> Iterator[Finding]:
    families = families_of(node)
    if not families:
        message = (
            "has neither a public IPv4 nor a public IPv6 address, so `up` cannot reach it; write "
            "publicIpv6: true"
        )
        yield ("nodes", name), message
    if families == ("ipv6",) and not any(isinstance(one, IPv6Network) for one in settings.ssh.from_):
        message = (
            f"has no IPv6 network, but {name} has only a public IPv6 address: nobody could open SSH to it; "
            f"list your IPv6 network, or ::/0"
        )
        yield ("ssh", "from"), message


def _network_of(
    settings: Settings, raw: Mapping[Any, Any], name: str, node: Node, free: _Free
) -> Iterator[Finding]:
    if node.network is None:
        if node.network_address is not None:
            message = "is an address in a private network, but the node has no `network`; name one"
            yield ("nodes", name, "networkAddress"), message
        return
    if node.network not in settings.networks:
        near = nearest(node.network, settings.networks) if settings.networks else "write its cidr there"
        yield _given_at(raw, name, "network"), f"{node.network} is not in mesh.networks; {near}"
        return
    refusal = _refused(settings, name, node.network)
    if refusal is not None:
        yield ("nodes", name, "networkAddress"), _with_free(free, node.network, refusal)


def _given_at(raw: Mapping[Any, Any], name: str, key: str) -> tuple[str, ...]:
    """Return where a node's value is given: with the node, or among the defaults."""
    own = raw["nodes"].get(name)
    return ("nodes", name, key) if isinstance(own, Mapping) and key in own else ("defaults", key)


def _refused(settings: Settings, name: str, network: str) -> str | None:
    cidr = settings.networks[network].cidr
    own = network_address(settings, name)
    if own is None:
        return f"is missing: the host part of {settings.nodes[name].address} does not fit into {cidr}"
    reason = outside(own, cidr)
    if reason is None and own == gateway(settings.networks[network]):
        reason = f"{own} is the first address of {cidr}, which its gateway has"
    if reason is None or settings.nodes[name].network_address:
        return reason
    return f"is missing, and the host part of {settings.nodes[name].address} cannot be used: {reason}"


def _with_free(free: _Free, network: str, refusal: str) -> str | Told:
    found = next(free[network], None)
    if found is None:
        return f"{refusal}; no address of {network} is free: give {network} a wider cidr"
    return Told(f"{refusal}; write networkAddress: {found}, which is free", another_value(str(found)))


def _addresses_twice(settings: Settings, free: _Free) -> Iterator[Finding]:
    owner: dict[tuple[str, IPv4Address], str] = {}
    for name, node in settings.nodes.items():
        own = network_address(settings, name)
        if own is None or node.network is None:
            continue
        first = owner.setdefault((node.network, own), name)
        if first != name:
            refusal = f"{own} is already the address of {first} in {node.network}"
            yield ("nodes", name, "networkAddress"), _with_free(free, node.network, refusal)
