"""A stack's outputs, as the commands of day two need them."""

from collections.abc import Mapping

from mesh.cli.engine import CliError, ask
from mesh.outputs import MeshOutputs, NodeOutputs, OutputsError, parse_outputs

__all__ = ["NOT_MADE", "node_of", "read_outputs"]

NOT_MADE = "not made yet: run `up` again"
"""What is said of a node in `MeshOutputs.unmade`."""


def read_outputs(pulumi: str, stack: str | None, mesh: str | None = None) -> MeshOutputs:
    """Ask the engine for the outputs of one mesh of a stack.

    `pulumi` is the engine's command line as a shell would read it, `stack` the stack's name; None
    for the one that is selected. `mesh` names the mesh, where a stack has several. Raises `CliError`.
    """
    outputs = ask(pulumi, stack, "stack", "output", "--json", "--show-secrets", what="outputs")
    try:
        return _chosen(parse_outputs(outputs), mesh)
    except OutputsError as error:
        raise CliError(str(error)) from None


def _chosen(meshes: Mapping[str, MeshOutputs], name: str | None) -> MeshOutputs:
    known = ", ".join(sorted(meshes))
    if name is None:
        if len(meshes) > 1:
            raise CliError(f"the stack has several meshes: name one with --mesh, of {known}")
        return next(iter(meshes.values()))
    if name not in meshes:
        raise CliError(f"the stack has no mesh {name!r}; it has {known}")
    return meshes[name]


def node_of(mesh: MeshOutputs, name: str) -> NodeOutputs:
    """Return one node. Raises `CliError` for one that is not made, or lists the nodes there are."""
    if name in mesh.unmade:
        raise CliError(f"{name}: {NOT_MADE}")
    if name not in mesh.nodes:
        known = ", ".join([*mesh.nodes, *mesh.unmade])
        raise CliError(f"{name!r} is not a node of this stack; it has {known}")
    return mesh.nodes[name]
