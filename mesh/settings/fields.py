"""Single values of the stack file: each function returns the value it was given, or refuses it in words."""

import base64
import binascii
import fnmatch
import math
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Final, Literal

from mesh.settings.problems import refuse, show

__all__ = [
    "NAME",
    "address",
    "authorized_key",
    "host_name",
    "integer",
    "interface",
    "items",
    "mesh_network",
    "mtu",
    "one_of",
    "source_network",
    "text",
    "word",
]

# RFC 1123 host name in lower case; `<stack>-<name>` must stay a host name of 63 characters.
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?")
_MESH_INTERFACE: Final = "wg0"

_MTU_LOWEST: Final = 1280  # IPv6's minimum link MTU, RFC 8200 section 5
_MTU_HIGHEST: Final = 8920  # a 9000 byte jumbo frame less WireGuard's 80
_PREFIX_LONGEST: Final = 29  # a network with room for at least two nodes and to grow
# RFC 1918 and, for shared address space, RFC 6598: what never belongs to anyone else's server.
_PRIVATE: Final = tuple(
    IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)


def text(value: object, what: str) -> str:
    """Return `value` if it is text; `what` says what to give instead."""
    if not isinstance(value, str):
        raise refuse(f"{show(value)} is not text; give {what}, in quotes if need be")
    return value


def _whole(value: object) -> int | None:
    """Pulumi passes numbers as floats; a boolean is no number although Python thinks so."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if math.isfinite(value) and value == int(value) else None


def integer(value: object) -> int:
    """A whole number."""
    number = _whole(value)
    if number is None:
        raise refuse(f"{show(value)} is not a whole number")
    return number


def mtu(value: object) -> int | Literal["auto"]:
    """`auto`, or a number of bytes."""
    if value == "auto":
        return "auto"
    number = _whole(value)
    if number is None:
        raise refuse(f"{show(value)} is neither auto nor a whole number")
    if not _MTU_LOWEST <= number <= _MTU_HIGHEST:
        raise refuse(f"{number} is out of range; {_MTU_LOWEST} to {_MTU_HIGHEST}, or auto")
    return number


def address(value: object) -> IPv4Address:
    """An address of the mesh."""
    given = text(value, "an IPv4 address such as 10.10.0.1")
    try:
        return IPv4Address(given)
    except ValueError:
        raise refuse(f"{show(given)} is not an IPv4 address such as 10.10.0.1") from None


def mesh_network(value: object) -> IPv4Network:
    """The network all addresses of the mesh lie in."""
    given = text(value, "an IPv4 network such as 10.10.0.0/24")
    try:
        network = IPv4Network(given, strict=False)
    except ValueError:
        raise refuse(f"{show(given)} is not an IPv4 network such as 10.10.0.0/24") from None
    if "/" not in given:
        raise refuse(f"{given} has no prefix length; write for example {given}/24")
    if str(network) != given:
        raise refuse(f"{given} names a host, not a network; write {network}")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        allowed = ", ".join(str(private) for private in _PRIVATE)
        raise refuse(f"{given} is public address space; take a network inside {allowed}")
    if network.prefixlen > _PREFIX_LONGEST:
        raise refuse(f"{given} has no room for a mesh; /{_PREFIX_LONGEST} is the smallest network")
    return network


def source_network(value: object) -> IPv4Network | IPv6Network:
    """A network, or one address, that packets come from."""
    given = text(value, "a network such as 203.0.113.0/24 or 2001:db8::/32")
    try:
        network = ip_network(given, strict=False)
    except ValueError:
        raise refuse(f"{show(given)} is not a network such as 203.0.113.0/24 or 2001:db8::/32") from None
    if "/" in given and str(network.network_address) != str(ip_network(given.partition("/")[0])[0]):
        raise refuse(f"{given} names a host, not a network; write {network}")
    return network


def authorized_key(value: object) -> str:
    """One line of authorized_keys."""
    given = text(value, "a line of authorized_keys such as `ssh-ed25519 AAAA... me`").strip()
    if "PRIVATE KEY" in given:
        raise refuse(
            "this is a private key (not shown here): never put one into a stack file; make a new pair"
        )
    words = given.split()
    if (
        not given.isprintable()
        or len(words) < 2
        or not re.fullmatch(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+", words[0])
    ):
        raise refuse(f"{show(given)} is not a public key; give one line such as `ssh-ed25519 AAAA... me`")
    if _key_type(words[1]) != words[0]:
        raise refuse(f"{show(given)}: the part after {words[0]} is cut or is no key of this type")
    return given


def _key_type(encoded: str) -> str | None:
    """Return the type of a public key; None when it is cut.

    A key is a row of length-prefixed fields, the first of which is the name of its type (RFC 4253, 6.6).
    """
    try:
        rest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    parts: list[bytes] = []
    while rest:
        end = 4 + int.from_bytes(rest[:4], "big")
        if len(rest) < max(end, 5):
            return None
        parts.append(rest[4:end])
        rest = rest[end:]
    return parts[0].decode("ascii", "replace") if len(parts) > 1 else None


def word(example: str) -> Callable[[object], str]:
    """A name of the cloud's; `example` is one."""

    def check(value: object) -> str:
        given = text(value, f"a name such as {example}")
        if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", given):
            raise refuse(f"{show(given)} is not a name such as {example}")
        return given

    return check


def host_name(value: object) -> str:
    """The name of a node or of a group of nodes."""
    given = text(value, "the name of a node or group")
    if not NAME.fullmatch(given):
        raise refuse(f"{show(given)} is not a name: lower-case letters, digits and inner hyphens, at most 48")
    return given


def interface(value: object) -> str:
    """The name of a network interface, or the beginning of several with `*` after it."""
    given = text(value, "an interface such as docker0 or br-*")
    # 15 characters and neither slash nor space: Linux, dev_valid_name() in net/core/dev.c
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}|[A-Za-z0-9][A-Za-z0-9_.-]{0,13}\*", given):
        raise refuse(f"{show(given)} is not an interface such as docker0 or br-*")
    for own in (_MESH_INTERFACE, "lo"):
        if fnmatch.fnmatchcase(own, given):
            raise refuse(
                f"{given} includes {own}, which has rules of its own; name the bridges of containers"
            )
    return given


def one_of(*words: str) -> Callable[[object], str]:
    """One of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise refuse(f"{show(value)} is not one of {', '.join(words)}")
        return value

    return check


def items(value: object) -> tuple[object, ...]:
    """A list."""
    if not isinstance(value, list | tuple):
        raise refuse(f"{show(value)} is not a list; write [{value if isinstance(value, str) else '...'}]")
    return tuple(value)
