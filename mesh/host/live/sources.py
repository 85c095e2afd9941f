"""Pure: which addresses the proof must try, read from our table's sets of SSH sources."""

from __future__ import annotations

import ipaddress
import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Optional, Union

    Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

__all__ = ["SSH_SETS", "Network", "declared_sources", "edges", "foreign_address"]


SSH_SETS = {4: "ssh_sources4", 6: "ssh_sources6"}
"""The sets of our table that hold who may come in by SSH, by IP version."""

# Unicast that may come in on a real interface (IANA special-purpose registries, RFC 6890).
_FIRST_4, _LAST_4 = ipaddress.IPv4Address("1.0.0.1"), ipaddress.IPv4Address("223.255.255.254")
_FIRST_6, _LAST_6 = ipaddress.IPv6Address("2000::1"), ipaddress.IPv6Address("3fff:ffff::1")
# Reserved for documentation (RFC 5737, RFC 3849) and shared address space (RFC 6598): nobody's.
_NOBODY = ("192.0.2.77", "198.51.100.77", "203.0.113.77", "100.64.77.77", "2001:db8::77", "2001:db8:7777::77")


def declared_sources(table: str, version: int) -> list[Network]:
    """Return the networks in our table's set of SSH sources; `table` is nft's JSON of the table."""
    networks: list[Network] = []
    for entry in json.loads(table):
        value = entry.get("set", {})
        if value.get("name") == SSH_SETS[version]:
            for element in value.get("elem", []):
                networks += _networks(element)
    return networks


def _networks(element: Any) -> list[Network]:
    if isinstance(element, str):
        return [ipaddress.ip_network(element)]
    if "prefix" in element:
        return [ipaddress.ip_network(f"{element['prefix']['addr']}/{element['prefix']['len']}")]
    first, last = (ipaddress.ip_address(part) for part in element["range"])
    return list(ipaddress.summarize_address_range(first, last))


def edges(network: Network, excluded: Iterable[Network]) -> list[str]:
    """Return the first and last address of a source that can be tried: not one of `excluded`."""
    low, high = (_FIRST_4, _LAST_4) if network.version == 4 else (_FIRST_6, _LAST_6)
    first, last = max(int(network[0]), int(low)), min(int(network[-1]), int(high))
    kind = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    found = dict.fromkeys(kind(number) for number in (first, last) if first <= last)
    kept = [address for address in found if not any(_holds(other, address) for other in excluded)]
    return [str(address) for address in kept if not address.is_loopback]


def foreign_address(version: int, excluded: Iterable[Network]) -> Optional[str]:
    """Return an address that is in none of the networks; None when they hold every candidate."""
    taken = list(excluded)
    for text in _NOBODY:
        address = ipaddress.ip_address(text)
        if address.version == version and not any(_holds(network, address) for network in taken):
            return text
    return None


def _holds(network: Network, address: Any) -> bool:
    return bool(network.version == address.version and address in network)
