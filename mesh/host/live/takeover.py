"""Whether the interface's name is somebody else's on this host: then it stays as it is, and theirs."""

from __future__ import annotations

import re

from ..answers import AgentError, Answer
from ..files.keystore import stored_keys
from ..files.wentback import was_committed
from ..files.wgconf import clamped
from ..system.rtnetlink import addresses
from ..system.systemd import active_state, unit_file_state
from .interface import WIREGUARD_KINDS, link_kind, read_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["is_ours", "named_in_files", "refuse_foreign_interface"]

# Who else makes interfaces, where the files lie that say so, and the lines in them that name one.
_FILES = (
    (
        "systemd-networkd",
        ("etc/systemd/network", "run/systemd/network", "usr/lib/systemd/network"),
        r"(?m)^\s*Name\s*=(.*\s)?{name}(\s|$)",
    ),
    (
        "NetworkManager",
        ("etc/NetworkManager/system-connections", "run/NetworkManager/system-connections"),
        r"(?m)^\s*interface-name\s*=\s*{name}\s*$",
    ),
    ("netplan", ("etc/netplan",), r"(?m)^\s+[\"']?{name}[\"']?\s*:"),
    (
        "ifupdown",
        ("etc/network/interfaces", "etc/network/interfaces.d"),
        r"(?m)^\s*(iface|auto|allow-\S+)\b.*\s{name}(\s|$)",
    ),
)
# A line of a unit that makes it.
_MAKES = (
    r"(?m)^\s*Exec\w+\s*=.*(wg-quick\s+up\s+\S*\b|link\s+add\s+(dev\s+|name\s+)?|wireguard-go\s+.*){name}\b"
)


def _names(pattern: str, tunnel: Tunnel) -> "re.Pattern[str]":
    return re.compile(pattern.replace("{name}", re.escape(tunnel.interface)))


def refuse_foreign_interface(places: Places, tunnel: Tunnel) -> None:
    """Refuse to touch an interface of our name, running or to come at boot, that is not ours.

    The answer names owner, peers, addresses and what would make room. Raises `AgentError` (REFUSED).
    """
    link = _link_exists(places, tunnel)
    kind = link_kind(tunnel) if link else ""
    if link and kind not in WIREGUARD_KINDS:
        remedy = "remove that interface, or give it another name, then run again"
        raise _refusal(tunnel, f"is of kind {kind} on this host", _owners(places, tunnel), remedy)
    if is_ours(places, tunnel):
        return
    if unit_file_state(tunnel.unit).startswith("masked"):
        raise AgentError(
            Answer.REFUSED,
            f"{tunnel.unit} is masked on this host: `systemctl unmask {tunnel.unit}`, then run again",
        )
    owners = list(_owners(places, tunnel))
    if link:
        raise _refusal(
            tunnel, f"runs on this host already: {_running(tunnel)}", owners, _remedy(places, tunnel)
        )
    if owners:
        raise _refusal(tunnel, "is set up to start on this host", owners, _remedy(places, tunnel))


def is_ours(places: Places, tunnel: Tunnel) -> bool:
    """Tell whether what has the interface's name here, if anything, is ours.

    It is after a commit, and where a link that an undo could not take away has this node's own key.
    """
    if was_committed(places):
        return True
    if not _link_exists(places, tunnel) or not places.keys.is_dir():
        return False
    own = stored_keys(places.keys, [path.name for path in places.keys.iterdir()]).values()
    try:
        return read_device(tunnel).private_key in {clamped(key) for key in own}
    except AgentError:
        return False


def _link_exists(places: Places, tunnel: Tunnel) -> bool:
    return (places.root / "sys/class/net" / tunnel.interface).exists()


def _refusal(tunnel: Tunnel, what: str, owners: Iterable[str], remedy: str) -> AgentError:
    named = "; ".join(owners) or "made by hand, or by a program that left no file"
    return AgentError(Answer.REFUSED, f"{tunnel.interface} {what} ({named}); nothing was changed: {remedy}")


def _remedy(places: Places, tunnel: Tunnel) -> str:
    conf = places.at(tunnel.conf)
    stop = f"`systemctl disable --now {tunnel.unit}`"
    if active_state(tunnel.unit) != "active" and not unit_file_state(tunnel.unit).startswith("enabled"):
        stop = (
            f"`wg-quick down {tunnel.interface}`" if conf.exists() else f"`ip link delete {tunnel.interface}`"
        )
    move = f" (say, `mv {conf} {conf.with_name('wg1.conf')}`)" if conf.exists() else ""
    return f"take it down with its own tool ({stop}), or give it another name{move}, then run again"


def _running(tunnel: Tunnel) -> str:
    """Say what an interface is, without its keys."""
    shown = addresses(tunnel.interface)
    infos = [info for entry in shown for info in entry["addr_info"] if info["scope"] != "link"]
    held = ", ".join(f"{info['local']}/{info['prefixlen']}" for info in infos) or "no address"
    try:
        count = len(read_device(tunnel).peers)
    except AgentError:
        return f"no WireGuard, {held}"
    return f"{count} peer{'' if count == 1 else 's'}, {held}"


def _owners(places: Places, tunnel: Tunnel) -> Iterator[str]:
    """Yield who makes the interface, now or at boot: units, and files of other programs."""
    state, stored = active_state(tunnel.unit), unit_file_state(tunnel.unit)
    if state == "active" or stored.startswith("enabled"):
        yield f"{tunnel.unit}, {state}, {stored or 'not enabled'}{_conf(places, tunnel)}"
    yield from named_in_files(places, tunnel)
    for file in _naming([places.units], _names(_MAKES, tunnel)):
        if active_state(file.name) == "active" or unit_file_state(file.name).startswith("enabled"):
            yield f"{file.name}, {file}"


def named_in_files(places: Places, tunnel: Tunnel) -> Iterator[str]:
    """Yield other programs that make interfaces, each with its file that names ours."""
    for program, folders, wanted in _FILES:
        for file in _naming((places.root / folder for folder in folders), _names(wanted, tunnel)):
            yield f"{program}, {file}"


def _conf(places: Places, tunnel: Tunnel) -> str:
    """Say what a file by hand would bring up."""
    try:
        text = places.at(tunnel.conf).read_text(errors="replace")
    except OSError:
        return f", without {places.at(tunnel.conf)}"
    peers = len(re.findall(r"(?mi)^\s*\[peer\]", text))
    addresses = re.findall(r"(?mi)^[ \t]*address[ \t]*=[ \t]*([0-9a-f:./, ]+)", text)
    listed = ", ".join(" ".join(found.split()) for found in addresses) or "no address"
    return f", from {places.at(tunnel.conf)} with {peers} peer{'' if peers == 1 else 's'}, {listed}"


def _naming(folders: Iterable[Path], wanted: "re.Pattern[str]") -> Iterator[Path]:
    """Yield the files in these folders that have such a line."""
    for folder in folders:
        for file in sorted(folder.iterdir()) if folder.is_dir() else [folder]:
            if file.is_file() and wanted.search(file.read_text(errors="replace")):
                yield file
