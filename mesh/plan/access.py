"""Who may come in to a node, and what may pass through it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import chain
from typing import Literal

from mesh.plan.links import Links
from mesh.plan.peers import Relayed, addresses_of
from mesh.plan.policy import Ingress, Policy, Source, plan_ingress
from mesh.plan.routes import RoutePlan, plan_routes
from mesh.settings import PortRange, Settings
from mesh.settings.addresses import within
from mesh.settings.egress import egress_of

__all__ = ["AccessPlan", "plan_access"]


@dataclass(frozen=True, kw_only=True)
class AccessPlan:
    """What one node lets in.

    `ssh_port` is TCP, `ssh_from` are networks outside the mesh and `ssh_mesh` those inside it that may open
    SSH, `public` the ports that everybody may use, `ingress` is what peers may do to it (None: everything).
    Packets pass through a node that does `forward`, and reach the networks behind it, its `routes`; `relayed`
    are the ordered pairs of nodes whose packets it passes on inside the mesh, `egress` the nodes that reach
    the IPv4 internet over it.
    """

    ssh_port: int
    ssh_from: tuple[IPv4Network | IPv6Network, ...]
    ssh_mesh: tuple[IPv4Network | IPv6Network, ...]
    authorized_keys: tuple[str, ...]
    public: tuple[PortRange, ...]
    ingress: tuple[Ingress, ...] | None
    trusted_interfaces: tuple[str, ...]
    metadata: Literal["root", "containers"]
    forward: bool
    routes: tuple[RoutePlan, ...] = ()
    relayed: tuple[tuple[Relayed, Relayed], ...] = ()
    egress: tuple[Relayed, ...] = ()

    @property
    def passes_on(self) -> bool:
        """Whether the node forwards packets of others, for whatever reason."""
        return self.forward or bool(self.relayed or self.egress)

    @property
    def passes_on6(self) -> bool:
        """Whether the node forwards IPv6: to networks behind it, or between nodes that it relays.

        `forward` alone does not ask for it: a host that forwards IPv6 ignores router advertisements.
        """
        relayed = (address for pair in self.relayed for each in pair for address in each.addresses)
        return any(each.version == 6 for each in relayed) or any(
            each.network.version == 6 for each in self.routes
        )

    def lets_in(self, source: str, addresses: Iterable[Source], port: PortRange) -> bool:
        """Whether a member reaches a port through the tunnel; `addresses` are its own inside the mesh."""
        if self.ingress is None:
            return True
        granted = self._by_source.get(source)
        if granted is not None and granted.allows(port):
            return True
        return self.ssh_network(addresses, port) is not None

    def ssh_network(self, addresses: Iterable[Source], port: PortRange) -> IPv4Network | IPv6Network | None:
        """Return the network inside the mesh that opens SSH to one of these addresses, if `port` is SSH's."""
        ssh = PortRange(protocol="tcp", first=self.ssh_port, last=self.ssh_port)
        if not ssh.overlaps(port):
            return None
        own = [ip_network(each) for each in addresses]
        return next(
            (network for network in self.ssh_mesh if any(within(each, network) for each in own)), None
        )

    @cached_property
    def _by_source(self) -> Mapping[str, Ingress]:
        return {each.source: each for each in self.ingress or ()}


def plan_access(settings: Settings, policy: Policy | None, links: Links, name: str) -> AccessPlan:
    """Decide who may come in to a node, and what passes through."""
    node = settings.nodes[name]
    ssh_from, ssh_mesh = _ssh_sources(settings)
    return AccessPlan(
        ssh_port=settings.ssh.port,
        ssh_from=ssh_from,
        ssh_mesh=ssh_mesh,
        authorized_keys=settings.ssh.authorized_keys,
        public=tuple(sorted(node.public)),
        ingress=plan_ingress(settings, policy, name),
        trusted_interfaces=tuple(sorted(set(node.trusted_interfaces))),
        metadata=node.metadata,
        forward=node.forward or bool(node.routes),
        routes=plan_routes(settings, policy, name),
        relayed=tuple(_relayed(settings, links, name)),
        egress=tuple(
            Relayed(name=each, addresses=addresses_of(settings, each))
            for each in sorted(settings.nodes, key=lambda each: settings.nodes[each].address)
            if egress_of(settings, each) == name
        ),
    )


def _relayed(settings: Settings, links: Links, name: str) -> Iterator[tuple[Relayed, Relayed]]:
    for one, other in links.relayed_by(name):
        if settings.nodes[one].enabled and settings.nodes[other].enabled and settings.nodes[name].enabled:
            yield (
                Relayed(name=one, addresses=addresses_of(settings, one)),
                Relayed(name=other, addresses=addresses_of(settings, other)),
            )


def _ssh_sources(
    settings: Settings,
) -> tuple[tuple[IPv4Network | IPv6Network, ...], tuple[IPv4Network | IPv6Network, ...]]:
    """Split who may open SSH into networks outside and inside the mesh, each without overlap and sorted.

    What is behind a node comes through the tunnel to all others, and from outside to this one: it is both.
    """
    v4 = [source for source in settings.ssh.from_ if isinstance(source, IPv4Network)]
    v6 = [source for source in settings.ssh.from_ if isinstance(source, IPv6Network)]
    inside = [source for source in v4 if source.subnet_of(settings.cidr)]
    inside6 = [] if settings.cidr6 is None else [one for one in v6 if one.subnet_of(settings.cidr6)]
    outside = [source for source in v4 if source not in inside]
    outside6 = [source for source in v6 if source not in inside6]
    behind = [
        source
        for source in chain[IPv4Network | IPv6Network](outside, outside6)
        if any(within(source, each) for each in _all_routes(settings))
    ]
    both = [*inside, *inside6, *_in_the_other_family(settings, (*inside, *inside6)), *behind]
    return (
        (*collapse_addresses(outside), *collapse_addresses(outside6)),
        (
            *collapse_addresses(one for one in both if isinstance(one, IPv4Network)),
            *collapse_addresses(one for one in both if isinstance(one, IPv6Network)),
        ),
    )


def _in_the_other_family(
    settings: Settings, listed: Sequence[IPv4Network | IPv6Network]
) -> Iterator[IPv4Network | IPv6Network]:
    """Yield the other addresses of the nodes that may open SSH: a name has both, and either is to work."""
    if settings.cidr6 is None:
        return
    if settings.cidr in listed:
        yield settings.cidr6
    for name in settings.nodes:
        own = addresses_of(settings, name)
        if any(each in network for each in own for network in listed):
            yield from map(ip_network, own)


def _all_routes(settings: Settings) -> Iterator[IPv4Network | IPv6Network]:
    return (network for node in settings.nodes.values() for network in node.routes)
