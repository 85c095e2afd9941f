"""Which nodes a name stands for in a policy; for the checks of a stack file and for the plan alike."""

from collections.abc import Iterable, Mapping

from mesh.settings.models import EVERY_NODE

__all__ = ["members_by_name"]


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
