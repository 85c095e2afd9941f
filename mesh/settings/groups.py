"""Which members a name stands for in a policy; for the checks of a stack file and for the plan alike."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any, Final

from mesh.settings.names import host_name
from mesh.settings.raw import clients as clients_in
from mesh.settings.raw import listed, nodes, read
from mesh.settings.routes import is_network, member, networks_inside, read_routes, routes_by_member

__all__ = ["EVERY_NODE", "members_by_name", "members_in", "named_networks", "policy_members_in"]

EVERY_NODE: Final = "all"
"""In `from` and `to` of a policy, and in `links`: every node of the mesh, and no client."""


def members_by_name(
    groups: Mapping[str, Iterable[str]],
    routes: Mapping[str, Iterable[IPv4Network | IPv6Network]] = MappingProxyType({}),
    networks: Iterable[str] = (),
    clients: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> dict[str, frozenset[str]]:
    """Return the members behind each name, in the order people look for them: groups, nodes, `all`, networks.

    `groups` and `routes` have the groups of every node and the networks behind it; `networks` are those that
    are named. A network behind a node is a member called `10.20.0.0/16 behind gw`. A network that stands for
    no member is left out. `clients` has the groups of every client; `all` is nodes alone.
    """
    everyone = {**groups, **clients}
    found: dict[str, set[str]] = {}
    for node, names in everyone.items():
        for name in names:
            found.setdefault(name, set()).add(node)
    known = routes_by_member(routes)
    inside = {name: networks_inside(name, known) for name in networks}
    return {
        **{name: frozenset(nodes) for name, nodes in found.items()},
        **{node: frozenset([node]) for node in everyone},
        EVERY_NODE: frozenset(groups),
        **{name: members for name, members in inside.items() if members},
    }


def members_in(raw: Mapping[Any, Any]) -> dict[str, frozenset[str]]:
    """Return the members behind each name of a raw mesh, as far as groups and networks can be read."""
    return members_by_name(_groups(nodes(raw)), read_routes(raw), named_networks(_named(raw)))


def policy_members_in(raw: Mapping[Any, Any]) -> dict[str, frozenset[str]]:
    """Return the same with the clients, which the policy can name, too."""
    return members_by_name(
        _groups(nodes(raw)), read_routes(raw), named_networks(_named(raw)), _groups(clients_in(raw))
    )


def _groups(everyone: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        name: [group for group in listed(each, "groups") if read(host_name, group) is not None]
        for name, each in everyone.items()
    }


def _named(raw: Mapping[Any, Any]) -> Iterator[str]:
    """Yield the names in rules and tests that can be read."""
    for rule in listed(raw, "policy"):
        yield from (name for key in ("from", "to") for name in listed(rule, key) if read(member, name))
    for test in listed(raw, "policyTests"):
        if isinstance(test, Mapping):
            yield from (test[key] for key in ("from", "to") if read(member, test.get(key)))


def named_networks(names: Iterable[str]) -> Iterator[str]:
    """Yield those names of a policy that are networks."""
    return (name for name in names if is_network(name))
