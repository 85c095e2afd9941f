"""The live WireGuard interface: read it, make it, bring it to what it should be."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from ..answers import AgentError, Answer
from ..difference import Difference
from ..files.keystore import require_keys
from ..records import dataclass, replace
from ..system import rtnetlink
from ..system.run import attempt, find_tool, run
from .clsact import add_queue
from .device import (
    Device,
    Link,
    Secret,
    device_differences,
    link_commands,
    link_differences,
    parse_addresses,
    parse_dump,
    wg_commands,
    with_keys,
)
from .roaming import with_roamed
from .route_text import parse_networks, parse_routes, parse_shadowed
from .routes import put_back, routes_of_others

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Optional

    from ..places import Places
    from ..tunnel import Tunnel
    from .device import Argument
    from .wanted import Before, Wanted

__all__ = [
    "WIREGUARD_KINDS",
    "Traffic",
    "bring_to",
    "converge",
    "create_link",
    "delete_link",
    "exists",
    "interface_differences",
    "link_kind",
    "read_device",
    "read_link",
    "read_traffic",
]

WIREGUARD_KINDS = ("wireguard", "tun")
"""What the kernel calls an interface of its own WireGuard, and of one in userspace."""

_ROUNDS = 3
_VERSIONS = (4, 6)


def read_link(tunnel: Tunnel, ours: frozenset[str] = frozenset()) -> Optional[Link]:
    """Return the link as it is, or None when there is none.

    `ours` are routes that we made even if they lack our mark, as those of agents before it do. Raises
    `AgentError` where the kernel does not tell.
    """
    link = parse_addresses(tunnel, rtnetlink.addresses(tunnel.interface))
    if link is None:
        return None
    routes, networks, shadowed = frozenset[str](), frozenset[str](), frozenset[str]()
    for version in _VERSIONS:
        found = rtnetlink.routes(version, tunnel.interface)
        routes |= parse_routes(found, version, ours)
        networks |= parse_networks(found, version)
        shadowed |= parse_shadowed(found, version)
    return replace(link, routes=routes, networks=networks, shadowed=shadowed)


def read_device(tunnel: Tunnel) -> Device:
    """Return the device as it is, keys included. Raises `AgentError` when there is none."""
    return parse_dump(run(["wg", "show", tunnel.interface, "dump"]))


@dataclass(frozen=True)
class Traffic:
    """What passes between this node and a peer: seconds since the latest handshake (None: never), bytes.

    `keepalive` are the seconds of silence after which this node sends something; 0: it never does.
    """

    endpoint: str
    handshake_age: Optional[int]
    received: int
    sent: int
    keepalive: int = 0


def read_traffic(tunnel: Tunnel) -> dict[str, Traffic]:
    """Return what passes between this node and each peer, by public key."""
    lines = (attempt(["wg", "show", tunnel.interface, "dump"]) or "").splitlines()[1:]
    now = time.time()
    found = {}
    for public, _preshared, endpoint, _allowed, handshake, received, sent, keepalive in (
        line.split("\t") for line in lines
    ):
        age = max(0, round(now - int(handshake))) if handshake != "0" else None
        seconds = 0 if keepalive == "off" else int(keepalive)
        found[public] = Traffic(endpoint, age, int(received), int(sent), seconds)
    return found


def interface_differences(
    tunnel: Tunnel, device: Optional[Device], link: Link, ours: frozenset[str] = frozenset()
) -> list[Difference]:
    """Say how the live interface differs from what it should be; None leaves the device out.

    `ours` are the routes of the committed files, which may lack our mark.
    """
    live = read_link(tunnel, ours | link.routes)
    if live is None:
        return [Difference(f"link {tunnel.interface}", "absent", "present")]
    found: list[Difference] = []
    if device is not None:
        try:
            found = device_differences(read_device(tunnel), device)
        except AgentError:
            return [
                Difference(
                    f"link {tunnel.interface}", f"of kind {link_kind(tunnel)}", "a WireGuard interface"
                )
            ]
    return found + link_differences(live, link)


def link_kind(tunnel: Tunnel) -> str:
    """Return what kind of interface there is, as the kernel calls it: `bridge`, `wireguard`, `tun`..."""
    return rtnetlink.link_kind(tunnel.interface) or "unknown"


def converge(tunnel: Tunnel, device: Device, link: Link, ours: frozenset[str] = frozenset()) -> int:
    """Bring the existing interface to this state with the fewest commands; returns their number.

    Routes of others over it stay; `ours` are as for `interface_differences`. Raises `AgentError` (FAILED)
    when a command fails or the state is not reached.
    """
    return _converge(tunnel, read_device(tunnel), device, link, ours)


def _converge(tunnel: Tunnel, before: Device, device: Device, link: Link, ours: frozenset[str]) -> int:
    """Do as `converge` does, to a device that has been read."""
    sent = 0
    for command in wg_commands(tunnel, before, device):
        _run_with_secrets(command)
        sent += 1
    known = ours | link.routes
    live = _live_link(tunnel, known)
    theirs = []
    if live.addresses - link.addresses:
        theirs = routes_of_others(tunnel, known)
        _keep_secondaries(tunnel)
    for _round in range(_ROUNDS):
        commands = link_commands(tunnel, live, link)
        if not commands:
            break
        for index, line in enumerate(commands):
            _run_link_command(line, commands[:index])
            sent += 1
        live = _live_link(tunnel, known)
    else:
        remaining = interface_differences(tunnel, device, link, ours)
        if remaining:
            raise AgentError(Answer.FAILED, f"{tunnel.interface} is not what it should be: {remaining[0]}")
    put_back(tunnel, theirs, known)
    return sent


def bring_to(places: Places, tunnel: Tunnel, wanted: Wanted, before: Before, ours: frozenset[str]) -> int:
    """Bring the existing interface to what it is to be; as `converge`.

    A peer that calls from elsewhere than its file says stays there, unless the file says something new.
    """
    keys = require_keys(places, wanted.keys)
    live = read_device(tunnel)
    device = with_roamed(with_keys(wanted.device, keys), live, before)
    return _converge(tunnel, live, device, wanted.link, ours)


def _keep_secondaries(tunnel: Tunnel) -> None:
    """Have the other addresses of a network stay when the first one of that network goes.

    promote_secondaries, Documentation/networking/ip-sysctl.rst; without it they come back a moment later.
    """
    with contextlib.suppress(OSError):
        Path("/proc/sys/net/ipv4/conf", tunnel.interface, "promote_secondaries").write_text("1")


def _live_link(tunnel: Tunnel, ours: frozenset[str]) -> Link:
    live = read_link(tunnel, ours)
    if live is None:
        raise AgentError(Answer.FAILED, f"the link {tunnel.interface} went away")
    return live


def _run_link_command(command: list[str], before: Sequence[list[str]]) -> None:
    """Run one `ip` command; an address may have gone along with one removed before it."""
    removal = command[:3] == ["ip", "address", "del"]
    if removal and any(other[:3] == command[:3] for other in before):
        attempt(command)
    else:
        run(command)


def _run_with_secrets(command: Sequence[Argument]) -> None:
    with contextlib.ExitStack() as stack:
        fds: list[int] = []
        argv = [
            stack.enter_context(_as_file(argument.value, fds)) if isinstance(argument, Secret) else argument
            for argument in command
        ]
        run(argv, fds=fds)


@contextlib.contextmanager
def _as_file(value: str, fds: list[int]) -> Iterator[str]:
    """Hold a secret in memory that has no name, and yield the path under which a child can read it."""
    handle = os.memfd_create("wgmesh")
    try:
        os.write(handle, f"{value}\n".encode())
        fds.append(handle)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def exists(tunnel: Tunnel) -> bool:
    """Tell whether there is an interface of this name, of whatever kind."""
    return Path("/sys/class/net", tunnel.interface).exists()


def create_link(tunnel: Tunnel) -> None:
    """Make the link, by the kernel or else by wireguard-go. Raises `AgentError`.

    It gets the place for filters, which a later rotation of keys needs, before it is up; where the kernel has
    none, the link does without.
    """
    if attempt(["ip", "link", "add", "dev", tunnel.interface, "type", "wireguard"]) is None:
        _create_in_userspace(tunnel)
    add_queue(tunnel.interface)


def _create_in_userspace(tunnel: Tunnel) -> None:
    import subprocess

    program = find_tool("wireguard-go")
    if program is None:
        raise AgentError(
            Answer.FAILED,
            "the kernel has no WireGuard and wireguard-go is not installed: install one of them",
        )
    # The daemon would keep a pipe open for ever: it gets none.
    try:
        code = subprocess.call(
            [program, tunnel.interface],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=20,
        )
    except subprocess.TimeoutExpired:
        raise AgentError(Answer.FAILED, "wireguard-go did not start within 20 s") from None
    if code or not exists(tunnel):
        raise AgentError(Answer.FAILED, f"wireguard-go could not make {tunnel.interface} ({code})")


def delete_link(tunnel: Tunnel) -> None:
    """Remove the link, a userspace WireGuard with it; an interface of another kind, or none, stays."""
    if read_link(tunnel) is not None and link_kind(tunnel) in WIREGUARD_KINDS:
        run(["ip", "link", "delete", "dev", tunnel.interface])
