"""Pure: the table of the files that a node has from us, one row for each.

| applied    | staged                    | at the commit, at boot, at a repair   | what counts as drift         | `leave`                |
|------------|---------------------------|---------------------------------------|------------------------------|------------------------|
| `LINK`     | in the generation         | `path` links into `current`           | the link; the file's content | what was before        |
| `RENDERED` | its text with key names   | `path` links to the text with keys,   | the link; both contents      | what was before        |
|            |                           | which is written anew                 |                              |                        |
| `BLOCK`    | in the generation         | its lines are put into others' `path` | other lines                  | our lines go           |
| `MADE`     | not                       | `path` is made from what runs here    | other lines                  | goes with the agent    |
"""  # noqa: E501 - a table

from __future__ import annotations

from enum import Enum

from ..records import dataclass
from ..tunnel import WG0
from .effective import patterns
from .settings import parse_sysctls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Optional

__all__ = [
    "AUTHORIZED_KEYS",
    "FIREWALL",
    "HOSTS",
    "INTERFACES",
    "MANAGED",
    "RESCUE",
    "SYSCTL",
    "WG_CONF",
    "Applied",
    "Managed",
    "Secrets",
    "applied_as",
    "managed",
]

WG_CONF = WG0.conf
FIREWALL = "/etc/wgmesh/firewall.nft"
SYSCTL = "/etc/sysctl.d/90-wgmesh.conf"
HOSTS = "/etc/hosts"
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
INTERFACES = "/etc/sysctl.d/90-wgmesh-interfaces.conf"
RESCUE = "/usr/local/lib/wgmesh/rescue.nft"


class Applied(Enum):
    """How what is committed reaches the file's path; the table above has the rest."""

    LINK = "link"
    RENDERED = "rendered"
    BLOCK = "block"
    MADE = "made"


class Secrets(Enum):
    """Who owns the secret parts of a file; elsewhere they are only named, by fingerprint."""

    NONE = "none"
    KEY_STORE = "key store"


@dataclass(frozen=True)
class Managed:
    """A file of a node: where people and programs look for it, and its name within a generation.

    `mode` is that of a file which is new at its path; within our own folders every file is 0600. A file of
    the document has no `source`: one that is made of other files of the document, by path, has.
    """

    path: str
    name: str
    mode: int
    applied: Applied
    secrets: Secrets = Secrets.NONE
    source: Optional[Callable[[Mapping[str, str]], str]] = None

    @property
    def in_document(self) -> bool:
        """Whether the document has this file."""
        return self.source is None and self.applied is not Applied.MADE


MANAGED = (
    Managed(WG_CONF, f"{WG0.interface}.conf", 0o600, Applied.RENDERED, Secrets.KEY_STORE),
    Managed(FIREWALL, "firewall.nft", 0o600, Applied.LINK),
    Managed(SYSCTL, "sysctl.conf", 0o600, Applied.LINK),
    # For interfaces to come: it follows from the document's kernel settings.
    Managed(
        INTERFACES,
        "interfaces.conf",
        0o600,
        Applied.LINK,
        source=lambda files: patterns(parse_sysctls(files[SYSCTL], where=SYSCTL)),
    ),
    Managed(HOSTS, "hosts", 0o644, Applied.BLOCK),
    Managed(AUTHORIZED_KEYS, "authorized_keys", 0o600, Applied.BLOCK),
    Managed(RESCUE, "rescue.nft", 0o644, Applied.MADE),
)
"""All files, in the order of the document."""


def managed(path: str) -> Managed:
    """Return the row of a path. Raises `KeyError`."""
    return {row.path: row for row in MANAGED}[path]


def applied_as(*ways: Applied) -> tuple[Managed, ...]:
    """Return the rows of files that are applied in one of these ways."""
    return tuple(row for row in MANAGED if row.applied in ways)
