"""Which rule ended a packet's way, as nftables' own tracing tells it."""

from __future__ import annotations

import ipaddress
import re
import struct

from ..live.foreign import owner
from ..places import TABLE
from ..records import dataclass
from ..system.netlink import Message, attributes, messages, text
from ..system.run import attempt

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from typing import Optional

__all__ = ["TRACER", "Drop", "Packet", "Tracer"]

TRACER = """
table inet wgmesh-trace {
    chain in { type filter hook prerouting priority -400; policy accept; meta nftrace set 1; }
    chain out { type filter hook output priority -400; policy accept; meta nftrace set 1; }
}
"""
"""Has every packet of this network namespace traced, from before the first rule of anybody."""

# linux/netfilter/nf_tables.h
_TRACE = 17
_TABLE, _CHAIN, _HANDLE, _TYPE, _VERDICT, _ID, _NETWORK, _TRANSPORT, _POLICY = 1, 2, 3, 4, 5, 6, 8, 9, 16
_OF_POLICY, _OF_RULE = 1, 3
_NO_VERDICT = struct.pack(">i", -1)
_DROP = bytes(4)
_FAMILIES = {1: "inet", 2: "ip", 5: "netdev", 7: "bridge", 10: "ip6"}
_PROTOCOLS = {6: "tcp", 17: "udp"}
_MOST_OF_A_RULE = 120


@dataclass(frozen=True)
class Packet:
    """A packet's protocol and ends."""

    protocol: str
    source: str
    source_port: int
    target: str
    target_port: int


@dataclass(frozen=True)
class Drop:
    """What dropped a packet: a rule, or a chain's policy where there is no handle."""

    family: str
    table: str
    chain: str
    handle: Optional[int]

    @property
    def place(self) -> tuple[str, str]:
        """The table."""
        return self.family, self.table

    def words(self) -> str:
        """Say what it is, so that its owner can find it; only where the rule still is."""
        rule = "policy drop" if self.handle is None else self._rule()
        hint = owner(self.family, self.table) if self.table != TABLE else ""
        said = f"table {self.family} {self.table}, chain {self.chain}{f' ({rule})' if rule else ''}"
        return f"{said}, {hint}" if hint else said

    def _rule(self) -> str:
        listed = attempt(["nft", "-a", "list", "chain", self.family, self.table, self.chain]) or ""
        found = re.search(rf"(?m)^\s*(.*) # handle {self.handle}$", listed)
        return f"rule `{found[1][:_MOST_OF_A_RULE]}`" if found else ""


class Tracer:
    """Collects what was dropped where; packets are known by their headers, which come with the first word."""

    def __init__(self) -> None:
        self._packets: dict[bytes, Packet] = {}
        self.drops: dict[Packet, Drop] = {}

    def hear(self, heard: socket.socket) -> None:
        """Read what has arrived. What was lost is no harm: that packet's fate then has no name."""
        try:
            for message in messages(heard):
                if message.kind == _TRACE:
                    self._take(message)
        except OSError:
            return

    def _take(self, message: Message) -> None:
        told = message.attributes
        number = told.get(_ID, b"")
        packet = _packet(told)
        if packet is not None:
            self._packets[number] = packet
        known = self._packets.get(number)
        if known is not None and _is_drop(told):
            handle = struct.unpack(">Q", told[_HANDLE])[0] if _HANDLE in told else None
            family = _FAMILIES.get(message.family, "")
            self.drops[known] = Drop(family, text(told.get(_TABLE)), text(told.get(_CHAIN)), handle)


def _is_drop(told: Mapping[int, bytes]) -> bool:
    kind = struct.unpack(">I", told.get(_TYPE, _DROP))[0]
    if kind == _OF_POLICY:
        return told.get(_POLICY) == _DROP
    return kind == _OF_RULE and attributes(told.get(_VERDICT, b"")).get(1, _NO_VERDICT) == _DROP


def _packet(told: Mapping[int, bytes]) -> Optional[Packet]:
    network, transport = told.get(_NETWORK, b""), told.get(_TRANSPORT, b"")
    if len(transport) < 4 or len(network) < 20:
        return None
    if network[0] >> 4 == 4:
        protocol, source, target = network[9], network[12:16], network[16:20]
    elif len(network) >= 40:
        protocol, source, target = network[6], network[8:24], network[24:40]
    else:
        return None
    ports = struct.unpack_from(">HH", transport)
    ends = [str(ipaddress.ip_address(end)) for end in (source, target)]
    return Packet(_PROTOCOLS.get(protocol, ""), ends[0], ports[0], ends[1], ports[1])
