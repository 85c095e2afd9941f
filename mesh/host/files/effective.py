"""Kernel settings of network interfaces: a setting of `all` is in effect only if each interface has it, too.

The kernel combines the value of `all` with the interface's own, by setting in another way
(Documentation/networking/ip-sysctl.rst). Where `all` does not decide alone, every interface that exists is
told, and `default` and a pattern for systemd-sysctl tell those to come.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Optional

__all__ = [
    "base_key",
    "forwarding_keys",
    "keys_begun_with",
    "on_interfaces",
    "original_of",
    "patterns",
    "with_later_interfaces",
]

_CONF = re.compile(r"net\.(ipv[46])\.conf\.(.+)\.([a-z0-9_]+)")
# With this value of `all` an interface's own does not matter: whether one of them suffices (OR, AND), or the
# larger or the smaller one counts. IPv4's accept_redirects is OR or AND by forwarding, which may change, and
# IPv6 looks at the interface's own alone.
_DECIDES = {
    ("ipv4", "accept_source_route"): "0",
    ("ipv4", "log_martians"): "1",
    ("ipv4", "rp_filter"): "2",
    ("ipv4", "secure_redirects"): "1",
    ("ipv4", "send_redirects"): "1",
    ("ipv6", "accept_source_route"): "0",
}


def _own(interface: str) -> bool:
    return interface not in ("all", "default")


def _key(family: str, interface: str, name: str) -> str:
    return f"net.{family}.conf.{interface.replace('.', '/')}.{name}"


def _told_each(settings: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return the settings of `all` that each interface has to be told, by family and name. Pure."""
    found = {}
    for key, value in settings.items():
        parts = _CONF.fullmatch(key)
        if parts and parts[2] == "all" and _DECIDES.get((parts[1], parts[3])) != value:
            found[parts[1], parts[3]] = value
    return found


def forwarding_keys(root: Path, family: str) -> list[str]:
    """Return the keys that switching a family's forwarding changes: each interface's, and `default`."""
    folders = sorted((root / "net" / family / "conf").glob("*"))
    return [_key(family, folder.name, "forwarding") for folder in folders if folder.name != "all"]


def keys_begun_with(root: Path, key: str) -> list[str]:
    """Return the keys of interfaces that begin with the value of a key of `default`; none of another key."""
    parts = _CONF.fullmatch(key)
    return _keys(root, parts[1], parts[3]) if parts and parts[2] == "default" else []


def base_key(key: str) -> str:
    """Return the key of `all` that an interface's key belongs to; any other key as it is. Pure.

    IPv4's forwarding has another name there, and sets that of interfaces to come as well.
    """
    parts = _CONF.fullmatch(key)
    if parts and parts[3] == "forwarding" and parts[2] != "all":
        return "net.ipv4.ip_forward" if parts[1] == "ipv4" else "net.ipv6.conf.all.forwarding"
    if not parts or not _own(parts[2]):
        return key
    return _key(parts[1], "all", parts[3])


def original_of(key: str, originals: Mapping[str, str]) -> Optional[str]:
    """Return what a key was before; an interface that came later would have got that of `default`. Pure."""
    parts = _CONF.fullmatch(key)
    if key in originals or not parts or not _own(parts[2]):
        return originals.get(key)
    return originals.get(_key(parts[1], "default", parts[3]))


def on_interfaces(root: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings with what they mean for each interface there is. What is given by itself stays."""
    told = _told_each(settings).items()
    each = {key: value for (family, name), value in told for key in _keys(root, family, name)}
    return {**each, **settings}


def _keys(root: Path, family: str, name: str) -> list[str]:
    """Return a setting's key of every interface there is."""
    folders = sorted((root / "net" / family / "conf").glob("*"))
    return [_key(family, folder.name, name) for folder in folders if _own(folder.name)]


def with_later_interfaces(root: Path, originals: Mapping[str, str]) -> dict[str, str]:
    """Return originals with those of interfaces that came later, as `original_of` has them."""
    told = {(parts[1], parts[3]) for parts in map(_CONF.fullmatch, originals) if parts and _own(parts[2])}
    found = dict(originals)
    for family, name in told:
        for key in _keys(root, family, name):
            original = original_of(key, originals)
            if original is not None:
                found[key] = original
    return found


def patterns(settings: Mapping[str, str]) -> str:
    """Return a file for systemd-sysctl, which it also reads for an interface that is plugged in. Pure.

    A key that is given by itself anywhere is not matched (sysctl.d(5)); `-` is for a host without the family.
    """
    lines = [
        f"-{_key(family, '*', name)} = {value}\n" for (family, name), value in _told_each(settings).items()
    ]
    return "# What 90-wgmesh.conf says of `all`, for each interface: `all` alone would not do.\n" + "".join(
        lines
    )
