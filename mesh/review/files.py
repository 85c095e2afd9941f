"""The files of a node, from the one text that carries them (docs/protocol.md), and the tunnel among them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Final

from mesh.render import UNKNOWN_TEXT
from mesh.review.elements import NotUnderstoodError

__all__ = ["FIREWALL", "Peer", "Tunnel", "read_files", "read_tunnel", "tunnel_text"]

FIREWALL: Final = "/etc/wgmesh/firewall.nft"
_TUNNEL: Final = re.compile(r"/etc/wireguard/[^/]+\.conf")
_HEADER: Final = re.compile(r"^==> (.+) <==\n", re.MULTILINE)
_KEY: Final = re.compile(r"^(?:# )?(\w+) = (.*)$")
_NAME: Final = re.compile(r"^# (\S+)$")
_RELAY: Final = re.compile(r"^# relay to (\S+): (.+)$")

_RELAYED: Final = "relay to "
_INTERNET: Final = IPv4Network("0.0.0.0/0")


def read_files(document: str) -> dict[str, str]:
    """Return the files of a document, path -> content, in their order."""
    _, *parts = _HEADER.split(document)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    found.pop("end", None)
    return found


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A peer in `wg0.conf`; keys are as the file has them, or `UNKNOWN_TEXT`.

    `preshared` is the fingerprint of the pre-shared key. `allowed` are the addresses that it may send from,
    `networks` those behind it. A node that is reached over a peer has no keys here: `relay` is the peer's
    name. `mtu` are the bytes that fit into the tunnel on the way there, None where they are the interface's.
    A peer that only ever `calls` has no endpoint: a client, or a node with `endpoint: none`. The IPv4
    internet is reached over a peer with `egress`, and is none of its networks. A `client` is somebody's
    device, as far as the file says so.
    """

    name: str
    public_key: str
    preshared: str
    allowed: tuple[IPv4Address | IPv6Address, ...]
    relay: str = ""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    mtu: str | None = None
    calls: bool = False
    egress: bool = False
    client: bool = False


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A node's side of the tunnel: interface, addresses, port and MTU as text, and peers by name.

    `private` is the fingerprint of the node's own key. `next_port` is where a node listens while keys are
    rotated; None for a node that cannot do this.
    """

    interface: str
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    port: str
    mtu: str
    peers: Mapping[str, Peer]
    private: str = ""
    next_port: str | None = None


def tunnel_text(files: Mapping[str, str]) -> tuple[str, str]:
    """Return the interface and the content of the one file about it. Raises `NotUnderstoodError`."""
    found = [path for path in files if _TUNNEL.fullmatch(path)]
    if len(found) != 1:
        raise NotUnderstoodError(f"{len(found) or 'no'} files of a tunnel")
    return found[0].rpartition("/")[2].removesuffix(".conf"), files[found[0]]


def read_tunnel(files: Mapping[str, str]) -> Tunnel:
    """Read the tunnel of a node. Raises `NotUnderstoodError`."""
    interface, text = tunnel_text(files)
    first, *sections = _sections(text)
    try:
        addresses = tuple(ip_interface(text.strip()) for text in first["Address"].split(","))
    except (KeyError, ValueError):
        addresses = ()
    peers = [peer for section in sections for peer in _peers(section, addresses)]
    named = {peer.name: peer for peer in peers}
    if len(named) != len(peers):
        raise NotUnderstoodError(f"{interface}.conf has two peers of one name")
    try:
        if not addresses:
            raise KeyError("Address")  # noqa: TRY301 - said below
        return Tunnel(
            interface=interface,
            addresses=addresses,
            port=first["ListenPort"],
            mtu=first["MTU"],
            peers=named,
            private=first.get("PrivateKey", ""),
            next_port=first.get("NextPort"),
        )
    except (KeyError, ValueError):
        raise NotUnderstoodError(f"{interface}.conf has no [Interface] as the mesh writes it") from None


def _sections(text: str) -> Iterator[dict[str, str]]:
    """Yield the keys of [Interface], then those of each [Peer]; `name` is the comment before it."""
    name, keys = "", dict[str, str]()
    for line in text.splitlines():
        if line == "[Interface]":
            continue
        if line == "[Peer]":
            yield keys
            keys = {"name": name}
        elif known := _KEY.match(line):
            keys[known[1]] = known[2]
        elif relay := _RELAY.match(line):
            keys[f"{_RELAYED}{relay[1]}"] = relay[2]
        elif named := _NAME.match(line):
            name = named[1]
    yield keys


def _peers(keys: Mapping[str, str], inside: Sequence[IPv4Interface | IPv6Interface]) -> Iterator[Peer]:
    """Yield a peer, and the nodes that are reached over this peer."""
    peer = _peer(keys, inside)
    relayed = {
        key.removeprefix(_RELAYED): tuple(ip_address(text.strip()) for text in value.split(","))
        for key, value in keys.items()
        if key.startswith(_RELAYED)
    }
    others = {address for addresses in relayed.values() for address in addresses}
    yield replace(peer, allowed=tuple(address for address in peer.allowed if address not in others))
    for name, addresses in relayed.items():
        yield Peer(name=name, public_key="", preshared="", allowed=addresses, relay=peer.name)


def _peer(keys: Mapping[str, str], inside: Sequence[IPv4Interface | IPv6Interface]) -> Peer:
    """Read a peer; its own addresses lie in the networks of the mesh, and what is behind it does not."""
    name = keys.get("name", "")
    try:
        every = [ip_network(text.strip()) for text in keys["AllowedIPs"].split(",")]
        allowed = [network for network in every if network != _INTERNET]
        if not name or not all(network.prefixlen for network in allowed):
            raise NotUnderstoodError(f"the peer {name or '?'} with AllowedIPs {keys['AllowedIPs']}")
        own = [each for each in allowed if any(each[0] in address.network for address in inside)]
        if any(each.num_addresses > 1 for each in own):
            raise NotUnderstoodError(f"the peer {name} with AllowedIPs {keys['AllowedIPs']}")
        return Peer(
            name=name,
            public_key=keys["PublicKey"],
            preshared=keys.get("PresharedKey", "").removeprefix("key:") or UNKNOWN_TEXT,
            allowed=tuple(network[0] for network in own),
            networks=tuple(network for network in allowed if network not in own),
            mtu=keys["MTU"].partition(" ")[0] if "MTU" in keys else None,
            calls="Endpoint" not in keys,
            egress=_INTERNET in every,
            client=keys.get("Client") == "yes",
        )
    except (KeyError, ValueError):
        raise NotUnderstoodError(f"the peer {name or '?'}") from None
