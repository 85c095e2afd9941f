"""How large a packet a host's link carries: in silence, as on many a real path."""

from typing import Final

__all__ = ["ETHERNET", "SILENCE"]

ETHERNET: Final = 1500
"""Bytes that a link carries, and what a host takes for granted."""

# A packet that is too large is lost, and nobody is told. TCP connections through the router keep to the size
# of both ends' links, as routers for DSL do: otherwise SSH to a host behind a narrow link would stall.
SILENCE: Final = """
table inet link_sizes
delete table inet link_sizes
table inet link_sizes {
    chain forward {
        type filter hook forward priority mangle;
        tcp flags syn / syn,rst tcp option maxseg size set rt mtu
    }
    chain output {
        type filter hook output priority filter;
        icmp type destination-unreachable icmp code frag-needed drop
        icmpv6 type packet-too-big drop
    }
}
"""
"""The router's rules once a link is narrow, for nft."""
