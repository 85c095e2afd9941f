"""Interfaces that a node trusts: bridges of its containers, never one that the internet is behind."""

import fnmatch
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.names import INTERFACE
from mesh.settings.meant import meant, plain
from mesh.settings.problems import refuse, show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.values import text

__all__ = ["REFUSED", "check_interfaces", "interface", "may_be"]

# How interfaces are called that a host has its addresses on, and what follows there: the names of the
# kernel and of systemd (systemd.net-naming-scheme(7)), of biosdevname (em1, p1p1), and of hosters with
# containers (venet0).
_UPLINKS: Final = {
    "eth": "[0-9]", "en": "", "wl": "", "ww": "", "ib": "[a-z]*[0-9]", "em": "[0-9]", "sl": "[0-9]",
    "usb": "[0-9]", "ppp": "[0-9]", "bond": "[0-9]", "team": "[0-9]", "venet": "[0-9]", "vlan": "[0-9]",
}  # fmt: skip
_CARD: Final = re.compile(r"p[0-9]+p[0-9]+.*")
# What hosts call the card that they have been installed by, and what is no card of a second network.
_FIRST_CARD: Final = re.compile(r"eth0(\..*)?|eno1|ens3|enp1s0|(wl|ww|ppp|usb|venet).*")
_LONGEST: Final = 15
_BEHIND: Final = (
    ", and the internet is behind this card: trusting the card would open every port of the node; name the "
    "bridges of "
    "containers, such as docker0, br-* or cni0 (on a node that forwards: the card of the network behind "
    "the node)"
)


_OWN: Final = (INTERFACE, "lo")
# The beginnings that include one of these interfaces, or a network card, once `*` follows.
_BEGINNINGS: Final = (
    *(name[:length] for name in _OWN for length in range(1, len(name) + 1)),
    *(uplink[:length] for uplink in _UPLINKS for length in range(1, len(uplink))),
    *(f"{uplink}.*" for uplink in _UPLINKS),
    _CARD.pattern,
    "p[0-9]+p?",
)

REFUSED: Final = rf"{INTERFACE}|lo|{_FIRST_CARD.pattern}|({'|'.join(dict.fromkeys(_BEGINNINGS))})\*"
"""What `interface` refuses although it is a name: the node's own interfaces and network cards, as a regular
expression.
"""


def interface(value: object) -> str:
    """The name of a network interface, or the beginning of several with `*` after it."""
    given = text(value, "an interface such as docker0 or br-*", interface)
    # 15 characters and neither slash nor space: Linux, dev_valid_name() in net/core/dev.c
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}|[A-Za-z0-9][A-Za-z0-9_.-]{0,13}\*", given):
        tidy = plain(given)
        better = meant(given, interface, *([f"{tidy[:-1]}*"] if tidy.endswith("+") else []))
        if better is not None:
            raise refuse(f"{show(given)} is not an interface such as docker0 or br-*; write {better}", better)
        raise refuse(
            f"{show(given)} is not an interface such as docker0 or br-*; give a name of at most {_LONGEST} "
            f"characters, or its beginning and *"
        )
    for own in _OWN:
        if may_be(given, own):
            raise refuse(
                f"{given} includes {own}; this interface has its own rules; name the bridges of containers"
            )
    stem = given.removesuffix("*")
    if stem != given:
        name = _uplink_like(stem)
        if name is not None:
            raise refuse(f"{given} may include an interface such as {name}{_BEHIND}")
    elif _FIRST_CARD.fullmatch(given):
        raise refuse(f"{given} is the usual name of a host's first network card{_BEHIND}")
    return given


def check_interfaces(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """A network card is trusted by a node that forwards alone, which may have a network behind it."""
    defaults = raw.get("defaults")
    for name, node in nodes(raw).items():
        if isinstance(node, Mapping) and (node.get("forward") is True or listed(node, "routes")):
            continue
        own = isinstance(node, Mapping) and "trustedInterfaces" in node
        path = ("nodes", name) if own else ("defaults",)
        for index, given in enumerate(listed(node if own else defaults, "trustedInterfaces")):
            if read(interface, given) is not None and _is_card(str(given)):
                message = f"{given} is the usual name of a host's network card{_BEHIND}"
                yield (*path, "trustedInterfaces", index), message


def may_be(given: str, name: str) -> bool:
    """Whether a name, or a pattern, of the stack file includes an interface of this name."""
    return fnmatch.fnmatchcase(name, given)


def _uplink_like(stem: str) -> str | None:
    """Return the name of a network card that a pattern with this beginning includes, if there is one."""
    for uplink in _UPLINKS:
        if uplink.startswith(stem) or stem.startswith(uplink):
            return _example(uplink if len(uplink) > len(stem) else stem)
    return "p1p1" if _CARD.fullmatch(stem) or re.fullmatch(r"p[0-9]+p?", stem) else None


def _is_card(name: str) -> bool:
    """Whether a name is one that network cards, and what is made of them, have."""
    return bool(_CARD.fullmatch(name)) or any(re.match(up + more, name) for up, more in _UPLINKS.items())


def _example(stem: str) -> str:
    known = ("enp1s0", "wlp2s0", "wwan0")
    name = next((shown for shown in known if shown.startswith(stem)), f"{stem}0")
    return name[:_LONGEST]
