"""Pure: what the policy comes to between nodes.

Sound on the nodes because every peer has exactly its own address in AllowedIPs: inside the tunnel, a
source address says who sends.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from mesh.plan.links import Links, plan_links
from mesh.plan.peers import addresses_of
from mesh.settings import Grant, PolicyRule, PortRange, Settings, members_by_name, merged

__all__ = ["Ingress", "Policy", "plan_ingress", "plan_policy"]


@dataclass(frozen=True, kw_only=True)
class Ingress:
    """What one node lets another do to it: everything; or ICMP of every kind, and ports.

    `addresses` are those of the other one, one for each family; `ports` are sorted and do not overlap.
    """

    source: str
    addresses: tuple[IPv4Address | IPv6Address, ...]
    everything: bool
    icmp: bool
    ports: tuple[PortRange, ...]

    def allows(self, port: PortRange) -> bool:
        """Whether the other one may use a port."""
        return self.everything or any(each.overlaps(port) for each in self.ports)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules, which nodes each name in them stands for, and which nodes have a link."""

    rules: Sequence[PolicyRule]
    members: Mapping[str, frozenset[str]]
    links: Links

    def between(self, source: str, target: str) -> Iterator[tuple[int, PolicyRule]]:
        """Yield the rules that speak of these two nodes, each with its place in the policy.

        Of nodes without a link, none does.
        """
        if not self.links.between(source, target):
            return
        for index, rule in enumerate(self.rules):
            if self._holds(rule.from_, source) and self._holds(rule.to, target):
                yield index, rule

    def _holds(self, names: Sequence[str], node: str) -> bool:
        return any(node in self.members[name] for name in names)


def plan_policy(settings: Settings) -> Policy | None:
    """Return the policy of a mesh; None without one."""
    if settings.policy is None:
        return None
    groups = {name: node.groups for name, node in settings.nodes.items()}
    return Policy(rules=settings.policy, members=members_by_name(groups), links=plan_links(settings))


def plan_ingress(settings: Settings, policy: Policy | None, target: str) -> tuple[Ingress, ...] | None:
    """Return what each enabled node may do to `target`, in the order of addresses; None without a policy.

    A node that may do nothing (but ICMP echo, which always passes) is left out.
    """
    if policy is None:
        return None
    found = []
    for source, node in settings.nodes.items():
        if source != target and node.enabled:
            granted = [each for _, rule in policy.between(source, target) for each in rule.allow]
            if granted:
                found.append(_ingress(source, addresses_of(settings, source), granted))
    return tuple(sorted(found, key=lambda ingress: ingress.addresses))


def _ingress(
    source: str, addresses: tuple[IPv4Address | IPv6Address, ...], granted: Sequence[Grant]
) -> Ingress:
    everything = "all" in granted
    ports = () if everything else merged(each for each in granted if isinstance(each, PortRange))
    return Ingress(
        source=source,
        addresses=addresses,
        everything=everything,
        icmp="icmp" in granted and not everything,
        ports=ports,  # joined, since nftables refuses a set whose elements overlap
    )
