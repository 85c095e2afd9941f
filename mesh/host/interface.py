"""The live WireGuard interface: read it, make it, bring it to what it should be."""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from .answers import AgentError, Answer
from .device import (
    Argument,
    Device,
    Link,
    Secret,
    device_differences,
    link_commands,
    link_differences,
    parse_addresses,
    parse_dump,
    parse_routes,
    wg_commands,
)
from .difference import Difference
from .places import INTERFACE
from .system import attempt, find_tool, run

__all__ = [
    "converge",
    "create_link",
    "delete_link",
    "interface_differences",
    "read_device",
    "read_link",
    "read_traffic",
]

_ROUNDS = 3
_FAMILIES = ("-4", "-6")


def read_link() -> Optional[Link]:
    """Return the link as it is, or None when there is none."""
    link = parse_addresses(attempt(["ip", "-j", "address", "show", "dev", INTERFACE]) or "")
    if link is None:
        return None
    routes = [
        parse_routes(run(["ip", "-j", family, "route", "show", "dev", INTERFACE])) for family in _FAMILIES
    ]
    return replace(link, routes=routes[0] | routes[1])


def read_device() -> Device:
    """Return the device as it is, keys included. Raises `AgentError` when there is none."""
    return parse_dump(run(["wg", "show", INTERFACE, "dump"]))


def read_traffic() -> dict[str, dict[str, Any]]:
    """Return endpoint, age of the latest handshake in seconds (None: never) and bytes, by public key."""
    lines = (attempt(["wg", "show", INTERFACE, "dump"]) or "").splitlines()[1:]
    now = time.time()
    found = {}
    for public, _preshared, endpoint, _allowed, handshake, received, sent, _keepalive in (
        line.split("\t") for line in lines
    ):
        age = max(0, round(now - int(handshake))) if handshake != "0" else None
        found[public] = {
            "endpoint": endpoint,
            "handshake_age": age,
            "received": int(received),
            "sent": int(sent),
        }
    return found


def interface_differences(device: Optional[Device], link: Link) -> list[Difference]:
    """Say how the live interface differs from what it should be; None leaves the device out."""
    live = read_link()
    if live is None:
        return [Difference(f"link {INTERFACE}", "absent", "present")]
    found = [] if device is None else device_differences(read_device(), device)
    return found + link_differences(live, link)


def converge(device: Device, link: Link) -> int:
    """Bring the existing interface to this state with the fewest commands; returns their number.

    Raises `AgentError` (FAILED) when a command fails or the state is not reached.
    """
    sent = 0
    for command in wg_commands(read_device(), device):
        _run_with_secrets(command)
        sent += 1
    for _round in range(_ROUNDS):
        live = read_link()
        if live is None:
            raise AgentError(Answer.FAILED, f"the link {INTERFACE} went away")
        commands = link_commands(live, link)
        if not commands:
            return sent
        for index, line in enumerate(commands):
            _run_link_command(line, commands[:index])
            sent += 1
    remaining = interface_differences(device, link)
    if remaining:
        raise AgentError(Answer.FAILED, f"{INTERFACE} is not what it should be: {remaining[0]}")
    return sent


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


def create_link() -> None:
    """Make the link, by the kernel or else by wireguard-go. Raises `AgentError`."""
    if attempt(["ip", "link", "add", "dev", INTERFACE, "type", "wireguard"]) is not None:
        return
    program = find_tool("wireguard-go")
    if program is None:
        raise AgentError(
            Answer.FAILED,
            "the kernel has no WireGuard and wireguard-go is not installed: install one of them",
        )
    # The daemon would keep a pipe open for ever: it gets none.
    started = subprocess.run(
        [program, INTERFACE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    if started.returncode or not Path("/sys/class/net", INTERFACE).exists():
        raise AgentError(Answer.FAILED, f"wireguard-go could not make {INTERFACE} ({started.returncode})")


def delete_link() -> None:
    """Remove the link; a userspace WireGuard ends with it. Nothing happens when there is none."""
    if read_link() is not None:
        run(["ip", "link", "delete", "dev", INTERFACE])
