"""Names that Pulumi gives the parts of a stack file."""

from typing import Final

__all__ = ["DEFAULT_PROJECT", "MESH", "mesh_key"]

DEFAULT_PROJECT: Final = "wireguard-mesh"
"""The name of this repository's project (Pulumi.yaml): the namespace of the mesh's key."""
MESH: Final = "mesh"


def mesh_key(project: str | None) -> str:
    """Return the key of the mesh below `config` in the stack files of a project."""
    return f"{project or DEFAULT_PROJECT}:{MESH}"
