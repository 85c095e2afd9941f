"""What helps a node in trouble: words that `up` and the commands of day two share. Imports no Pulumi.

Each text has its URN in braces, to be filled in by `str.format`.
"""

from typing import Final

from mesh.names import AGENT_FOLDER

__all__ = [
    "AGENT_GONE",
    "AGENT_GONE_SAYS",
    "AGENT_OTHER",
    "HOST_KEY_CHANGED",
    "KEYS_MISSING",
    "OWN_KEY_LOST",
    "PRIVATE_KEY_SAYS",
]

AGENT_GONE_SAYS: Final = f"can't open file '{AGENT_FOLDER}/"
"""What Python says then."""

AGENT_GONE: Final = (
    "the agent is gone from the node. If somebody removed the agent, install it again: `pulumi up "
    "--replace '{agent_file}' "
    "--replace '{keys}'`. If the host has left the mesh, rebuild the server (this erases its disk): "
    "`pulumi up --replace '{server}'`."
)

AGENT_OTHER: Final = (
    "the agent's file on the node is not the one of this run. Nothing was changed. If you ran up with "
    "`--target`, name '{agent_file}' and '{keys}', too. Otherwise send the file again: `pulumi up --replace "
    "'{agent_file}' --replace '{keys}'`."
)

HOST_KEY_CHANGED: Final = (
    "the host key is not the one that this stack installed: the server was rebuilt, its key was changed, "
    "or another machine answers at its address. Nothing was sent. If you changed the key, put the old key "
    "back. If the server was rebuilt, make it part of the mesh again (this erases its disk): "
    "`pulumi up --replace '{server}'`."
)

PRIVATE_KEY_SAYS: Final = ", this node's private key, is not in "
"""What the agent says where it has lost the node's own key."""

OWN_KEY_LOST: Final = (
    "the node has lost the WireGuard key that it made itself, and nobody else has it. For another key, run "
    "`mesh rotate {name}`, then `pulumi up --replace '{keys}'`."
)

KEYS_MISSING: Final = (
    "the WireGuard keys are gone from /var/lib/wgmesh/keys. Send them again: `pulumi up --replace '{keys}'`."
)
