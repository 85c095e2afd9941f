"""Pure: names in the cloud that a mesh needs and others have; several stacks may share a project."""

from collections.abc import Iterator, Mapping

from mesh.names import FIRST_MESH, MeshNames
from mesh.program.machines.hetzner.api import MESH_LABEL, STACK_LABEL
from mesh.settings import Problem

__all__ = ["is_of", "owner", "taken"]

Labels = Mapping[str, str]


def is_of(labels: Labels, stack: str, names: MeshNames) -> bool:
    """Whether the labels of something in the cloud are those of a mesh of a stack."""
    return labels.get(STACK_LABEL) == stack and labels.get(MESH_LABEL, FIRST_MESH) == names.mesh


def owner(labels: Labels) -> str:
    """Say whose something in the cloud is, by its labels."""
    stack, mesh = labels.get(STACK_LABEL), labels.get(MESH_LABEL)
    if stack is None:
        return "no stack"
    return f"the stack {stack}" if mesh is None else f"the mesh {mesh} of the stack {stack}"


def taken(
    wanted: Mapping[str, str], there: Mapping[str, Labels], stack: str, names: MeshNames
) -> Iterator[Problem]:
    """Yield what others have: `wanted` is each new node's name in the cloud, `there` the labels by name.

    Two stacks can come to one name, as `pr` with the node `1-web` and `pr-1` with `web`. Upper and lower case
    are the same in a host name.
    """
    known = {name.lower(): (name, labels) for name, labels in there.items()}
    for node, name in wanted.items():
        found, labels = known.get(name.lower(), (name, None))
        if labels is None or is_of(labels, stack, names):
            continue
        yield Problem(
            path=f"mesh.nodes.{node}",
            message=(
                f"the server would be called {name}, and the cloud already has the server {found}, which "
                f"belongs to {owner(labels)}; give the node another name, or rename the stack: `pulumi stack "
                f"rename`"
            ),
        )
