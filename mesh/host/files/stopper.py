"""A command that ends the shell which runs it: `wgmesh-files`, the first word of a document.

A start file of root's shell may put another shell in the place of the one that runs a command (`exec zsh`).
That one takes the document on its standard input for commands, and its headings (`==> /etc/hosts <==`) would
empty the files they name.
"""

from __future__ import annotations

from ..system.run import make_folder, write_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..places import Places

__all__ = ["SCRIPT", "install_stopper", "remove_stopper"]

SCRIPT = """\
#!/bin/sh
# A document of wireguard-mesh begins with this word. No shell shall read the rest of it.
echo "STOPPED a start file of the shell of root (such as /root/.bashrc) replaces the shell" >&2
kill -KILL "$PPID"
"""


def install_stopper(places: Places) -> None:
    """Put the command in place. Raises `OSError`."""
    path = places.stopper
    if not path.is_file() or path.read_bytes() != SCRIPT.encode():
        make_folder(path.parent, 0o755)
        write_file(path, SCRIPT.encode(), 0o755)


def remove_stopper(places: Places) -> None:
    """Take the command away. Raises `OSError`."""
    places.stopper.unlink(missing_ok=True)
