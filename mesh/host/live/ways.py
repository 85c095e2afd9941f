"""Which way packets take: to every peer through the tunnel, to every peer's endpoint around it."""

from __future__ import annotations

import ipaddress

from ..difference import Difference
from ..system.iproute import ask
from .overlap import packets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, Optional

    from ..files.wgconf import WgFile
    from ..tunnel import Tunnel

    _Way = dict[str, Any]

__all__ = ["by_query", "way_differences"]


def way_differences(tunnel: Tunnel, file: WgFile) -> list[Difference]:
    """Say to which peers this host's packets take another way than the tunnel, as the kernel itself decides.

    It is asked with and without our own address as the source, and follows rules and tables. Nor may the
    tunnel's own packets, which carry no mark, go into the tunnel. Peers with the same wrong way are told
    together. Raises `AgentError`.
    """
    queries = {
        f"{packet.destination}" + (f" from {packet.source}" if packet.source else ""): str(packet.destination)
        for packet in packets(file)
    }
    endpoints = {_address(peer.endpoint): peer.endpoint for peer in file.peers if peer.endpoint}
    ways = dict(_ask([*queries, *endpoints]))
    wrong: dict[str, list[str]] = {}
    for query, peer in queries.items():
        way = ways[query]
        if way is None or way.get("dev") != tunnel.interface:
            wrong.setdefault(_shown(query, way), []).append(peer)
    found = [
        Difference(f"way to {_names(peers)}", way, f"dev {tunnel.interface}") for way, peers in wrong.items()
    ]
    inside = [query for query in endpoints if (ways[query] or {}).get("dev") == tunnel.interface]
    return found + [
        Difference(f"way to the endpoint {endpoints[query]}", f"dev {tunnel.interface}", "around the tunnel")
        for query in inside
    ]


def _address(endpoint: str) -> str:
    return str(ipaddress.ip_address(endpoint.rpartition(":")[0].strip("[]")))


def _names(peers: Sequence[str]) -> str:
    first, *others = dict.fromkeys(peers)
    return f"{first} and {len(others)} more" if others else first


def _shown(query: str, way: Optional[_Way]) -> str:
    source = query.partition(" from ")[2]
    asked = f" from {source}" if source else ""
    if way is None:
        return f"none{asked}"
    table = f" table {way['table']}" if "table" in way else ""
    kind = "" if way.get("type", "unicast") == "unicast" else f"{way['type']} "
    return f"{kind}dev {way.get('dev', 'none')}{table}{asked}"


def _ask(queries: Iterable[str]) -> Iterator[tuple[str, Optional[_Way]]]:
    """Yield each query with the kernel's answer; None where there is no route."""
    asked = list(dict.fromkeys(queries))
    for version in (4, 6):
        mine = [query for query in asked if (":" in query) == (version == 6)]
        answers = by_query(ask(version, (f"route get {query}" for query in mine)))
        yield from ((query, answers.get(query)) for query in mine)


def by_query(answers: Iterable[list[_Way]]) -> dict[str, _Way]:
    """Return answers to several `route get` by what was asked: destination and source. Pure."""
    ways = {}
    for way, *_rest in answers:
        # `ip` says so of IPv6 where it was asked without a source
        source = f" from {way['from']}" if way.get("from", "::") != "::" else ""
        ways[f"{way['dst']}{source}"] = way
    return ways
