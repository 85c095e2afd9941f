"""Pure: what the policy comes to between nodes.

Sound on the nodes because every peer has exactly its own address, and the networks behind it, in
AllowedIPs: inside the tunnel, a source address says who sends. Of a host in a network behind a node it says
only that this node sent on what claims to come from there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mesh.plan.clients import client_addresses, tunnel_nodes
from mesh.plan.links import Links, plan_links
from mesh.plan.peers import addresses_of, routes_of
from mesh.settings import (
    Grant,
    PolicyRule,
    PortRange,
    Settings,
    in_one_family,
    members_by_name,
    merged,
    named_networks,
    node_of,
)

__all__ = ["Ingress", "Policy", "Source", "members_of", "plan_ingress", "plan_policy"]

Source = IPv4Address | IPv6Address | IPv4Network | IPv6Network
"""What a packet comes from: an address of a node, or a network behind one."""


@dataclass(frozen=True, kw_only=True)
class Ingress:
    """What one member lets another do to it: everything; or ICMP of every kind, and ports.

    A member is a node or a network behind a node. `addresses` are those of the other one, one for each
    family, or its network; `ports` are sorted and do not overlap.
    """

    source: str
    addresses: tuple[Source, ...]
    everything: bool
    icmp: bool
    ports: tuple[PortRange, ...]

    def allows(self, port: PortRange) -> bool:
        """Whether the other one may use a port."""
        return self.everything or any(each.overlaps(port) for each in self.ports)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules, which members each name in them stands for (nodes, networks behind nodes), and the links."""

    rules: Sequence[PolicyRule]
    members: Mapping[str, frozenset[str]]
    links: Links
    clients: frozenset[str] = frozenset()

    def between(self, source: str, target: str) -> Iterator[tuple[int, PolicyRule]]:
        """Yield the rules that speak of these two members, each with its place in the policy.

        Of nodes without a link, and of what is behind them, none does; nor of networks of two families.
        """
        if not in_one_family(source, target):
            return
        ends = node_of(source), node_of(target)
        if source not in self.clients and ends[0] != ends[1] and not self.links.between(*ends):
            return
        for index, rule in enumerate(self.rules):
            if self._holds(rule.from_, source) and self._holds(rule.to, target):
                yield index, rule

    def begins(self, source: str) -> bool:
        """Whether any rule lets a member begin connections."""
        return any(self._holds(rule.from_, source) for rule in self.rules)

    def _holds(self, names: Sequence[str], node: str) -> bool:
        return any(node in self.members[name] for name in names)


def plan_policy(settings: Settings) -> Policy | None:
    """Return the policy of a mesh; None without one."""
    if settings.policy is None:
        return None
    return Policy(
        rules=settings.policy,
        members=members_of(settings),
        links=plan_links(settings),
        clients=frozenset(settings.clients),
    )


def members_of(settings: Settings) -> dict[str, frozenset[str]]:
    """Return which members each name in the policy and in its tests stands for."""
    names = [name for rule in settings.policy or () for name in (*rule.from_, *rule.to)]
    names += [name for test in settings.policy_tests for name in (test.from_, test.to)]
    return members_by_name(
        {name: node.groups for name, node in settings.nodes.items()},
        {name: node.routes for name, node in settings.nodes.items()},
        named_networks(names),
        {name: client.groups for name, client in settings.clients.items()},
    )


def plan_ingress(settings: Settings, policy: Policy | None, target: str) -> tuple[Ingress, ...] | None:
    """Return what each member and client may do to `target`, in the order of addresses.

    None without a policy. Nodes that are not enabled, and what is behind them, are no members. A
    member that may do nothing (but ICMP echo, which always passes) is left out.
    """
    if policy is None:
        return None
    found = []
    for source, addresses in (*_sources(settings), *_clients(settings, target)):
        granted = [each for _, rule in policy.between(source, target) for each in rule.allow]
        if granted and source != target:
            found.append(_ingress(source, addresses, granted))
    return tuple(sorted(found, key=lambda ingress: [_order(each) for each in ingress.addresses]))


def _sources(settings: Settings) -> Iterator[tuple[str, tuple[Source, ...]]]:
    for name, node in settings.nodes.items():
        if node.enabled:
            yield name, addresses_of(settings, name)
            yield from ((f"{network} behind {name}", (network,)) for network in routes_of(settings, name))


def _clients(settings: Settings, target: str) -> Iterator[tuple[str, tuple[Source, ...]]]:
    """Yield the clients that have a tunnel to the node."""
    for name, client in settings.clients.items():
        if client.enabled and node_of(target) in tunnel_nodes(settings, name):
            yield name, client_addresses(settings, name)


def _order(source: Source) -> tuple[int, int]:
    first = source if isinstance(source, IPv4Address | IPv6Address) else source.network_address
    return source.version, int(first)


def _ingress(source: str, addresses: tuple[Source, ...], granted: Sequence[Grant]) -> Ingress:
    everything = "all" in granted
    ports = () if everything else merged(each for each in granted if isinstance(each, PortRange))
    return Ingress(
        source=source,
        addresses=addresses,
        everything=everything,
        icmp="icmp" in granted and not everything,
        ports=ports,  # joined, since nftables refuses a set whose elements overlap
    )
