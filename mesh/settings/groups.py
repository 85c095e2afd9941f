"""Which nodes a name stands for in a policy; for the checks of a stack file and for the plan alike."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mesh.settings.names import host_name
from mesh.settings.raw import listed, nodes, read

__all__ = ["EVERY_NODE", "members_by_name", "members_in"]

EVERY_NODE: Final = "all"
"""In `from` and `to` of a policy, and in `links`: every node of the mesh."""


def members_by_name(groups: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return the nodes behind each name, in the order people look for them: groups, nodes, `all`.

    `groups` has the groups of every node.
    """
    found: dict[str, set[str]] = {}
    for node, names in groups.items():
        for name in names:
            found.setdefault(name, set()).add(node)
    return {
        **{name: frozenset(nodes) for name, nodes in found.items()},
        **{node: frozenset([node]) for node in groups},
        EVERY_NODE: frozenset(groups),
    }


def members_in(raw: Mapping[Any, Any]) -> dict[str, frozenset[str]]:
    """Return the nodes behind each name of a raw mesh, as far as groups can be read."""
    return members_by_name(
        {
            name: [group for group in listed(node, "groups") if read(host_name, group) is not None]
            for name, node in nodes(raw).items()
        }
    )
