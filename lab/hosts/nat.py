"""NAT before a host: what the world sees of its packets, and that nobody begins a connection to the host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["FORGET_CONNECTIONS", "Nat", "nat_ruleset"]

_TABLE: Final = "cloud_nat"
_PORTS: Final = 100
# Deletes the table of connections (linux/netfilter/nfnetlink_conntrack.h, IPCTNL_MSG_CT_DELETE without
# attributes), and checks the answer's error number.
FORGET_CONNECTIONS: Final = """
import socket, struct
asked = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
asked.send(struct.pack("=IHHIIBBH", 20, 0x102, 5, 1, 0, 0, 0, 0))
assert struct.unpack_from("=i", asked.recv(4096), 16) == (0,)
"""
"""A Python script: a NAT that is made anew knows no mapping of before."""


@dataclass(frozen=True, kw_only=True)
class Nat:
    """The IPv4 address that other hosts see, and the first of the hundred ports that they see there."""

    outside: str
    first_port: int = 20_000


def nat_ruleset(nats: Mapping[str, tuple[str, Nat]], machine: str) -> str:
    """Return the rules for hosts behind NAT: by link, each with the host's own address.

    This machine, behind the link `machine`, still opens connections to such a host: as through a port that
    is forwarded.
    """
    lines = [f"table ip {_TABLE}", f"delete table ip {_TABLE}", f"table ip {_TABLE} {{"]
    lines += ["chain out {", "type nat hook postrouting priority srcnat;"]
    for address, nat in nats.values():
        sent = f'ip saddr {address} oifname != "{machine}"'
        ports = f"{nat.first_port}-{nat.first_port + _PORTS - 1}"
        lines.append(f"{sent} meta l4proto {{ tcp, udp }} snat to {nat.outside}:{ports}")
        lines.append(f"{sent} snat to {nat.outside}")
    lines += ["}", "chain in {", "type filter hook forward priority filter;"]
    lines += [f'iifname != "{machine}" oifname "{link}" ct state new drop' for link in nats]
    return "\n".join([*lines, "}", "}"]) + "\n"
