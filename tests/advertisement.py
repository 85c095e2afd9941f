"""A router advertisement, from whatever host or namespace runs this program."""

from typing import Final

__all__ = ["ADVERTISE"]

ADVERTISE: Final = """
import socket, struct, sys
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    raw.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), (f"ff02::1%{sys.argv[1]}", 0))
"""
"""Tells all nodes on the link of an interface, the argument, of a router for half an hour (RFC 4861, 4.2)."""
