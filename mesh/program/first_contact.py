"""How a new server is met for the first time: the bootstrap script."""

from pathlib import Path
from typing import Final

__all__ = ["BOOTSTRAP_SCRIPT", "bootstrap_input"]

_HERE: Final = Path(__file__).parent


def _bare(script: str) -> str:
    """Return a shell script without comments, blank lines and indentation: a state has it twice per node."""
    lines = (line.strip() for line in script.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


BOOTSTRAP_SCRIPT: Final = _bare((_HERE / "bootstrap.sh").read_text())
"""Shell script without a single quote, so that any shell hands it on; run once per server.

It reads `bootstrap_input`.
"""

_ENDS_A_SHELL: Final = "exit 97"


def bootstrap_input(host_private_key: str) -> str:
    """Return what the bootstrap script reads: a line that ends any other shell, then the host key.

    A start file may put another shell in the place of the one that runs the script (`exec zsh`). That one
    would take what comes here for commands, and print it.
    """
    return f"{_ENDS_A_SHELL}\n{host_private_key}"
