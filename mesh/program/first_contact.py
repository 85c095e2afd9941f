"""How a server that is there already is met for the first time: the bootstrap script, as a command.

A new server has the script in the file of the agent (mesh/host/first_contact.sh), which is copied before.
"""

import base64
import gzip
import re
from pathlib import Path
from typing import Final

__all__ = ["BOOTSTRAP_SCRIPT", "bare", "between", "key_brought", "packed"]

_SCRIPT: Final = Path(__file__).parent.parent / "host" / "bootstrap.sh"
_READY: Final = "echo ready\n"


def bare(script: str) -> str:
    """Return a shell script without comments, blank lines and indentation: a state has it twice per node."""
    lines = (line.strip() for line in script.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


BOOTSTRAP_SCRIPT: Final = bare(_SCRIPT.read_text())
"""Shell script without a single quote, so that any shell hands it on.

It reads `mesh.remote.secret_input` with the server's SSH host key as `host_key`.
"""

_UNPACK: Final = (
    "bootstrap_sh=$(echo {text} | base64 -d | gzip -dc) || "
    '{{ echo "bootstrap: cannot unpack bootstrap.sh by base64 and gzip"; exit 1; }}; '
    'exec sh -c "$bootstrap_sh"'
)


def packed(script: str) -> str:
    """Return a shell command that runs a script which it has compressed: half as long, and one line.

    It needs `base64` and `gzip`, which every Debian and Ubuntu has. By gzip's checksum, nothing runs of a
    script that does not arrive whole. Variables that the script reads have to be exported.
    """
    compressed = gzip.compress(script.encode(), mtime=0)
    return _UNPACK.format(text=base64.b64encode(compressed).decode())


_BROUGHT: Final = re.compile(r'management_key="([^"]+)"')


def between(before: str, after: str) -> str:
    """Return the script of first contact with one that runs before, and one that runs once all is well.

    It says `ready` then.
    """
    return f"{before}{BOOTSTRAP_SCRIPT}{after}{_READY}"


def key_brought(command: object) -> str | None:
    """Return the public management key that a command of first contact brings; None where a cloud did that.

    The script has it as the value of `management_key`.
    """
    found = _BROUGHT.search(command) if isinstance(command, str) else None
    return found[1] if found else None
