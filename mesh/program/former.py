"""The names that a node's resources had before the node was renamed: by these the engine finds them again.

Each resource has its own. What Pulumi lets children inherit holds only for the run in which their parent is
renamed: a run that was stopped there would make the rest of the node anew.
"""

import pulumi

from mesh.names import NODE_TYPE, MeshNames
from mesh.plan import MeshPlan, NodePlan
from mesh.program.previous import Previous
from mesh.settings import Problem, SettingsError

__all__ = ["former_names", "former_nodes", "former_parts", "refuse_names_in_use"]


def former_names(plan: MeshPlan) -> dict[str, tuple[str, ...]]:
    """Return the names that nodes had before, by the names that they have now."""
    return {name: node.former for name, node in plan.nodes.items() if node.former}


def refuse_names_in_use(plan: MeshPlan, previous: Previous) -> None:
    """Refuse to rename a node to the name of one that the state still has: it would get the other's server.

    Raises `SettingsError`.
    """
    problems = tuple(
        Problem(
            path=f"mesh.nodes.{name}.formerly",
            message=(
                f"the state has {name} and {had}, each with a server of its own, so {name} cannot take over "
                f"what {had} has. First run `up` with {had} under this name and without {name}: this deletes "
                f"the server that {name} has now, with its disk. Then rename {had}, or choose another name"
            ),
        )
        for name, former in former_names(plan).items()
        for had in former
        if previous.has(NODE_TYPE, name) and previous.has(NODE_TYPE, had)
    )
    if problems:
        raise SettingsError(problems)


def former_nodes(names: MeshNames, node: NodePlan) -> list[pulumi.Alias]:
    """Return what the node itself was called."""
    return [pulumi.Alias(name=names.of(former)) for former in node.former]


def former_parts(names: MeshNames, node: NodePlan, part: str) -> list[pulumi.Alias]:
    """Return what a part of the node was called: one of `STEPS`, a key, a server."""
    return [pulumi.Alias(name=names.part(former, part)) for former in node.former]
