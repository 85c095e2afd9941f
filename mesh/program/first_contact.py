"""How a new server is met for the first time: the bootstrap script."""

import base64
import gzip
import re
from pathlib import Path
from typing import Final

__all__ = ["BOOTSTRAP_SCRIPT", "bare", "between", "bootstrap_input", "key_brought", "packed"]

_HERE: Final = Path(__file__).parent


def bare(script: str) -> str:
    """Return a shell script without comments, blank lines and indentation: a state has it twice per node."""
    lines = (line.strip() for line in script.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


BOOTSTRAP_SCRIPT: Final = bare((_HERE / "bootstrap.sh").read_text())
"""Shell script without a single quote, so that any shell hands it on; run once per server.

It reads `bootstrap_input`.
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
_LAST_LINE: Final = "echo ready\n"


def between(before: str, after: str) -> str:
    """Return the script of first contact with one that runs before, and one that runs once all is well."""
    return f"{before}{BOOTSTRAP_SCRIPT.removesuffix(_LAST_LINE)}{after}{_LAST_LINE}"


def key_brought(command: object) -> str | None:
    """Return the public management key that a command of first contact brings; None where a cloud did that.

    The script has it as the value of `management_key`.
    """
    found = _BROUGHT.search(command) if isinstance(command, str) else None
    return found[1] if found else None


_ENDS_A_SHELL: Final = "exit 97"


def bootstrap_input(host_private_key: str) -> str:
    """Return what the bootstrap script reads: a line that ends any other shell, then the host key.

    A start file may put another shell in the place of the one that runs the script (`exec zsh`). That one
    would take what comes here for commands, and print it.
    """
    return f"{_ENDS_A_SHELL}\n{host_private_key}"
