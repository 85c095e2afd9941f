"""Pure: a WireGuard interface as it is, as it should be, and the smallest commands in between."""

from __future__ import annotations

import ipaddress

from ..difference import Difference
from ..files.wgconf import WgFile, clamped
from ..records import dataclass, field, replace
from .route_text import LAST, METRIC, MTU, ROUTE_PROTOCOL, SOURCE, routes_by_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any, Optional, Union

    from ..system.rtnetlink import Entry
    from ..tunnel import Tunnel

    Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]

__all__ = [
    "Device",
    "Link",
    "Peer",
    "Secret",
    "device_differences",
    "key_fields",
    "link_commands",
    "link_differences",
    "network_commands",
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
    metric: `0.0.0.0/0 metric 8700`. `networks` are those that come with the addresses. Where packets are to
    leave from one of several addresses, both say so: `10.10.0.0/24 src 10.10.0.1`. `shadowed` are routes to
    the same networks that do not count.
    """

    addresses: frozenset[str]
    mtu: int
    up: bool
    routes: frozenset[str]
    networks: frozenset[str] = frozenset()
    shadowed: frozenset[str] = frozenset()


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

    A peer with an MTU of its own has its own routes. Of several addresses, the node sends from the first one
    that is in the network it sends to, or else from the first one: the kernel would decide by their age.
    """
    own = [ipaddress.ip_interface(address) for address in file.addresses]
    routes = set()
    for peer in file.peers:
        for part in peer.allowed_ips:
            allowed = ipaddress.ip_network(part)
            mine = [each for each in own if each.version == allowed.version]
            inside = [each for each in mine if _within(allowed, each.network)]
            way = part if allowed.prefixlen else f"{part}{METRIC}{LAST}"
            if len(mine) > 1:
                way += f"{SOURCE}{(inside or mine)[0].ip}"
            if peer.mtu is not None:
                routes.add(f"{way}{MTU}{peer.mtu}")
            elif not inside:
                routes.add(way)
    return Link(
        frozenset(file.addresses),
        file.mtu,
        up=True,
        routes=frozenset(routes),
        networks=frozenset(_networks(own)),
    )


def _networks(own: Sequence[Interface]) -> Iterator[str]:
    """Yield the networks that come with these addresses, the first address of several first."""
    for network in {each.network for each in own if each.network.prefixlen != each.max_prefixlen}:
        inside = [each.ip for each in own if each.network == network]
        yield f"{network}{SOURCE}{inside[0]}" if len(inside) > 1 else str(network)


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
    found = list(_network_differences(live, wanted))
    has, should = routes_by_network(live.routes), routes_by_network(wanted.routes)
    other = {network for network in has.keys() & should if has[network] != should[network]}
    for kind, live_names, wanted_names in (
        ("address", live.addresses, wanted.addresses),
        ("route", _but_for(has, other), _but_for(should, other)),
    ):
        missing, more = sorted(wanted_names - live_names), sorted(live_names - wanted_names)
        found += [Difference(f"{kind} {name}", "absent", "present") for name in missing]
        found += [Difference(f"{kind} {name}", "present", "absent") for name in more]
    for network in sorted(other):
        for what, shown in (("MTU", _mtu_of), ("source", _source_of)):
            old, new = shown(has[network]), shown(should[network])
            found += [Difference(f"route {network}: {what}", old, new)] if old != new else []
    if live.mtu != wanted.mtu:
        found.append(Difference("MTU", str(live.mtu), str(wanted.mtu)))
    if live.up != wanted.up:
        found.append(Difference("link", "up" if live.up else "down", "up" if wanted.up else "down"))
    return found


def _but_for(routes: Mapping[str, str], networks: Collection[str]) -> frozenset[str]:
    return frozenset(route for network, route in routes.items() if network not in networks)


def _network_differences(live: Link, wanted: Link) -> Iterator[Difference]:
    there = routes_by_network(live.networks)
    for name, route in routes_by_network(_wrong_networks(live, wanted)).items():
        if name in there:
            yield Difference(f"network {name}: source", _source_of(there[name]), _source_of(route))
        else:
            yield Difference(f"network {name}", "no route to it", "present")


def _mtu_of(route: str) -> str:
    return route.partition(MTU)[2] or "the interface's"


def _source_of(route: str) -> str:
    return route.partition(MTU)[0].partition(SOURCE)[2] or "the kernel's choice"


def parse_addresses(tunnel: Tunnel, shown: Sequence[Entry]) -> Optional[Link]:
    """Parse what `ip -j address show` prints (routes are left empty); None when there is no such link."""
    entries = [entry for entry in shown if entry.get("ifname") == tunnel.interface]
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

    Removing a primary address takes its secondaries along, so the caller looks again afterwards. An address
    goes last, as the kernel removes the routes that send from it. While the link is up, the route of a narrow
    peer is there before the interface becomes wider, and goes after the interface has become narrower: no
    packet is too large on the way.
    """
    device = ["dev", tunnel.interface]
    there, should = routes_by_network(live.routes), routes_by_network(wanted.routes)
    # `ip` would delete the kernel's route to the same network, once an address has brought that.
    own = sorted(there.keys() & routes_by_network(wanted.networks) - should.keys())
    commands = [["ip", "route", "del", network, *device] for network in own]
    commands += network_commands(tunnel, live, wanted)
    gone = live.addresses - wanted.addresses
    for address in sorted(wanted.addresses - live.addresses):
        former = [each for each in sorted(gone) if _is_again(each, address)]
        commands += [["ip", "address", "del", each, *device] for each in former]
        commands.append(["ip", "address", "add", address, *device, *_at_once(address)])
        gone -= {*former}
    size = [["ip", "link", "set", *device, "mtu", str(wanted.mtu)]] if live.mtu != wanted.mtu else []
    switch = [["ip", "link", "set", *device, "up" if wanted.up else "down"]] if live.up != wanted.up else []
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
        ["ip", "route", "del", *network.split(), *device]
        for network in sorted(there.keys() - should.keys() - {*own})
    ]
    commands += _replaced(tunnel, sorted(wanted.routes - live.routes - set(narrow)))
    return commands + [["ip", "address", "del", address, *device] for address in sorted(gone)]


def _is_again(former: str, address: str) -> bool:
    """Whether an IPv6 address comes with another length of its network: an interface has it once."""
    return ":" in address and former.partition("/")[0] == address.partition("/")[0]


def _at_once(address: str) -> list[str]:
    """Have an IPv6 address without asking the link whether another host has it: the peers cannot."""
    return ["nodad"] if ":" in address else []


def _replaced(tunnel: Tunnel, routes: Iterable[str]) -> list[list[str]]:
    device = ["dev", tunnel.interface, "proto", ROUTE_PROTOCOL]
    return [
        ["ip", "route", "replace", *network.split(), *device, *(["mtu", size] if size else [])]
        for network, _, size in (route.partition(MTU) for route in routes)
    ]


def network_commands(tunnel: Tunnel, live: Link, wanted: Link) -> list[list[str]]:
    """Return the commands that bring the routes to networks of addresses to what they should be.

    Only of those whose address is there and up; the others come with their address. The kernel does not let a
    route be replaced by one that it has already.
    """
    ours = routes_by_network(wanted.networks)
    shadowed = [route for route in live.shadowed if route.partition(SOURCE)[0] in ours]
    return [
        *(["ip", "route", "del", *route.split(), *_by_kernel(tunnel)] for route in sorted(shadowed)),
        *(_network_command(tunnel, live, route) for route in _wrong_networks(live, wanted)),
    ]


def _by_kernel(tunnel: Tunnel) -> list[str]:
    return ["dev", tunnel.interface, "proto", "kernel"]


def _wrong_networks(live: Link, wanted: Link) -> list[str]:
    """Return, as they should be, the routes to networks that are gone or send from another address."""
    there = routes_by_network(live.networks)
    wrong = [
        route
        for route in sorted(wanted.networks - live.networks if live.up else ())
        if SOURCE in route or route not in there
    ]
    own = [ipaddress.ip_interface(address) for address in live.addresses & wanted.addresses] if wrong else []
    return [route for route in wrong if any(_sends_from(each, route) for each in own)]


def _sends_from(own: Interface, route: str) -> bool:
    network, _, source = route.partition(SOURCE)
    return str(own.network) == network and source in ("", str(own.ip))


def _network_command(tunnel: Tunnel, live: Link, route: str) -> list[str]:
    """Return the command that makes the route to a network as the kernel makes it."""
    network = route.partition(SOURCE)[0]
    there = map(ipaddress.ip_interface, sorted(live.addresses))
    own = next(each for each in there if _sends_from(each, route))
    # IP6_RT_PRIO_ADDRCONF in net/ipv6/route.c
    how = ["scope", "link"] if own.version == 4 else ["metric", "256"]
    source = ["src", str(own.ip)] if own.version == 4 or SOURCE in route else []
    return ["ip", "route", "replace", network, *_by_kernel(tunnel), *how, *source]
