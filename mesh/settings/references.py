"""Groups, policy and rollout: every name must be one there is, and every rule must mean something."""

from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import Any

from mesh.leaks import has_secret
from mesh.settings.grants import Grant, allowed
from mesh.settings.groups import EVERY_NODE, policy_members_in
from mesh.settings.meant import plain
from mesh.settings.names import host_name, is_host_name
from mesh.settings.ports import overlap, overlapping
from mesh.settings.problems import REMOVED, Told, another_value, nearest, nearest_of, show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.routes import (
    in_one_family,
    is_network,
    member,
    read_routes,
    routes_by_member,
    unknown_network,
)

__all__ = [
    "check_former_names",
    "check_groups",
    "check_policy",
    "check_policy_tests",
    "check_rollout",
    "named",
]


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
                yield path, _twice(show(group))


def check_former_names(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Keys are made with former names, and servers are found by them: each belongs to one node for good."""
    everyone = nodes(raw)
    owner: dict[str, str] = {}
    for name, node in everyone.items():
        former = listed(node, "formerly")
        for index, had in enumerate(former):
            path = ("nodes", name, "formerly", index)
            if read(host_name, had) is None:
                continue
            if had in former[:index]:
                yield path, _twice(had)
            elif had != name and had in everyone:
                message = (
                    f"{had} is the name of another node, but the keys of {name} are made with this name; "
                    f"give the other node a new name"
                )
                yield path, message
            elif owner.setdefault(had, name) != name:
                yield (
                    path,
                    Told(f"{had} is already a former name of {owner[had]}; remove it here", (REMOVED,)),
                )


def check_policy(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Names, ports named twice, rules without effect, rules given twice."""
    members = policy_members_in(raw)
    seen: dict[tuple[frozenset[str], ...], int] = {}
    for index, rule in enumerate(listed(raw, "policy")):
        path = ("policy", index)
        yield from _unknown(rule, path, members, raw)
        yield from _ports_twice(listed(rule, "allow"), path)
        ends = [frozenset(map(str, listed(rule, key))) for key in ("from", "to", "allow")]
        if not all(ends):
            continue
        nodes_named = [members.get(name) for name in ends[0] | ends[1]]
        one = set().union(*(names or () for names in nodes_named))
        if None not in nodes_named and len(one) == 1:
            alone = f"both ends are {min(one)} alone, and a node always reaches itself"
            if any(is_network(name) for name in ends[0]):
                alone = f"both ends are {min(one)}, and hosts there reach each other without the mesh"
            message = f"matches nothing: {alone}; remove the rule, or name another node"
            yield path, Told(message, (REMOVED,))
        elif None not in nodes_named and not _in_one_family(rule, members):
            message = (
                "matches nothing: one end has IPv4 alone, the other one IPv6; remove the rule, or name "
                "networks of the same family, or nodes"
            )
            yield path, Told(message, (REMOVED,))
        if tuple(ends) in seen:
            yield path, Told(f"says the same as policy[{seen[tuple(ends)]}]; remove one", (REMOVED,))
        seen.setdefault(tuple(ends), index)


def _in_one_family(rule: object, members: Mapping[str, frozenset[str]]) -> bool:
    """Whether packets can go between any two members that a rule names."""
    sources, targets = (
        frozenset[str]().union(*(members[str(name)] for name in listed(rule, key))) for key in ("from", "to")
    )
    return any(in_one_family(one, other) for one, other in product(sources, targets))


def _unknown(
    rule: object, path: tuple[int | str, ...], members: Mapping[str, Any], raw: Mapping[Any, Any]
) -> Iterator[Finding]:
    for key in ("from", "to"):
        names = listed(rule, key)
        for index, name in enumerate(names):
            if read(member, name) is None:
                continue
            if name not in members:
                yield (*path, key, index), _nobody(name, members, names, raw)
            elif name in names[:index]:
                yield (*path, key, index), _twice(name)


def _ports_twice(values: list[Any], path: tuple[int | str, ...]) -> Iterator[Finding]:
    seen: list[Grant] = []
    for index, value in enumerate(values):
        port = read(allowed, value)
        if port is None:
            continue
        for other in seen:
            if overlap(port, other):
                yield (*path, "allow", index), overlapping(port, other)
        seen.append(port)


def named(value: object, told: Told, members: Collection[str]) -> Told:
    """Say of what is no name at all which of the names that there are is meant."""
    inner = value[0] if isinstance(value, list) and len(value) == 1 else value
    given = str(inner)
    if not isinstance(inner, str | int) or isinstance(inner, bool) or has_secret(given):
        return Told(told.text)
    if is_network(given):
        return told
    near = nearest_of(plain(given), members)
    said = told.text.partition(": write ")[0].partition("; ")[0]
    return Told(f"{said}; {nearest(plain(given), members)}", another_value(near) if near else ())


def _nobody(name: str, members: Mapping[str, Any], beside: list[Any], raw: Mapping[Any, Any]) -> Told:
    """Say that a name is nobody's; the near one can be written, unless it stands beside already."""
    if is_network(name):
        return unknown_network(name, routes_by_member(read_routes(raw)))
    near = nearest_of(name, members)
    message = f"{name} is neither a group nor a node; {nearest(name, members)}"
    return Told(message, another_value(near) if near and near not in beside else ())


def _twice(shown: str) -> Told:
    return Told(f"{shown} is named twice; remove one", (REMOVED,))


def _enabled(node: object) -> bool:
    return not (isinstance(node, Mapping) and node.get("enabled") is False)


def check_policy_tests(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Names, and tests of a node against itself."""
    members = policy_members_in(raw)
    for index, test in enumerate(listed(raw, "policyTests")):
        if not isinstance(test, Mapping):
            continue
        ends = {key: read(member, test.get(key)) for key in ("from", "to")}
        for key, name in ends.items():
            if name is not None and name not in members:
                beside = [test.get("from"), test.get("to")]
                yield ("policyTests", index, key), _nobody(name, members, beside, raw)
        source, target = ends["from"], ends["to"]
        known = source in members and target in members
        if known and len(members[str(source)] | members[str(target)]) == 1:
            message = "tests a node against itself, but this needs no policy; remove the test"
            yield ("policyTests", index), Told(message, (REMOVED,))


def check_rollout(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The canary is a node, and one that takes part."""
    rollout = raw.get("rollout")
    name = read(host_name, rollout.get("canary") if isinstance(rollout, Mapping) else None)
    everyone = nodes(raw)
    if name is None or not everyone:
        return
    path = ("rollout", "canary")
    if name not in everyone:
        near = nearest_of(name, everyone)
        message = f"{name} is no node of this mesh; {nearest(name, everyone)}"
        yield (
            path,
            Told(
                message,
                another_value(near) if near and is_host_name(near) and _enabled(everyone[near]) else (),
            ),
        )
    elif not _enabled(everyone[name]):
        why = "revoked" if everyone[name].get("revoked") is True else "not enabled"
        yield (
            path,
            f"{name} is {why}, so the canary would hold nothing back; name a node that is enabled",
        )
