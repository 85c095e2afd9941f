"""Whether this host can have IPv6 addresses on our interface; the kernel's switches are per interface."""

from __future__ import annotations

import ipaddress
import re

from ..answers import AgentError, Answer
from ..files.document import WG_CONF
from ..records import replace
from ..system.run import log
from .sysctl import sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..files.generation import Generation
    from ..files.wgconf import WgFile
    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["as_far_as_possible", "require_ipv6"]

_OFF = "1"
# Where systemd-sysctl reads from, those that count most first (sysctl.d(5)).
_FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d")
_OTHER = "take `cidr6` out of the stack file"


def require_ipv6(places: Places, tunnel: Tunnel, file: WgFile) -> None:
    """Refuse IPv6 addresses where this host cannot have them, now or after a reboot. Raises `AgentError`.

    What decides is the switch of the interface itself, and for one that is made that of `default`; `all`
    only sets both.
    """
    own = next((each for each in file.addresses if not _is_ipv4(each)), None)
    if own is None:
        return
    if not (places.sysctls / "net/ipv6").is_dir():
        raise AgentError(
            Answer.REFUSED,
            f"{WG_CONF}: Address {own}: the kernel of this host has no IPv6: take `ipv6.disable=1` off its "
            f"command line and restart the host, or {_OTHER}",
        )
    for key in _switches(tunnel):
        if _is_off(places.sysctls, key):
            raise AgentError(
                Answer.REFUSED,
                f"{WG_CONF}: Address {own}: {key} is 1 on this host{_named_in(places)}, so "
                f"{tunnel.interface} cannot have an IPv6 address: set {key} = 0 in /etc/sysctl.d and run "
                f"`sysctl --system`, or {_OTHER}",
            )


def as_far_as_possible(places: Places, tunnel: Tunnel, generation: Generation) -> Generation:
    """Return a generation without its IPv6 where the interface cannot have that, so that IPv4 works.

    `check` finds what is missing. Of use after a restart of the host, when nobody can be asked.
    """
    off = not (places.sysctls / "net/ipv6").is_dir() or _is_off(places.sysctls, _switches(tunnel)[0])
    if not off or all(_is_ipv4(each) for each in generation.file.addresses):
        return generation
    log(f"IPv6 is switched off on this host: {tunnel.interface} comes up without its IPv6 addresses")
    return replace(generation, file=_in_ipv4(generation.file))


def _switches(tunnel: Tunnel) -> tuple[str, ...]:
    return tuple(f"net.ipv6.conf.{name}.disable_ipv6" for name in (tunnel.interface, "default"))


def _is_off(sysctls: Path, key: str) -> bool:
    try:
        return sysctl_path(sysctls, key).read_text().strip() == _OFF
    except FileNotFoundError:  # an interface that is not there yet
        return False


def _named_in(places: Places) -> str:
    """Name the file that switches IPv6 off, if there is one."""
    wanted = re.compile(r"(?m)^\s*-?net[./]ipv6[./]conf[./](all|default)[./]disable_ipv6\s*=\s*1\s*$")
    files = [*_files(places.root), places.root / "etc/sysctl.conf"]
    found = next((f for f in files if f.is_file() and wanted.search(f.read_text(errors="replace"))), None)
    return f" (by {found})" if found else ""


def _files(root: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        yield from sorted((root / folder).glob("*.conf"))


def _is_ipv4(address: str) -> bool:
    return ipaddress.ip_interface(address).version == 4


def _in_ipv4(file: WgFile) -> WgFile:
    peers = tuple(
        replace(peer, allowed_ips=tuple(each for each in peer.allowed_ips if _is_ipv4(each)))
        for peer in file.peers
    )
    return replace(file, addresses=tuple(each for each in file.addresses if _is_ipv4(each)), peers=peers)
