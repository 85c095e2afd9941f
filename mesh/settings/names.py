"""Names of nodes and groups."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.leaks import has_secret
from mesh.settings.meant import plain
from mesh.settings.problems import Instead, Told, another_key, refuse, show
from mesh.settings.raw import Finding
from mesh.settings.values import text

__all__ = ["NUMBERS", "RESERVED", "check_names", "host_name", "is_host_name"]

# RFC 1123 host name in lower case; with the stack's name before it, it must stay one of 63 characters.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_RULE: Final = "lower-case letters, digits and inner hyphens, at most 48"
_LONGEST_NODE: Final = 48
# What resolvers take for an address (inet_aton(3): decimal, octal, hexadecimal) and YAML for a number.
NUMBERS: Final = "[0-9]+|0x[0-9a-f]+|0b[01]+|0o[0-7]+|[0-9]+e-?[0-9]+"
"""Names that are no node's, as they read as numbers: a regular expression."""
_NUMBER: Final = re.compile(NUMBERS)
# What Pulumi makes of a key that YAML reads as a date.
_DATE: Final = re.compile(r"(\d{4}-\d\d-\d\d) 00:00:00 \+0000 UTC")
# Names of every host in /etc/hosts (Debian, Fedora), and those that resolvers answer by themselves (RFC 6761,
# RFC 6762).
_STANDARD: Final = frozenset(
    ("localhost", "localhost4", "localhost6", "localdomain", "localdomain4", "localdomain6", "loopback",
     "broadcasthost", "local", "invalid", "ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix",
     "ip6-allnodes", "ip6-allrouters", "ip6-allhosts")
)  # fmt: skip

RESERVED: Final = _STANDARD | {"all"}
"""Names that no node has: each means something else."""


def host_name(value: object) -> str:
    """The name of a node or of a group of nodes."""
    given = text(value, "a name", host_name)
    if not _NAME.fullmatch(given):
        better = _better(given)
        helps = "; give another name" if better is None else f"; write {better}"
        raise refuse(f"{show(given)} is not a name: {_RULE}{helps}", *([] if better is None else [better]))
    return given


def is_host_name(name: str) -> bool:
    """Whether a node may have this name, as far as its characters go."""
    return _NAME.fullmatch(name) is not None


def check_names(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Every node and client has a name that can be a host's, and no other meaning."""
    given = raw.get("nodes")
    if isinstance(given, Mapping) and not given:
        yield ("nodes",), "is empty; a mesh has at least one node: write nodes: {web-1: {address: 10.10.0.1}}"
    for section in ("nodes", "clients"):
        yield from _names_in(section, raw.get(section))


def _names_in(section: str, given: object) -> Iterator[Finding]:
    found: Mapping[Any, Any] = given if isinstance(given, Mapping) else {}
    for name in found:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            yield (section, str(name)), _no_host_name(name, found)
        elif name in _STANDARD:
            yield (
                (section, name),
                "is a name that every host uses for itself or its network; take another name",
            )
        elif _NUMBER.fullmatch(name):
            message = (
                f"{name} reads as a number, so programs take it for an address; put a letter first, such "
                f"as n{name}"
            )
            yield (section, name), Told(message, _rename(f"n{name}", found))


def _no_host_name(name: object, others: Mapping[Any, Any]) -> Told:
    """Say that a node's name is none, and which name is near."""
    said = f"{show(name)} is not a host name: {_RULE}"
    if isinstance(name, bool) or name is None:
        return Told(f"{said}; put it in quotes")
    date = _DATE.fullmatch(str(name))
    if date is not None:
        return Told(
            f"YAML reads {date[1]} as a date; put the name in quotes, or write d{date[1]}",
            _rename(f"d{date[1]}", others),
        )
    better = f"n{name}" if isinstance(name, int) else _better(name)
    if better is None or better in RESERVED or _NUMBER.fullmatch(better):
        return Told(f"{said}; give another name")
    taken = " (there is a node of this name: take another one)" if better in others else ""
    return Told(f"{said}; write {better}{taken}", _rename(better, others))


def _rename(name: str, others: Mapping[Any, Any]) -> tuple[Instead, ...]:
    return another_key(name) if name not in others and _NAME.fullmatch(name) else ()


def _better(given: object) -> str | None:
    """Return a name that is near one that is refused; None where there is none."""
    if not isinstance(given, str) or has_secret(given):
        return None
    near = re.sub(r"[^a-z0-9]+", "-", plain(given).lower()).strip("-")[:_LONGEST_NODE].strip("-")
    return near if plain(given).isascii() and _NAME.fullmatch(near) and near != given else None
