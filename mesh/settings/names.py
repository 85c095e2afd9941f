"""Names of nodes and groups."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.settings.problems import refuse, show
from mesh.settings.raw import Finding
from mesh.settings.values import text

__all__ = ["check_names", "host_name", "is_host_name"]

# RFC 1123 host name in lower case; with the stack's name before it, it must stay one of 63 characters.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_RULE: Final = "lower-case letters, digits and inner hyphens, at most 48"
_LONGEST_NODE: Final = 48
# What resolvers take for an address (inet_aton(3): decimal, octal, hexadecimal) and YAML for a number.
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]+|0b[01]+|0o[0-7]+|[0-9]+e-?[0-9]+")
# Names of every host in /etc/hosts (Debian, Fedora), and those that resolvers answer by themselves (RFC 6761,
# RFC 6762).
_STANDARD: Final = frozenset(
    ("localhost", "localhost4", "localhost6", "localdomain", "localdomain4", "localdomain6", "loopback",
     "broadcasthost", "local", "invalid", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix",
     "ip6-allnodes", "ip6-allrouters", "ip6-allhosts")
)  # fmt: skip


def host_name(value: object) -> str:
    """The name of a node or of a group of nodes."""
    given = text(value, "the name of a node or group")
    if not _NAME.fullmatch(given):
        raise refuse(f"{show(given)} is not a name: {_RULE}{_better(given)}")
    return given


def is_host_name(name: str) -> bool:
    """Whether a node may have this name, as far as its characters go."""
    return _NAME.fullmatch(name) is not None


def check_names(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Every node has a name that can be a host's, and no other meaning."""
    found = raw.get("nodes")
    if isinstance(found, Mapping) and not found:
        yield ("nodes",), "is empty; a mesh has at least one node"
    for name in found if isinstance(found, Mapping) else ():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield ("nodes", str(name)), f"{show(name)} is not a host name: {_RULE}{_better(name)}"
        elif name in _STANDARD:
            yield (
                ("nodes", name),
                "is a name that every host uses for itself or its network; take another name",
            )
        elif _NUMBER.fullmatch(name):
            message = (
                f"{name} reads as a number, so programs take it for an address; put a letter first, such "
                f"as n{name}"
            )
            yield ("nodes", name), message


def _better(given: object) -> str:
    """Say which name is near one that is refused."""
    if not isinstance(given, str):
        if isinstance(given, bool) or given is None:
            return "; put it in quotes"
        return f"; write n{given}" if isinstance(given, int) else ""
    near = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")[:_LONGEST_NODE].strip("-")
    return f"; write {near}" if near and given.isascii() and _NAME.fullmatch(near) and near != given else ""
