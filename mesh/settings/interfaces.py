"""Interfaces that a node trusts: bridges of its containers, never one that the internet is behind."""

import fnmatch
import re
from typing import Final

from mesh.settings.problems import refuse, show
from mesh.settings.values import text

__all__ = ["interface", "may_be"]

_MESH_INTERFACE: Final = "wg0"
# How interfaces are called that a host has its addresses on, and what follows there: the names of the
# kernel and of systemd (systemd.net-naming-scheme(7)), of biosdevname (em1, p1p1), and of hosters with
# containers (venet0).
_UPLINKS: Final = {
    "eth": "[0-9]", "en": "", "wl": "", "ww": "", "ib": "[a-z]*[0-9]", "em": "[0-9]", "sl": "[0-9]",
    "usb": "[0-9]", "ppp": "[0-9]", "bond": "[0-9]", "team": "[0-9]", "venet": "[0-9]", "vlan": "[0-9]",
}  # fmt: skip
_CARD: Final = re.compile(r"p[0-9]+p[0-9]+.*")
_LONGEST: Final = 15


def interface(value: object) -> str:
    """The name of a network interface, or the beginning of several with `*` after it."""
    given = text(value, "an interface such as docker0 or br-*")
    # 15 characters and neither slash nor space: Linux, dev_valid_name() in net/core/dev.c
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}|[A-Za-z0-9][A-Za-z0-9_.-]{0,13}\*", given):
        raise refuse(f"{show(given)} is not an interface such as docker0 or br-*")
    for own in (_MESH_INTERFACE, "lo"):
        if may_be(given, own):
            raise refuse(
                f"{given} includes {own}, which has rules of its own; name the bridges of containers"
            )
    uplink = _uplink(given)
    if uplink is not None:
        raise refuse(
            f"{given} {uplink}, and behind that is the internet: to trust it would open every port of the "
            f"node; name the bridges of containers, such as docker0, br-* or cni0"
        )
    return given


def may_be(given: str, name: str) -> bool:
    """Whether a name, or a pattern, of the stack file includes an interface of this name."""
    return fnmatch.fnmatchcase(name, given)


def _uplink(given: str) -> str | None:
    """Say how a name or pattern may be that of the host's way to the internet; None if it is not."""
    stem = given.removesuffix("*")
    if given != stem:
        for uplink in _UPLINKS:
            if uplink.startswith(stem) or stem.startswith(uplink):
                shown = uplink if len(uplink) > len(stem) else stem
                return f"may include an interface such as {_example(shown)}"
        if _CARD.fullmatch(stem) or re.fullmatch(r"p[0-9]+p?", stem):
            return "may include an interface such as p1p1"
        return None
    if _CARD.fullmatch(stem) or any(re.match(uplink + more, stem) for uplink, more in _UPLINKS.items()):
        return "is what the network card of a host is called"
    return None


def _example(stem: str) -> str:
    known = {"en": "enp1s0", "wl": "wlp2s0", "ww": "wwan0"}
    name = next((shown for short, shown in known.items() if shown.startswith(stem)), f"{stem}0")
    return name[:_LONGEST]
