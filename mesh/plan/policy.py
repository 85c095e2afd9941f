"""Pure: what the policy comes to between nodes, and whether its tests hold.

Sound on the nodes because every peer has exactly its own address in AllowedIPs: inside the tunnel, a
source address says who sends.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, collapse_addresses
from typing import Literal

from mesh.settings import EVERY_NODE, PolicyRule, PolicyTest, PortRange, Settings

__all__ = ["Ingress", "PlanError", "check_policy_tests", "plan_ingress", "ssh_sources"]


class PlanError(Exception):
    """The settings are right, but what they come to is not what they say it must; the message names where."""


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


def plan_ingress(settings: Settings, target: str) -> tuple[Ingress, ...] | None:
    """Return what each enabled node may do to `target`, in the order of addresses; None without a policy.

    A node that may do nothing (but ICMP echo, which always passes) is left out.
    """
    if settings.policy is None:
        return None
    members = _members(settings)
    found = []
    for source, node in settings.nodes.items():
        if source != target and node.enabled:
            rules = _rules_between(settings.policy, members, source, target)
            granted = [each for rule in rules.values() for each in rule.allow]
            if granted:
                found.append(_ingress(source, (node.address,), granted))
    return tuple(sorted(found, key=lambda ingress: ingress.addresses))


def _members(settings: Settings) -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for name, node in settings.nodes.items():
        for group in (name, EVERY_NODE, *node.groups):
            groups.setdefault(group, set()).add(name)
    return {group: frozenset(names) for group, names in groups.items()}


def _holds(members: Mapping[str, frozenset[str]], names: Iterable[str], node: str) -> bool:
    return any(node in members[name] for name in names)


def _rules_between(
    policy: Sequence[PolicyRule], members: Mapping[str, frozenset[str]], source: str, target: str
) -> dict[int, PolicyRule]:
    """Return the rules that speak of these two nodes, by their place in the policy."""
    return {
        index: rule
        for index, rule in enumerate(policy)
        if _holds(members, rule.from_, source) and _holds(members, rule.to, target)
    }


def ssh_sources(
    settings: Settings,
) -> tuple[tuple[IPv4Network | IPv6Network, ...], tuple[IPv4Network, ...]]:
    """Split who may open SSH into networks outside and inside the mesh, each without overlap and sorted."""
    v4 = [source for source in settings.ssh.from_ if isinstance(source, IPv4Network)]
    inside = [source for source in v4 if source.subnet_of(settings.cidr)]
    outside = [source for source in v4 if source not in inside]
    v6 = [source for source in settings.ssh.from_ if isinstance(source, IPv6Network)]
    return (*collapse_addresses(outside), *collapse_addresses(v6)), tuple(collapse_addresses(inside))


def _ingress(
    source: str,
    addresses: tuple[IPv4Address | IPv6Address, ...],
    granted: Sequence[PortRange | Literal["icmp", "all"]],
) -> Ingress:
    if "all" in granted:
        return Ingress(source=source, addresses=addresses, everything=True, icmp=False, ports=())
    ports = [each for each in granted if isinstance(each, PortRange)]
    return Ingress(
        source=source,
        addresses=addresses,
        everything=False,
        icmp="icmp" in granted,
        ports=tuple(_merged(ports)),
    )


def _merged(ports: Iterable[PortRange]) -> Iterator[PortRange]:
    """Join ranges that overlap or touch, since nftables refuses a set whose elements overlap."""
    last: PortRange | None = None
    for port in sorted(ports, key=lambda port: (port.protocol, port.first)):
        if last is not None and last.protocol == port.protocol and port.first <= last.last + 1:
            last = PortRange(protocol=last.protocol, first=last.first, last=max(last.last, port.last))
            continue
        if last is not None:
            yield last
        last = port
    if last is not None:
        yield last


def check_policy_tests(settings: Settings) -> None:
    """Evaluate the policy's tests, as if every node were enabled.

    Raises `PlanError` that names, for each test that fails, the first pair of nodes and what decided.
    """
    members = _members(settings)
    failures = []
    for index, test in enumerate(settings.policy_tests):
        failure = _failure(settings, members, test)
        if failure is not None:
            failures.append(f"mesh.policyTests[{index}]: {failure}")
    if failures:
        count = "1 test" if len(failures) == 1 else f"{len(failures)} tests"
        raise PlanError(
            f"{count} of the policy failed, nothing was changed:\n"
            + "\n".join(f"  {failure}" for failure in failures)
        )


def _failure(settings: Settings, members: Mapping[str, frozenset[str]], test: PolicyTest) -> str | None:
    for source in sorted(members[test.from_]):
        for target in sorted(members[test.to]):
            if source == target:
                continue
            granted, reason = _decide(settings, members, source, target, test.port)
            if granted != (test.expect == "allow"):
                word = "may" if granted else "may not"
                return f"expected {test.expect}, but {source} {word} reach {target} on {test.port}: {reason}"
    return None


def _decide(
    settings: Settings, members: Mapping[str, frozenset[str]], source: str, target: str, port: PortRange
) -> tuple[bool, str]:
    """Return whether a node reaches another on a port, and what says so."""
    if settings.policy is None:
        return True, "there is no policy, so every node reaches every other one"
    for index, rule in _rules_between(settings.policy, members, source, target).items():
        if any(_covers(each, port) for each in rule.allow):
            return True, f"mesh.policy[{index}] allows it ({_words(rule)})"
    is_ssh = port.protocol == "tcp" and port.first == settings.ssh.port
    for network in ssh_sources(settings)[1] if is_ssh else ():
        if settings.nodes[source].address in network:
            return True, f"mesh.ssh.from allows it ({network})"
    return False, "no rule of mesh.policy allows it"


def _covers(granted: PortRange | Literal["icmp", "all"], port: PortRange) -> bool:
    return granted == "all" or (isinstance(granted, PortRange) and granted.overlaps(port))


def _words(rule: PolicyRule) -> str:
    granted = ", ".join(str(each) for each in rule.allow)
    return f"from {', '.join(rule.from_)} to {', '.join(rule.to)}: {granted}"
