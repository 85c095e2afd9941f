"""What helps a node in trouble: words that `up` and the commands of day two share. Imports no Pulumi.

Each text has its URN in braces, to be filled in by `str.format`.
"""

from typing import Final

from mesh.names import AGENT_FOLDER

__all__ = ["AGENT_GONE", "AGENT_GONE_SAYS", "HOST_KEY_CHANGED", "KEYS_MISSING"]

AGENT_GONE_SAYS: Final = f"can't open file '{AGENT_FOLDER}/"
"""What Python says then."""

AGENT_GONE: Final = (
    "its agent is gone. If somebody removed it, have it installed again: `pulumi up --replace '{agent_file}' "
    "--replace '{agent}'`. If the host has left the mesh, have the server made anew; what is on it is lost: "
    "`pulumi up --replace '{server}'`."
)

HOST_KEY_CHANGED: Final = (
    "another host key answers at its address than the one this stack gave it: the server was rebuilt or its "
    "key was changed, or something else answers there. Nothing was sent. If you changed the key, put the old "
    "one back; if the server was rebuilt, have it made anew (what is on its disk is lost): "
    "`pulumi up --replace '{server}'`."
)

KEYS_MISSING: Final = (
    "its keys are gone from /var/lib/wgmesh/keys. Send them again: `pulumi up --replace '{keys}'`."
)
