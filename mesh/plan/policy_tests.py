"""Pure: whether the tests of the policy hold, asked of what the nodes enforce."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.plan.access import AccessPlan, plan_access
from mesh.plan.clients import client_addresses, tunnel_nodes
from mesh.plan.links import Links, plan_links
from mesh.plan.peers import addresses_of
from mesh.plan.policy import Policy, Source, members_of, plan_policy
from mesh.settings import (
    PolicyRule,
    PolicyTest,
    PortRange,
    Problem,
    Settings,
    in_one_family,
    node_of,
    overlap,
)
from mesh.settings.problems import path_text

__all__ = ["PlanError", "check_policy_tests"]

_LINK: Final = "add [{}, {}] to links, or change the test"


class PlanError(Exception):
    """The settings are right, but do not come to what their tests say; `problems` has the place of each."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "1 test" if len(problems) == 1 else f"{len(problems)} tests"
        super().__init__(
            f"{count} of the policy failed; nothing was changed:\n"
            + "\n".join(f"  {problem}" for problem in problems)
        )


_EVERYBODY: Final = "every node reaches every other node"


@dataclass(frozen=True, kw_only=True)
class _Mesh:
    """All nodes as they would be if every one of them were enabled, and the policy that made them so."""

    settings: Settings
    policy: Policy | None
    links: Links
    access: Mapping[str, AccessPlan]


def check_policy_tests(settings: Settings) -> None:
    """Evaluate the policy's tests, as if every node were enabled.

    Raises `PlanError` that names, for each test that fails, the first pair of nodes and what decided.
    """
    if not settings.policy_tests:
        return
    names = members_of(settings)
    mesh = _enabled(settings)
    failures = []
    for index, test in enumerate(settings.policy_tests):
        failure = _failure(
            mesh, sorted(names[test.from_]), sorted(names[test.to] - set(settings.clients)), test
        )
        if failure is not None:
            place = ("policyTests", index)
            failures.append(Problem(path=path_text("mesh", place), message=failure, place=place))
    if failures:
        raise PlanError(tuple(failures))


def _enabled(settings: Settings) -> _Mesh:
    nodes = {name: node.model_copy(update={"enabled": True}) for name, node in settings.nodes.items()}
    clients = {name: each.model_copy(update={"enabled": True}) for name, each in settings.clients.items()}
    everyone = settings.model_copy(update={"nodes": nodes, "clients": clients})
    policy, links = plan_policy(everyone), plan_links(everyone)
    return _Mesh(
        settings=everyone,
        policy=policy,
        links=links,
        access={name: plan_access(everyone, policy, links, name) for name in nodes},
    )


def _failure(mesh: _Mesh, sources: Sequence[str], targets: Sequence[str], test: PolicyTest) -> str | None:
    for source in sources:
        for target in targets:
            if source == target:
                continue
            granted = _granted(mesh, source, target, test.port)
            if granted != (test.expect == "allow"):
                word = "may" if granted else "may not"
                reason = _reason(mesh, source, target, test.port)
                said = f"expected {test.expect}, but {source} {word} reach {target} on {test.port}: {reason}"
                return f"{said}; {_remedy(mesh, source, target, granted)}"
    return None


def _linked(mesh: _Mesh, source: str, target: str) -> bool:
    """Whether the way from one member to the other is there: a tunnel, or none is needed."""
    ends = node_of(source), node_of(target)
    if source in mesh.settings.clients:
        return ends[1] in tunnel_nodes(mesh.settings, source)
    return ends[0] == ends[1] or mesh.links.between(*ends)


def _granted(mesh: _Mesh, source: str, target: str, port: PortRange) -> bool:
    node = node_of(target)
    if not _linked(mesh, source, target) or not in_one_family(source, target):
        return False
    if node == target:
        return mesh.access[node].lets_in(source, _addresses(mesh, source), port)
    if node == node_of(source):
        return True  # what is behind one node reaches each other without the mesh
    ingress = next(each.ingress for each in mesh.access[node].routes if each.member == target)
    return ingress is None or any(each.source == source and each.allows(port) for each in ingress)


def _addresses(mesh: _Mesh, member: str) -> tuple[Source, ...]:
    node = node_of(member)
    if member in mesh.settings.clients:
        return client_addresses(mesh.settings, member)
    if node == member:
        return addresses_of(mesh.settings, node)
    return tuple(each.network for each in mesh.access[node].routes if each.member == member)


def _remedy(mesh: _Mesh, source: str, target: str, granted: bool) -> str:  # noqa: FBT001 - what was found
    if not in_one_family(source, target):
        return "change the test"
    if not _linked(mesh, source, target) and source in mesh.settings.clients:
        return f"add {node_of(target)} to mesh.clients.{source}.to, or change the test"
    if not _linked(mesh, source, target):
        return _LINK.format(node_of(source), node_of(target))
    if mesh.policy is None:
        return "write a policy, or change the test"
    return f"change {'what allows it' if granted else 'a rule'}, or the test"


def _reason(mesh: _Mesh, source: str, target: str, port: PortRange) -> str:
    """Say what decided, in the words of the stack file."""
    if not in_one_family(source, target):
        return "one has IPv4 alone, the other one IPv6"
    if not _linked(mesh, source, target):
        if source in mesh.settings.clients:
            return f"{source} has no tunnel to {node_of(target)} (mesh.clients.{source}.to)"
        return f"mesh.links has no link between {node_of(source)} and {node_of(target)}"
    if mesh.policy is None:
        everybody = "every client reaches its nodes" if source in mesh.settings.clients else _EVERYBODY
        return f"there is no policy, so {everybody}"
    return _by_rule(mesh, mesh.policy, source, target, port)


def _by_rule(mesh: _Mesh, policy: Policy, source: str, target: str, port: PortRange) -> str:
    for index, rule in policy.between(source, target):
        if any(overlap(each, port) for each in rule.allow):
            return f"mesh.policy[{index}] allows it ({_words(rule)})"
    if node_of(source) == node_of(target) != target:
        return f"{target} is reached from there without the mesh"
    network = mesh.access[node_of(target)].ssh_network(_addresses(mesh, source), port)
    if network is not None and node_of(target) == target:
        return f"mesh.ssh.from allows it ({network})"
    return "no rule of mesh.policy allows it"


def _words(rule: PolicyRule) -> str:
    granted = ", ".join(str(each) for each in rule.allow)
    return f"from {', '.join(rule.from_)} to {', '.join(rule.to)}: {granted}"
