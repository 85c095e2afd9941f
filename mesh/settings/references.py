"""Groups, policy and rollout: every name must be one there is, and every rule must mean something."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesh.settings.grants import Grant, allowed
from mesh.settings.groups import members_by_name
from mesh.settings.models import EVERY_NODE
from mesh.settings.names import host_name
from mesh.settings.ports import overlap
from mesh.settings.problems import nearest, show
from mesh.settings.raw import Finding, listed, nodes, read

__all__ = ["check_groups", "check_policy", "check_policy_tests", "check_rollout"]


def check_groups(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """A group is made by the nodes that name it; its name must not mean something else."""
    everyone = nodes(raw)
    if EVERY_NODE in everyone:
        yield ("nodes", EVERY_NODE), "means every node in a policy; take another name"
    for name, node in everyone.items():
        groups = listed(node, "groups")
        for index, group in enumerate(groups):
            path = ("nodes", name, "groups", index)
            if group == EVERY_NODE:
                yield path, f"{group} means every node in a policy; take another name"
            elif isinstance(group, str) and group in everyone:
                yield path, f"{group} is the name of a node; give the group another name"
            elif group in groups[:index]:
                yield path, f"{show(group)} is named twice"


def _members(raw: Mapping[Any, Any]) -> dict[str, frozenset[str]]:
    """Return the nodes behind each name, as far as groups can be read."""
    return members_by_name(
        {
            name: [group for group in listed(node, "groups") if read(host_name, group) is not None]
            for name, node in nodes(raw).items()
        }
    )


def check_policy(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Names, ports named twice, rules without effect, rules given twice."""
    members = _members(raw)
    seen: dict[tuple[frozenset[str], ...], int] = {}
    for index, rule in enumerate(listed(raw, "policy")):
        path = ("policy", index)
        yield from _unknown(rule, path, members)
        yield from _ports_twice(listed(rule, "allow"), path)
        ends = [frozenset(map(str, listed(rule, key))) for key in ("from", "to", "allow")]
        if not all(ends):
            continue
        nodes_named = [members.get(name) for name in ends[0] | ends[1]]
        one = set().union(*(names or () for names in nodes_named))
        if None not in nodes_named and len(one) == 1:
            yield path, f"matches nothing: both ends are {min(one)} alone, and a node always reaches itself"
        if tuple(ends) in seen:
            yield path, f"says the same as policy[{seen[tuple(ends)]}]; remove one"
        seen.setdefault(tuple(ends), index)


def _unknown(rule: object, path: tuple[int | str, ...], members: Mapping[str, Any]) -> Iterator[Finding]:
    for key in ("from", "to"):
        names = listed(rule, key)
        for index, name in enumerate(names):
            if read(host_name, name) is None:
                continue
            if name not in members:
                message = f"{name} is neither a group nor a node; {nearest(name, members)}"
                yield (*path, key, index), message
            elif name in names[:index]:
                yield (*path, key, index), f"{name} is named twice"


def _ports_twice(values: list[Any], path: tuple[int | str, ...]) -> Iterator[Finding]:
    seen: list[Grant] = []
    for index, value in enumerate(values):
        port = read(allowed, value)
        if port is None:
            continue
        for other in seen:
            if overlap(port, other):
                yield (*path, "allow", index), f"{port} overlaps {other}; name each port once"
        seen.append(port)


def check_policy_tests(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Names, and tests of a node against itself."""
    members = _members(raw)
    for index, test in enumerate(listed(raw, "policyTests")):
        if not isinstance(test, Mapping):
            continue
        ends = {key: read(host_name, test.get(key)) for key in ("from", "to")}
        for key, name in ends.items():
            if name is not None and name not in members:
                message = f"{name} is neither a group nor a node; {nearest(name, members)}"
                yield ("policyTests", index, key), message
        source, target = ends["from"], ends["to"]
        known = source in members and target in members
        if known and len(members[str(source)] | members[str(target)]) == 1:
            yield ("policyTests", index), "tests a node against itself, but this needs no policy"


def check_rollout(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The canary is a node, and one that takes part."""
    rollout = raw.get("rollout")
    name = read(host_name, rollout.get("canary") if isinstance(rollout, Mapping) else None)
    everyone = nodes(raw)
    if name is None:
        return
    path = ("rollout", "canary")
    if name not in everyone:
        yield path, f"{name} is no node of this mesh; {nearest(name, everyone)}"
    elif isinstance(everyone[name], Mapping) and everyone[name].get("enabled") is False:
        yield (
            path,
            f"{name} is not enabled, so the canary would hold nothing back; name a node that is enabled",
        )
