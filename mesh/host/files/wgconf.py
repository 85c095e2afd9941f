"""The interface's file: strictly parsed, with key names in place of keys, and completed with keys."""

from __future__ import annotations

import binascii
import ipaddress
import re

from ..answers import AgentError, Answer
from ..records import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional, Union

    _Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

__all__ = ["KEY_LINE", "WgFile", "WgPeer", "clamped", "complete", "is_address", "key_bytes", "parse_wg_file"]

KEY_LINE = re.compile(r"# (PrivateKey|PresharedKey) = key:([0-9a-f]{16})")
"""A line that stands for a key: which kind, and the key's fingerprint."""

# Comments for wg-quick, which knows no MTU of a peer, no second interface, and no difference between peers.
_PEER_MTU, _NEXT_PORT, _CLIENT = "# MTU", "# NextPort", "# Client"
_COMMENTS = {
    _PEER_MTU: (
        re.compile(r"# MTU = ([0-9]{3,5}) \(underlay [0-9]{4,5} - [0-9]{2}\)"),
        f"a peer's MTU is `{_PEER_MTU} = 1320 (underlay 1400 - 80)`",
    ),
    _NEXT_PORT: (
        re.compile(r"# NextPort = ([0-9]{1,5})"),
        f"the port of the interface with the next keys is `{_NEXT_PORT} = 51821`",
    ),
    _CLIENT: (
        re.compile(r"# Client = (yes)"),
        f"a client has the line `{_CLIENT} = yes`, other peers have none",
    ),
}
# Before a peer: its name, as settings allow it or of another program, without blanks.
_NAME = re.compile(r"# (\S+)")
# What every network must carry: RFC 8200 section 5, RFC 791 section 3.1.
_IPV6_LEAST, _IPV4_LEAST = 1280, 576
_SETTING = re.compile(r"([A-Za-z]+) = (\S(?:.*\S)?)")
_ENDPOINT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+):([0-9]+)")


@dataclass(frozen=True)
class WgPeer:
    """A peer as the file has it; `preshared` is a key's fingerprint, `keepalive` seconds (0: off).

    `mtu` are the bytes that fit into the tunnel to this peer, None where they are the interface's.
    `client` is a device, which keeps its keys when those of nodes are rotated. `name` is the comment on the
    line before the peer, "" without it.
    """

    public_key: str
    preshared: Optional[str]
    allowed_ips: tuple[str, ...]
    endpoint: Optional[str]
    keepalive: int
    mtu: Optional[int] = None
    client: bool = False
    name: str = ""


@dataclass(frozen=True)
class WgFile:
    """The whole file; `private` is the fingerprint of the node's own key, `mtu` in bytes.

    `next_port` is the port of the second interface while keys are rotated, None in a mesh without rotation.
    """

    private: str
    addresses: tuple[str, ...]
    port: int
    mtu: int
    peers: tuple[WgPeer, ...]
    next_port: Optional[int] = None

    def key_names(self) -> list[str]:
        """Return the fingerprints of all keys the file names, without repetition."""
        preshared = [peer.preshared for peer in self.peers if peer.preshared]
        return list(dict.fromkeys([self.private, *preshared]))


@dataclass(frozen=True)
class _Section:
    kind: str
    line: int
    values: dict[str, str]
    name: str


_KNOWN = {
    "Interface": {"PrivateKey", "Address", "ListenPort", "MTU", _NEXT_PORT},
    "Peer": {
        "PublicKey",
        "PresharedKey",
        "AllowedIPs",
        "Endpoint",
        "PersistentKeepalive",
        _PEER_MTU,
        _CLIENT,
    },
}
_REQUIRED = {"Interface": _KNOWN["Interface"] - {_NEXT_PORT}, "Peer": {"PublicKey", "AllowedIPs"}}


def parse_wg_file(text: str, *, where: str) -> WgFile:
    """Parse the file's text; raises `AgentError` (REFUSED) with the line and what would be right.

    Stricter than wg-quick: no commands, no host names as endpoints, no setting twice, no address
    routed to two peers (the last one would silently win).
    """
    sections = _sections(text, where)
    if not sections or sections[0].kind != "Interface":
        raise _refuse(where, 1, "the first section must be [Interface]")
    for section in sections:
        missing = sorted(_REQUIRED[section.kind] - set(section.values))
        if missing:
            raise _refuse(where, section.line, f"[{section.kind}] lacks {', '.join(missing)}")
        if section is not sections[0] and section.kind == "Interface":
            raise _refuse(where, section.line, "a second [Interface]")
    interface, *peers = sections
    mtu = _number(interface, "MTU", (_IPV6_LEAST, 65535), where)
    port = _number(interface, "ListenPort", (1, 65535), where)
    parsed = WgFile(
        private=interface.values["PrivateKey"],
        addresses=tuple(_addresses(interface, where)),
        port=port,
        mtu=mtu,
        peers=tuple(_peer(section, mtu, where) for section in peers),
        next_port=_next_port(interface, port, where) if _NEXT_PORT in interface.values else None,
    )
    _check_distinct(parsed, where)
    return parsed


def complete(text: str, keys: Mapping[str, str]) -> str:
    """Return the file's text with the keys (base64, by fingerprint) in their places."""

    def setting(line: str) -> str:
        found = KEY_LINE.fullmatch(line)
        return f"{found[1]} = {keys[found[2]]}" if found else line

    return "".join(f"{setting(line)}\n" for line in text.splitlines())


def key_bytes(text: str) -> bytes:
    """Decode a key, base64 of 32 bytes as WireGuard's tools write it; raises `ValueError` without it."""
    try:
        raw = binascii.a2b_base64(text)
    except ValueError:
        raw = b""
    if len(raw) != 32 or _base64(raw) != text:
        raise ValueError("not a WireGuard key (base64 of 32 bytes)")
    return raw


def _base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def clamped(key: str) -> str:
    """Return a private key as WireGuard keeps it: with the bits set that Curve25519 ignores (RFC 7748, 5)."""
    raw = bytearray(key_bytes(key))
    raw[0] &= 248
    raw[31] = (raw[31] & 127) | 64
    return _base64(bytes(raw))


def _refuse(where: str, line: int, reason: str) -> AgentError:
    return AgentError(Answer.REFUSED, f"{where} line {line}: {reason}")


def _sections(text: str, where: str) -> list[_Section]:
    sections: list[_Section] = []
    before = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if line in ("[Interface]", "[Peer]"):
            name = _NAME.fullmatch(before)
            sections.append(_Section(line[1:-1], number, {}, name[1] if name else ""))
        else:
            pair = _pair(line, where, number)
            if pair:
                _put(sections, pair, where, number)
        before = line
    return sections


def _pair(line: str, where: str, number: int) -> Optional[tuple[str, str]]:
    """Return name and value of a line; None of one that says nothing."""
    key_line = KEY_LINE.fullmatch(line)
    if key_line:
        return key_line[1], key_line[2]
    name = line.partition(" =")[0]
    if name in _COMMENTS and name != line:
        pattern, remedy = _COMMENTS[name]
        found = pattern.fullmatch(line)
        if not found:
            raise _refuse(where, number, remedy)
        return name, found[1]
    if not line or line.startswith("#"):
        return None
    setting = _SETTING.fullmatch(line)
    if not setting or setting[1] in ("PrivateKey", "PresharedKey"):
        raise _refuse(where, number, "neither a section, a comment, nor `Name = value` without a key")
    return setting[1], setting[2]


def _put(sections: list[_Section], pair: tuple[str, str], where: str, number: int) -> None:
    name, value = pair
    if not sections:
        raise _refuse(where, number, f"{name} before the first section")
    section = sections[-1]
    if name not in _KNOWN[section.kind]:
        raise _refuse(where, number, f"{name} is not allowed in [{section.kind}]")
    if name in section.values:
        raise _refuse(where, number, f"{name} is given twice")
    section.values[name] = value


def _number(section: _Section, name: str, bounds: tuple[int, int], where: str) -> int:
    value = section.values[name]
    if not re.fullmatch(r"[0-9]{1,5}", value) or not bounds[0] <= int(value) <= bounds[1]:
        raise _refuse(where, section.line, f"{name} = {value}: a number from {bounds[0]} to {bounds[1]}")
    return int(value)


def _next_port(section: _Section, port: int, where: str) -> int:
    number = _number(section, _NEXT_PORT, (1, 65535), where)
    if number == port:
        other = port + 1 if port < 65535 else 65534
        message = f"{_NEXT_PORT} = {number} is ListenPort: give another port, as {other}"
        raise _refuse(where, section.line, message)
    return number


def _addresses(section: _Section, where: str) -> list[str]:
    parts = section.values["Address"].split(", ")
    try:
        return [ipaddress.ip_interface(part).with_prefixlen for part in parts]
    except ValueError as error:
        raise _refuse(where, section.line, f"Address: {error}") from None


def _peer(section: _Section, interface_mtu: int, where: str) -> WgPeer:
    values = section.values
    try:
        key_bytes(values["PublicKey"])
    except ValueError as error:
        raise _refuse(where, section.line, f"PublicKey is {error}") from None
    try:
        networks = [ipaddress.ip_network(part).with_prefixlen for part in values["AllowedIPs"].split(", ")]
    except ValueError as error:
        raise _refuse(where, section.line, f"AllowedIPs: {error}") from None
    endpoint = values.get("Endpoint")
    if endpoint is not None:
        _check_endpoint(endpoint, section, where)
    keepalive = 0
    if "PersistentKeepalive" in values:
        keepalive = _number(section, "PersistentKeepalive", (0, 65535), where)
    mtu = None
    if _PEER_MTU in values:
        least = _IPV6_LEAST if any(":" in network for network in networks) else _IPV4_LEAST
        mtu = _number(section, _PEER_MTU, (least, interface_mtu - 1), where)
    return WgPeer(
        public_key=values["PublicKey"],
        preshared=values.get("PresharedKey"),
        allowed_ips=tuple(networks),
        endpoint=endpoint,
        keepalive=keepalive,
        mtu=mtu,
        client=_CLIENT in values,
        name=section.name,
    )


def _check_endpoint(endpoint: str, section: _Section, where: str) -> None:
    found = _ENDPOINT.fullmatch(endpoint)
    if not found or not 1 <= int(found[2]) <= 65535 or not is_address(found[1].strip("[]")):
        message = f"Endpoint {endpoint}: an IP address and a port (names are looked up once, and may block)"
        raise _refuse(where, section.line, message)


def is_address(text: str) -> bool:
    """Tell whether a text is an IP address of either family. Pure."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _check_distinct(parsed: WgFile, where: str) -> None:
    if parsed.next_port is not None:
        _check_names(parsed, where)
    own = [ipaddress.ip_interface(address).ip for address in parsed.addresses]
    seen: set[str] = set()
    claimed: dict[_Network, str] = {}
    for peer in parsed.peers:
        if peer.public_key in seen:
            raise AgentError(Answer.REFUSED, f"{where}: two peers have the public key {peer.public_key}")
        seen.add(peer.public_key)
        for part in peer.allowed_ips:
            network = ipaddress.ip_network(part)
            if network.prefixlen and any(address in network for address in own):
                raise AgentError(Answer.REFUSED, f"{where}: AllowedIPs {part} holds this node's own address")
            if network.prefixlen:
                _claim(network, peer.public_key, claimed, where)
            elif network in claimed:
                message = f"AllowedIPs {network} of {peer.public_key} is already that of {claimed[network]}"
                raise AgentError(Answer.REFUSED, f"{where}: {message}")
            else:  # may hold all others: the longest prefix wins
                claimed[network] = peer.public_key


def _check_names(parsed: WgFile, where: str) -> None:
    """Refuse a name that two peers have: keys are rotated by the names of peers."""
    seen: set[str] = set()
    for name in filter(None, (peer.name for peer in parsed.peers)):
        if name in seen:
            raise AgentError(Answer.REFUSED, f"{where}: two peers have the name {name}: give each its own")
        seen.add(name)


def _claim(network: _Network, owner: str, claimed: dict[_Network, str], where: str) -> None:
    """Refuse a network that overlaps one of `claimed`, else add it; quick for the many /32 of a mesh."""
    wider: _Network = network
    while wider.prefixlen:
        if wider in claimed:
            message = f"AllowedIPs {network} of {owner} overlaps {wider} of {claimed[wider]}"
            raise AgentError(Answer.REFUSED, f"{where}: {message}")
        wider = wider.supernet()
    if network.prefixlen != network.max_prefixlen:
        for other, holder in claimed.items():
            if other.version == network.version and other.subnet_of(network):  # type: ignore[arg-type]
                message = f"AllowedIPs {network} of {owner} overlaps {other} of {holder}"
                raise AgentError(Answer.REFUSED, f"{where}: {message}")
    claimed[network] = owner
