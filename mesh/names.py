"""What two rooms share: the names of a mesh's resources and outputs, where the agent lies, what it answers.

Imports no other room. The node's side has its own copies (`mesh/host` is shipped alone); tests compare them.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "AGENT",
    "AGENT_FILE",
    "AGENT_FOLDER",
    "APPLY",
    "BOOTSTRAP",
    "COMMAND",
    "COPY",
    "DIRECTORY",
    "DONE_BY",
    "FIRST_MESH",
    "GENERATIONS",
    "HOST_KEY",
    "IDENTITY",
    "INCOMING",
    "INSTALL",
    "INTERFACE",
    "KEYS",
    "LEAVE",
    "MANAGEMENT_KEY",
    "MESH_TYPE",
    "NODE_TYPE",
    "OWN_KEY",
    "PRESHARED_ROOT",
    "RECONNECT_STATUS",
    "RECONNECT_TRIES",
    "ROTATION",
    "STASH",
    "STEPS",
    "VERSION",
    "MeshNames",
    "cloud_firewall",
    "in_a_mesh",
    "name_in_urn",
    "node_and_step",
]

VERSION: Final = "0.1.0"
"""Of wireguard-mesh, as in pyproject.toml."""

AGENT_FOLDER: Final = "/usr/local/lib/wgmesh"
"""Where the agent lies on a node."""
AGENT: Final = f"{AGENT_FOLDER}/wgmesh.pyz"
INCOMING: Final = f"{AGENT_FOLDER}/incoming.pyz"
"""Where a new one is put, until it has installed itself."""

INTERFACE: Final = "wg0"
"""The tunnel's interface on a node."""

RECONNECT_STATUS: Final = 75
"""By this exit code `apply` asks to be called again over a new connection (docs/protocol.md)."""
RECONNECT_TRIES: Final = 12
"""Connections for one `apply` beyond the first. One is the rule.

Each stands for up to 20 s of waiting on the node, so this outlasts any trial.
"""

COMMAND: Final = "command:remote:Command"
COPY: Final = "command:remote:CopyToRemote"
STASH: Final = "pulumi:index:Stash"
MESH_TYPE: Final = "wireguard-mesh:index:Mesh"
NODE_TYPE: Final = "wireguard-mesh:index:Node"

BOOTSTRAP: Final = "bootstrap"
AGENT_FILE: Final = "agent-file"
KEYS: Final = "keys"
APPLY: Final = "apply"
STEPS: Final = (BOOTSTRAP, AGENT_FILE, KEYS, APPLY)
"""What is done on a node, in this order; each is a resource `NODE-STEP`."""
INSTALL: Final = "agent"
"""A step of versions before `KEYS` did this, too: their states have a resource for it."""

OWN_KEY: Final = "own-key"
"""`NODE-own-key` has a node make its WireGuard key itself. It comes before the directory."""

LEAVE: Final = "leave"
"""`NODE-leave` takes the mesh off a server that outlives its node, when it is deleted."""

IDENTITY: Final = "identity"
"""`NODE-identity` keeps a node's WireGuard key."""
HOST_KEY: Final = "host-key"
DIRECTORY: Final = "directory"
"""The stash of what every node must know of all others."""
GENERATIONS: Final = "generations"
"""The stash of which keys the nodes are given: the numbers in the stack file."""
ROTATION: Final = "rotation"
"""The stash of which keys are in force on all nodes. It comes after all nodes."""
DONE_BY: Final = "agent"
"""Output of a node's component: the digest of the agent that did all its steps."""
PRESHARED_ROOT: Final = "preshared-root"
"""The stash of what all pre-shared keys are derived from."""
MANAGEMENT_KEY: Final = "management-key"
"""The stash of the SSH key that opens all nodes."""

FIRST_MESH: Final = "mesh"
"""The mesh whose resources have plain names."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class MeshNames:
    """The names of one mesh's resources.

    Those of the mesh called `mesh` are plain, `web-1-apply`. Those of any other mesh start with its name and
    a dot, `office.web-1-apply`. No node has a dot in its name: so no two meshes of a stack share a name.
    """

    mesh: str

    def __post_init__(self) -> None:
        """Refuse a name that cannot begin a host name. Raises `ValueError`."""
        if not _NAME.fullmatch(self.mesh):
            raise ValueError(
                f"{self.mesh!r} cannot be the name of a mesh: lower-case letters, digits and inner hyphens, "
                f"at most 32, such as office"
            )

    @property
    def prefix(self) -> str:
        """What every name of this mesh starts with; nothing for the mesh called `mesh`."""
        return "" if self.mesh == FIRST_MESH else f"{self.mesh}."

    def of(self, name: str) -> str:
        """Return the name of a resource of this mesh: of a node, or of what all its nodes share."""
        return f"{self.prefix}{name}"

    def part(self, node: str, part: str) -> str:
        """Return the name of a resource that is a part of a node: one of `STEPS`, a key, a server."""
        return self.of(f"{node}-{part}")

    def in_cloud(self, stack: str, name: str) -> str:
        """Return what a node's server, or anything else of this mesh, is called in the cloud."""
        return f"{stack}-{self.of(name)}"

    def said(self, words: str) -> str:
        """Return a message of this mesh; with its name before it, but for the mesh called `mesh`."""
        return f"mesh {self.mesh}: {words}" if self.prefix else words

    def plain(self, name: str) -> str | None:
        """Return a resource's name without the mesh's; None for one of another mesh."""
        if self.prefix:
            return name.removeprefix(self.prefix) if name.startswith(self.prefix) else None
        return None if "." in name else name


_FIREWALL_LENGTH: Final = 48  # readable, and with the stack's name before it within a cloud's limit


def cloud_firewall(ports: Sequence[str]) -> str:
    """Name a firewall of a cloud after the sorted public ports that it lets in, `tcp/443`, `udp/8000-8010`.

    So the name stays the same whoever else comes or goes, and name and ports can be compared.
    """
    if not ports:
        return "private"
    name = "-".join(port.replace("-", "to").replace("/", "") for port in ports)
    if len(name) <= _FIREWALL_LENGTH:
        return name
    return f"ports-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def name_in_urn(urn: str) -> str:
    """Return the name of a resource, the last part of its URN."""
    return urn.rpartition("::")[2]


def in_a_mesh(urn: str) -> bool:
    """Tell whether a resource is a part of a mesh: a program may have others beside, of any name."""
    return MESH_TYPE in urn.split("::")[2].split("$")


def node_and_step(name: str) -> tuple[str, str]:
    """Return the node, with its mesh's name before it, and the step of a resource `NODE-STEP`.

    The step is one of `STEPS`, `OWN_KEY` or `LEAVE`. The step is empty for the name of anything else.
    """
    for step in sorted((*STEPS, OWN_KEY, LEAVE), key=len, reverse=True):
        if name.endswith(f"-{step}"):
            return name.removesuffix(f"-{step}"), step
    return name, ""
