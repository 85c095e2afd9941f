"""TCP sockets that listen, as the kernel tells of them: of these alone, not of all connections."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path

from ..records import dataclass
from .netlink import ask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Listener", "listeners", "parse_listeners"]

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG = 4
_BY_FAMILY = 20
_QUESTION = struct.Struct("=BBxxI48x")  # family, protocol, states as bits; nothing of the socket's ends
_ANSWER = struct.Struct("=4x2s2x16s44xI")  # port and address of this end, inode
_TCP_LISTEN = 10  # include/net/tcp_states.h
_FAMILIES = {socket.AF_INET: 4, socket.AF_INET6: 16}
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))


@dataclass(frozen=True)
class Listener:
    """A TCP socket that listens: its address, port and inode."""

    address: str
    port: int
    inode: str


def listeners() -> list[Listener]:
    """Return the listening sockets of both families. Raises `OSError`.

    A kernel without sock_diag(7) has tables that are as exact, and walks through all connections for them.
    """
    try:
        return [each for family in _FAMILIES for each in _asked(family)]
    except OSError:
        return [each for table in _TABLES if table.exists() for each in parse_listeners(table.read_text())]


def _asked(family: socket.AddressFamily) -> Iterator[Listener]:
    """Yield the listening sockets of a family. Raises `OSError`."""
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 1 << _TCP_LISTEN)
    for _type, payload in ask(_NETLINK_SOCK_DIAG, _BY_FAMILY, question):
        port, address, inode = _ANSWER.unpack_from(payload)
        shown = socket.inet_ntop(family, address[: _FAMILIES[family]])
        yield Listener(shown, int.from_bytes(port, "big"), str(inode))


def parse_listeners(table: str) -> list[Listener]:
    """Read the listening sockets of `/proc/net/tcp` or `tcp6` (proc_net_tcp(5)). Pure."""
    found = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and int(fields[3], 16) == _TCP_LISTEN:
            address, _, port = fields[1].rpartition(":")
            found.append(Listener(_address(address), int(port, 16), fields[9]))
    return found


def _address(shown: str) -> str:
    # words of 32 bits, each in the machine's own order
    words = [int(shown[place : place + 8], 16) for place in range(0, len(shown), 8)]
    return str(ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)))
