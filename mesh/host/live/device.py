"""Pure: a WireGuard interface as it is, as it should be, and the smallest commands in between."""

from __future__ import annotations

import ipaddress
import json

from ..difference import Difference
from ..files.wgconf import WgFile, clamped
from ..records import dataclass, field, replace
from .route_text import LAST, METRIC, MTU, ROUTE_PROTOCOL, routes_by_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any, Optional, Union

    from ..tunnel import Tunnel

__all__ = [
    "Device",
    "Link",
    "Peer",
    "Secret",
    "device_differences",
    "key_fields",
    "link_commands",
    "link_differences",
    "parse_addresses",
    "parse_dump",
    "wanted_device",
    "wanted_link",
    "wg_commands",
    "with_keys",
    "with_names",
]


@dataclass(frozen=True)
class Secret:
    """An argument that must not be seen: a key, handed to the tool through a descriptor, or by its name."""

    value: str = field(repr=False)


if TYPE_CHECKING:
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
    """What `wg` knows of the interface; peers by public key.

    Its keys are in base64 where it is what runs, and names where it is kept: their fingerprints.
    """

    private_key: Optional[str] = field(repr=False)
    port: int
    fwmark: int
    peers: Mapping[str, Peer]


@dataclass(frozen=True)
class Link:
    """What `ip` knows of the interface: addresses with prefix length, MTU in bytes, routes.

    `routes` are those that we made, `10.10.0.7/32` or `10.10.0.7/32 mtu 1320`, a default route with its
    metric: `0.0.0.0/0 metric 8700`. `networks` are those that come with the addresses.
    """

    addresses: frozenset[str]
    mtu: int
    up: bool
    routes: frozenset[str]
    networks: frozenset[str] = frozenset()


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


def wanted_device(file: WgFile) -> Device:
    """Return the device a file describes, with names of keys in their place."""
    peers = {
        peer.public_key: Peer(
            preshared_key=peer.preshared,
            endpoint=peer.endpoint,
            allowed_ips=frozenset(peer.allowed_ips),
            keepalive=peer.keepalive,
        )
        for peer in file.peers
    }
    return Device(private_key=file.private, port=file.port, fwmark=0, peers=peers)


def key_fields(device: Device) -> frozenset[str]:
    """Return what a device has for keys: keys, or their names."""
    preshared = (peer.preshared_key for peer in device.peers.values())
    return frozenset(key for key in (device.private_key, *preshared) if key)


def with_keys(device: Device, keys: Mapping[str, str]) -> Device:
    """Return a device with keys (base64, by fingerprint) in the place of their names."""
    named = with_names(device, keys)
    return replace(named, private_key=clamped(named.private_key) if named.private_key else None)


def with_names(device: Device, names: Mapping[str, str]) -> Device:
    """Return a device with names in the place of keys, which `names` has by key. Raises `KeyError`."""
    peers = {
        public: replace(peer, preshared_key=names[peer.preshared_key] if peer.preshared_key else None)
        for public, peer in device.peers.items()
    }
    return replace(device, private_key=names[device.private_key] if device.private_key else None, peers=peers)


def wanted_link(file: WgFile) -> Link:
    """Return the link a file describes; like wg-quick, a route only where no address covers it.

    A peer with an MTU of its own has its own routes.
    """
    networks = [ipaddress.ip_interface(address).network for address in file.addresses]
    routes = set()
    for peer in file.peers:
        for part in peer.allowed_ips:
            allowed = ipaddress.ip_network(part)
            covered = (net.version == allowed.version and _within(allowed, net) for net in networks)
            way = part if allowed.prefixlen else f"{part}{METRIC}{LAST}"
            if peer.mtu is not None:
                routes.add(f"{way}{MTU}{peer.mtu}")
            elif not any(covered):
                routes.add(way)
    connected = frozenset(str(net) for net in networks if net.prefixlen != net.max_prefixlen)
    return Link(frozenset(file.addresses), file.mtu, up=True, routes=frozenset(routes), networks=connected)


def _within(inner: Any, outer: Any) -> bool:
    return bool(inner.subnet_of(outer))


def wg_commands(tunnel: Tunnel, live: Device, wanted: Device, *, at_most: int = 100) -> list[list[Argument]]:
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
            commands.append(["wg", "set", tunnel.interface, *head, *arguments])
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
    found = [
        Difference(f"network {name}", "no route to it", "present") for name in _lost_networks(live, wanted)
    ]
    has, should = routes_by_network(live.routes), routes_by_network(wanted.routes)
    other = {network for network in has.keys() & should if has[network] != should[network]}
    for kind, live_names, wanted_names in (
        ("address", live.addresses, wanted.addresses),
        ("route", _but_for(has, other), _but_for(should, other)),
    ):
        missing, more = sorted(wanted_names - live_names), sorted(live_names - wanted_names)
        found += [Difference(f"{kind} {name}", "absent", "present") for name in missing]
        found += [Difference(f"{kind} {name}", "present", "absent") for name in more]
    found += [
        Difference(f"route {network}: MTU", _mtu_of(has[network]), _mtu_of(should[network]))
        for network in sorted(other)
    ]
    if live.mtu != wanted.mtu:
        found.append(Difference("MTU", str(live.mtu), str(wanted.mtu)))
    if live.up != wanted.up:
        found.append(Difference("link", "up" if live.up else "down", "up" if wanted.up else "down"))
    return found


def _but_for(routes: Mapping[str, str], networks: Collection[str]) -> frozenset[str]:
    return frozenset(route for network, route in routes.items() if network not in networks)


def _mtu_of(route: str) -> str:
    return route.partition(MTU)[2] or "the interface's"


def parse_addresses(tunnel: Tunnel, text: str) -> Optional[Link]:
    """Parse `ip -j address show dev wg0` (routes are left empty); None when there is no such link."""
    entries = [entry for entry in json.loads(text or "[]") if entry.get("ifname") == tunnel.interface]
    if not entries:
        return None
    entry = entries[0]
    addresses = frozenset(
        f"{info['local']}/{info['prefixlen']}"
        for info in entry.get("addr_info", [])
        if not (info["family"] == "inet6" and info.get("scope") == "link")
    )
    return Link(addresses, int(entry["mtu"]), up="UP" in entry.get("flags", []), routes=frozenset())


def link_commands(tunnel: Tunnel, live: Link, wanted: Link) -> list[list[str]]:
    """Return the smallest `ip` commands from `live` to `wanted`: none when nothing differs.

    Removing a primary address takes its secondaries along, so the caller looks again afterwards. While the
    link is up, the route of a narrow peer is there before the interface becomes wider, and goes after the
    interface has become narrower: no packet is too large on the way.
    """
    device = ["dev", tunnel.interface]
    commands = [
        ["ip", "address", "add", address, *device, *_at_once(address)]
        for address in sorted(wanted.addresses - live.addresses)
    ]
    commands += [
        ["ip", "address", "del", address, *device] for address in sorted(live.addresses - wanted.addresses)
    ]
    size = [["ip", "link", "set", *device, "mtu", str(wanted.mtu)]] if live.mtu != wanted.mtu else []
    switch = [["ip", "link", "set", *device, "up" if wanted.up else "down"]] if live.up != wanted.up else []
    there, should = routes_by_network(live.routes), routes_by_network(wanted.routes)
    narrow = [route for route in sorted(wanted.routes) if MTU in route]
    fresh = [route for route in narrow if route not in live.routes]
    # With the MTU of an interface, Linux changes that of an IPv6 route that had the same (net/ipv6/route.c).
    again = [route for route in narrow if ":" in route and size and route not in fresh]
    if live.up and wanted.up:
        again += [route for route in fresh if ":" in route and size]
        commands += _replaced(tunnel, fresh) + size + _replaced(tunnel, again)
    else:
        commands += size + switch + _replaced(tunnel, [*fresh, *again])
    commands += [
        ["ip", "route", "del", *network.split(), *device] for network in sorted(there.keys() - should)
    ]
    commands += _replaced(tunnel, sorted(wanted.routes - live.routes - set(narrow)))
    return commands + [_network_command(tunnel, live, network) for network in _lost_networks(live, wanted)]


def _at_once(address: str) -> list[str]:
    """Have an IPv6 address without asking the link whether another host has it: the peers cannot."""
    return ["nodad"] if ":" in address else []


def _replaced(tunnel: Tunnel, routes: Iterable[str]) -> list[list[str]]:
    device = ["dev", tunnel.interface, "proto", ROUTE_PROTOCOL]
    return [
        ["ip", "route", "replace", *network.split(), *device, *(["mtu", size] if size else [])]
        for network, _, size in (route.partition(MTU) for route in routes)
    ]


def _lost_networks(live: Link, wanted: Link) -> list[str]:
    """Return the networks to which the route is gone, though their address is there and up."""
    lost = wanted.networks - live.networks if live.up else frozenset()
    if not lost:
        return []
    there = {str(ipaddress.ip_interface(address).network) for address in live.addresses & wanted.addresses}
    return sorted(lost & there)


def _network_command(tunnel: Tunnel, live: Link, network: str) -> list[str]:
    """Return the command that brings back the route to a network, as the kernel makes it."""
    own = next(
        address
        for address in map(ipaddress.ip_interface, sorted(live.addresses))
        if str(address.network) == network
    )
    # IP6_RT_PRIO_ADDRCONF in net/ipv6/route.c
    how = ["scope", "link", "src", str(own.ip)] if own.version == 4 else ["metric", "256"]
    return ["ip", "route", "replace", network, "dev", tunnel.interface, "proto", "kernel", *how]
