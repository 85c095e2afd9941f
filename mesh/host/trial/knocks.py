"""Which packets must come in: read from a generation and its table, tried by `packets`."""

from __future__ import annotations

import ipaddress
import json

from ..live.firewall import expected_table
from ..live.sources import declared_sources, edges, foreign_address
from ..records import dataclass, replace
from ..system.sockets import listeners

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Optional

    from ..files.generation import Generation
    from ..system.session import Session
    from ..tunnel import Tunnel

__all__ = [
    "Behind",
    "Door",
    "Knock",
    "egress_knocks",
    "forwarded_knocks",
    "mesh_knocks",
    "ssh_knocks",
    "wireguard_knocks",
]

# A port that nobody has: stands for all where the policy allows all.
_ANY_PORT = 49_137
# Of each kind: together with strangers, families and two ports below the 1024 that select(2) can wait for.
_MOST = 150
_MOST_LISTENERS = 16
_MOST_THROUGH = 4
# Stands for the IPv4 internet in a scratch namespace: nobody's (RFC 5737).
_INTERNET = "198.51.100.254"
# What the names of a family's sets end with (mesh/render/firewall.py).
_SUFFIX = {4: "", 6: "6"}


@dataclass(frozen=True)
class Door:
    """Where packets come to: an interface, and the host's address on it."""

    interface: str
    address: str

    @property
    def version(self) -> int:
        """The IP version."""
        return ipaddress.ip_address(self.address).version


@dataclass(frozen=True)
class Behind:
    """A network behind this host: its interface, this host's address there as `ip/prefix`, somebody there.

    The internet has no address there: the default route leads to it.
    """

    interface: str
    address: str
    somebody: str


@dataclass(frozen=True)
class Knock:
    """One attempt to be let in, or to go through to what is `behind`.

    `source_port` 0 is any, `welcome` is whether it must come in or must not.
    """

    what: str
    protocol: str
    source: str
    door: Door
    port: int
    source_port: int = 0
    welcome: bool = True
    behind: Optional[Behind] = None

    @property
    def target(self) -> str:
        """Where it is sent."""
        return self.behind.somebody if self.behind else self.door.address

    def __str__(self) -> str:
        return f"{self.what} from {self.source}"


def ssh_knocks(
    generation: Generation, doors: Sequence[Door], port: int, session: Optional[Session]
) -> list[Knock]:
    """Return a knock at `port` of this session, of both ends of every declared source, and of strangers."""
    what = f"SSH to port {port}"
    mesh = [ipaddress.ip_interface(address).network for address in generation.file.addresses]
    found = []
    if session is not None:
        door = Door(session.interface, session.server)
        found.append(Knock(what, "tcp", session.client, door, port))
    table = expected_table(generation.firewall)
    for door in doors:
        sources = declared_sources(table, door.version)
        own = ipaddress.ip_network(door.address)
        known = [*sources, *mesh, own, *([ipaddress.ip_network(session.client)] if session else [])]
        tried = [address for source in sources for address in edges(source, [*mesh, own])]
        found += [Knock(what, "tcp", source, door, port) for source in tried[:_MOST]]
        stranger = foreign_address(door.version, known)
        if stranger:
            found.append(Knock(what, "tcp", stranger, door, port, welcome=False))
    return list(dict.fromkeys(found))


def wireguard_knocks(generation: Generation, doors: Sequence[Door]) -> list[Knock]:
    """Return a WireGuard packet's way in from every peer's endpoint; from anywhere for peers without one."""
    by_version = {door.version: door for door in doors}
    port = generation.file.port
    calls = any(not peer.endpoint for peer in generation.file.peers)
    found = list(_calls(generation, by_version.values(), port)) if calls else []
    for peer in generation.file.peers:
        if not peer.endpoint:
            continue
        host, _, source_port = peer.endpoint.rpartition(":")
        address = ipaddress.ip_address(host.strip("[]"))
        door = by_version.get(address.version)
        if door is not None and str(address) != door.address:
            what = f"WireGuard (UDP to port {port})"
            found.append(Knock(what, "udp", str(address), door, port, int(source_port)))
    return list(dict.fromkeys(found))[:_MOST]


def _calls(generation: Generation, doors: Iterable[Door], port: int) -> Iterator[Knock]:
    """Yield the way in from an address that nobody has: who has no endpoint may call from anywhere."""
    mesh = [ipaddress.ip_interface(address).network for address in generation.file.addresses]
    for door in doors:
        caller = foreign_address(door.version, [*mesh, ipaddress.ip_network(door.address)])
        if caller:
            what = f"WireGuard (UDP to port {port}, a peer without an endpoint)"
            yield Knock(what, "udp", caller, door, port, _ANY_PORT)


def mesh_knocks(tunnel: Tunnel, generation: Generation) -> list[Knock]:
    """Return connections through the tunnel that the table allows: by its policy, else from every peer.

    Where all ports are allowed, one that nobody has stands for them, and from one peer those on which
    something listens.
    """
    sets = _sets(expected_table(generation.firewall))
    own = [str(ipaddress.ip_interface(address).ip) for address in generation.file.addresses]
    doors = [Door(tunnel.interface, address) for address in own]
    return [
        Knock(f"{_shown(protocol, port)} through the tunnel", protocol, source, door, port)
        for door in doors
        for protocol, source, port in _allowed(generation, sets, door.version)[: _MOST // len(doors)]
        if source != door.address
    ]


def _allowed(
    generation: Generation, sets: Mapping[str, Sequence[Any]], version: int
) -> list[tuple[str, str, int]]:
    """Return what the table allows through the tunnel in one family: protocol, source, port."""
    family = _SUFFIX[version]
    if f"mesh_all{family}" in sets:
        everything = [_first(element) for element in sets[f"mesh_all{family}"]]
    else:
        allowed = (ip for peer in generation.file.peers for ip in sorted(peer.allowed_ips))
        everything = [
            str(each.ip)
            for each in map(ipaddress.ip_interface, allowed)
            if each.version == version and each.network.prefixlen
        ]
    wanted = [("tcp", source, _ANY_PORT) for source in everything]
    wanted += [("tcp", source, port) for source in everything[:1] for port in _listeners()]
    for protocol in ("tcp", "udp"):
        for element in sets.get(f"mesh_{protocol}{family}", []):
            source, port = (_first(part) for part in element["concat"])
            wanted.append((protocol, source, int(port)))
    return list(dict.fromkeys(wanted))


def forwarded_knocks(through: Sequence[Knock], networks: Sequence[Behind]) -> list[Knock]:
    """Return what members of the mesh may send through this node, as what they may send to it. Pure."""
    return [
        replace(
            knock,
            what=f"{knock.what} to {ipaddress.ip_interface(network.address).network} behind this node",
            behind=network,
        )
        for network in networks
        for knock in [each for each in through if each.door.version == _version(network)][:_MOST_THROUGH]
    ]


def egress_knocks(tunnel: Tunnel, generation: Generation, doors: Iterable[Door]) -> list[Knock]:
    """Return what nodes without IPv4 send through this node to the IPv4 internet."""
    sets = _sets(expected_table(generation.firewall))
    own = [ipaddress.ip_interface(address).ip for address in generation.file.addresses]
    inside = [Door(tunnel.interface, str(address)) for address in own if address.version == 4]
    return [
        Knock(
            "any TCP port of the IPv4 internet through this node (egress)",
            "tcp",
            str(_first(user)),
            door,
            _ANY_PORT,
            behind=Behind(outside.interface, "", _INTERNET),
        )
        for outside in doors
        if outside.version == 4
        for door in inside[:1]
        for user in sets.get("egress", [])[:_MOST_THROUGH]
    ]


def _version(network: Behind) -> int:
    return ipaddress.ip_interface(network.address).version


def _shown(protocol: str, port: int) -> str:
    return "any TCP port" if port == _ANY_PORT else f"{protocol}/{port}"


def _sets(table: str) -> Mapping[str, Sequence[Any]]:
    entries = (entry.get("set", {}) for entry in json.loads(table))
    return {value["name"]: value.get("elem", []) for value in entries if "name" in value}


def _first(element: Any) -> str:
    """Return the first value of a set's element: a value, a network or a range, as nft's JSON has them."""
    if isinstance(element, dict) and "range" in element:
        return str(element["range"][0])
    if isinstance(element, dict) and "prefix" in element:
        return str(element["prefix"]["addr"])
    return str(element)


def _listeners() -> list[int]:
    """Return TCP ports on which something listens that others can reach."""
    found = {each.port for each in listeners() if not ipaddress.ip_address(each.address).is_loopback}
    return sorted(found)[:_MOST_LISTENERS]
