"""Pure: a WireGuard interface as it is, as it should be, and the smallest commands in between."""

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .difference import Difference
from .places import INTERFACE
from .wgconf import WgFile, clamped

__all__ = [
    "Device",
    "Link",
    "Peer",
    "Secret",
    "device_differences",
    "link_commands",
    "link_differences",
    "parse_addresses",
    "parse_dump",
    "parse_routes",
    "wanted_device",
    "wanted_link",
    "wg_commands",
]


@dataclass(frozen=True)
class Secret:
    """An argument that must not be seen: handed to the tool through a descriptor."""

    value: str = field(repr=False)


Argument = Union[str, Secret]


@dataclass(frozen=True)
class Peer:
    """A peer of the interface; `keepalive` in seconds, 0 for off."""

    preshared_key: Optional[str] = field(repr=False)
    endpoint: Optional[str]
    allowed_ips: frozenset[str]
    keepalive: int


@dataclass(frozen=True)
class Device:
    """What `wg` knows of the interface; peers by public key."""

    private_key: Optional[str] = field(repr=False)
    port: int
    fwmark: int
    peers: Mapping[str, Peer]


@dataclass(frozen=True)
class Link:
    """What `ip` knows of the interface: addresses with prefix length, MTU in bytes, our routes."""

    addresses: frozenset[str]
    mtu: int
    up: bool
    routes: frozenset[str]


def parse_dump(text: str) -> Device:
    """Parse `wg show wg0 dump`."""
    first, *rest = [line.split("\t") for line in text.splitlines()]
    peers = {}
    for public, preshared, endpoint, allowed, _handshake, _received, _sent, keepalive in rest:
        peers[public] = Peer(
            preshared_key=_optional(preshared),
            endpoint=_optional(endpoint),
            allowed_ips=frozenset(allowed.split(",")) if allowed != "(none)" else frozenset(),
            keepalive=0 if keepalive == "off" else int(keepalive),
        )
    private, _public, port, fwmark = first
    mark = 0 if fwmark == "off" else int(fwmark, 16)
    return Device(private_key=_optional(private), port=int(port), fwmark=mark, peers=peers)


def _optional(text: str) -> Optional[str]:
    return None if text == "(none)" else text


def wanted_device(file: WgFile, keys: Mapping[str, str]) -> Device:
    """Return the device a file describes; `keys` are base64 by fingerprint."""
    peers = {
        peer.public_key: Peer(
            preshared_key=keys[peer.preshared] if peer.preshared else None,
            endpoint=peer.endpoint,
            allowed_ips=frozenset(peer.allowed_ips),
            keepalive=peer.keepalive,
        )
        for peer in file.peers
    }
    return Device(private_key=clamped(keys[file.private]), port=file.port, fwmark=0, peers=peers)


def wanted_link(file: WgFile) -> Link:
    """Return the link a file describes; like wg-quick, a route only where no address covers it."""
    networks = [ipaddress.ip_interface(address).network for address in file.addresses]
    routes = set()
    for peer in file.peers:
        for part in peer.allowed_ips:
            allowed = ipaddress.ip_network(part)
            covered = (net.version == allowed.version and _within(allowed, net) for net in networks)
            if not any(covered):
                routes.add(part)
    return Link(frozenset(file.addresses), file.mtu, up=True, routes=frozenset(routes))


def _within(inner: Any, outer: Any) -> bool:
    return bool(inner.subnet_of(outer))


def wg_commands(live: Device, wanted: Device, *, at_most: int = 100) -> list[list[Argument]]:
    """Return the smallest `wg set` commands from `live` to `wanted`: none when nothing differs.

    What goes is named explicitly (older tools do not clear it otherwise), peers that leave come first
    so that their addresses are free, and nothing that is equal is sent: a userspace WireGuard opens
    its socket anew for the port it already has. At most `at_most` peers per command.
    """
    head: list[Argument] = []
    if live.private_key != wanted.private_key:
        head += ["private-key", Secret(wanted.private_key) if wanted.private_key else "/dev/null"]
    if live.port != wanted.port:
        head += ["listen-port", str(wanted.port)]
    if live.fwmark != wanted.fwmark:
        head += ["fwmark", hex(wanted.fwmark)]
    changes = list(_peer_changes(live, wanted))
    commands: list[list[Argument]] = []
    for start in range(0, max(len(changes), 1), at_most):
        arguments = [argument for change in changes[start : start + at_most] for argument in change]
        if head or arguments:
            commands.append(["wg", "set", INTERFACE, *head, *arguments])
        head = []
    return commands


def _peer_changes(live: Device, wanted: Device) -> Iterator[list[Argument]]:
    for public in sorted(set(live.peers) - set(wanted.peers)):
        yield ["peer", public, "remove"]
    fresh = Peer(preshared_key=None, endpoint=None, allowed_ips=frozenset(), keepalive=0)
    for public, peer in wanted.peers.items():
        arguments = _peer_arguments(live.peers.get(public, fresh), peer)
        if arguments or public not in live.peers:
            yield ["peer", public, *arguments]


def _peer_arguments(live: Peer, wanted: Peer) -> list[Argument]:
    arguments: list[Argument] = []
    if live.preshared_key != wanted.preshared_key:
        value: Argument = Secret(wanted.preshared_key) if wanted.preshared_key else "/dev/null"
        arguments += ["preshared-key", value]
    if wanted.endpoint and live.endpoint != wanted.endpoint:
        arguments += ["endpoint", wanted.endpoint]
    if live.keepalive != wanted.keepalive:
        arguments += ["persistent-keepalive", str(wanted.keepalive) if wanted.keepalive else "off"]
    if live.allowed_ips != wanted.allowed_ips:
        arguments += ["allowed-ips", ",".join(sorted(wanted.allowed_ips))]
    return arguments


def device_differences(live: Device, wanted: Device) -> list[Difference]:
    """Say how `live` differs; an endpoint may roam, so only a missing one counts."""
    found = []
    if live.private_key != wanted.private_key:
        found.append(Difference("private key", "another one" if live.private_key else "none", "this node's"))
    if live.port != wanted.port:
        found.append(Difference("listen port", str(live.port), str(wanted.port)))
    if live.fwmark != wanted.fwmark:
        found.append(Difference("fwmark", hex(live.fwmark), hex(wanted.fwmark)))
    found += [
        Difference(f"peer {public}", "present", "absent")
        for public in sorted(live.peers.keys() - wanted.peers)
    ]
    for public, peer in wanted.peers.items():
        if public in live.peers:
            found += _peer_differences(f"peer {public}", live.peers[public], peer)
        else:
            found.append(Difference(f"peer {public}", "absent", "present"))
    return found


def _peer_differences(name: str, live: Peer, wanted: Peer) -> list[Difference]:
    found = []
    if live.preshared_key != wanted.preshared_key:
        shown = "another one" if live.preshared_key else "none"
        found.append(
            Difference(f"{name}: pre-shared key", shown, "this pair's" if wanted.preshared_key else "none")
        )
    if wanted.endpoint and not live.endpoint:
        found.append(Difference(f"{name}: endpoint", "none", wanted.endpoint))
    if live.keepalive != wanted.keepalive:
        found.append(
            Difference(f"{name}: keepalive", str(live.keepalive or "off"), str(wanted.keepalive or "off"))
        )
    if live.allowed_ips != wanted.allowed_ips:
        shown, right = (", ".join(sorted(peer.allowed_ips)) or "none" for peer in (live, wanted))
        found.append(Difference(f"{name}: allowed IPs", shown, right))
    return found


def link_differences(live: Link, wanted: Link) -> list[Difference]:
    """Say how the link differs: addresses, MTU, whether it is up, routes."""
    found = []
    for kind, has, should in (
        ("address", live.addresses, wanted.addresses),
        ("route", live.routes, wanted.routes),
    ):
        found += [Difference(f"{kind} {name}", "absent", "present") for name in sorted(should - has)]
        found += [Difference(f"{kind} {name}", "present", "absent") for name in sorted(has - should)]
    if live.mtu != wanted.mtu:
        found.append(Difference("MTU", str(live.mtu), str(wanted.mtu)))
    if live.up != wanted.up:
        found.append(Difference("link", "up" if live.up else "down", "up" if wanted.up else "down"))
    return found


def parse_addresses(text: str) -> Optional[Link]:
    """Parse `ip -j address show dev wg0` (routes are left empty); None when there is no such link."""
    entries = [entry for entry in json.loads(text or "[]") if entry.get("ifname") == INTERFACE]
    if not entries:
        return None
    entry = entries[0]
    addresses = frozenset(
        f"{info['local']}/{info['prefixlen']}"
        for info in entry.get("addr_info", [])
        if not (info["family"] == "inet6" and info.get("scope") == "link")
    )
    return Link(addresses, int(entry["mtu"]), up="UP" in entry.get("flags", []), routes=frozenset())


def parse_routes(text: str) -> frozenset[str]:
    """Parse `ip -j route show dev wg0` (or -6): only routes as wg-quick or a hand makes them.

    Those of the kernel and of routing daemons, and those with a gateway, are not ours.
    """
    routes = set()
    for entry in json.loads(text or "[]"):
        if entry.get("protocol", "boot") in ("boot", "static") and "gateway" not in entry:
            version6 = ":" in entry["dst"]
            destination = ("::/0" if version6 else "0.0.0.0/0") if entry["dst"] == "default" else entry["dst"]
            routes.add(ipaddress.ip_network(destination).with_prefixlen)
    return frozenset(routes)


def link_commands(live: Link, wanted: Link) -> list[list[str]]:
    """Return the smallest `ip` commands from `live` to `wanted`: none when nothing differs.

    Removing a primary address takes its secondaries along, so the caller looks again afterwards.
    """
    device = ["dev", INTERFACE]
    commands = [
        ["ip", "address", "add", address, *device] for address in sorted(wanted.addresses - live.addresses)
    ]
    commands += [
        ["ip", "address", "del", address, *device] for address in sorted(live.addresses - wanted.addresses)
    ]
    if live.mtu != wanted.mtu:
        commands.append(["ip", "link", "set", *device, "mtu", str(wanted.mtu)])
    if live.up != wanted.up:
        commands.append(["ip", "link", "set", *device, "up" if wanted.up else "down"])
    commands += [["ip", "route", "del", route, *device] for route in sorted(live.routes - wanted.routes)]
    commands += [["ip", "route", "replace", route, *device] for route in sorted(wanted.routes - live.routes)]
    return commands
