"""What only a run can know of a node, as types: in a preview, nothing of it may be known yet."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from mesh.plan import Path

__all__ = ["UNKNOWN", "UNKNOWN_TEXT", "Endpoint", "KeyNames", "PeerFacts", "Unknown", "parse_endpoint"]

UNKNOWN_TEXT: Final = "<known after up>"
"""What a preview shows where a value is not known before `up`."""


_LAST_PORT: Final = 65535


@dataclass(frozen=True)
class Unknown:
    """A value that is not known before `up`; as text it says so."""

    def __str__(self) -> str:
        return UNKNOWN_TEXT


UNKNOWN: Final = Unknown()
"""Stands for every value that is not known."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where a node is reached from outside the mesh: an address of either family, and a UDP port."""

    address: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        host = str(self.address) if self.address.version == 4 else f"[{self.address}]"
        return f"{host}:{self.port}"


@lru_cache(maxsize=1024)  # each node's files name those of all others
def parse_endpoint(text: str) -> Endpoint:
    """Read `192.0.2.1:51820` or `[2001:db8::1]:51820`, as an `Endpoint` is written.

    Raises `ValueError` on anything else.
    """
    host, _, port = text.rpartition(":")
    try:
        endpoint = Endpoint(address=ip_address(host.removeprefix("[").removesuffix("]")), port=int(port))
    except ValueError:
        endpoint = None
    if endpoint is None or str(endpoint) != text or not 1 <= endpoint.port <= _LAST_PORT:
        raise ValueError(f"{text!r} is not an address and a port such as 192.0.2.1:51820")
    return endpoint


@dataclass(frozen=True, kw_only=True)
class PeerFacts:
    """What a run knows of somebody whom nodes have as a peer; `public_key` is base64.

    `endpoint` is the public one: IPv4 where the node has that; None where there can be none: of a peer that
    only ever calls. `ipv6` and `private` (in its private network) are those that it has beside.
    """

    public_key: str | Unknown
    endpoint: Endpoint | Unknown | None
    ipv6: Endpoint | Unknown | None = None
    private: Endpoint | Unknown | None = None

    def at(self, path: Path) -> Endpoint | Unknown:
        """Return where the node is found on a path. Raises `LookupError` where that is not known."""
        if path.network is None:
            found = self.ipv6 if path.family == "ipv6" and self.ipv6 is not None else self.endpoint
        else:
            found = self.private
        if found is None:
            raise LookupError(f"no address in {path.network}" if path.network else "no public address")
        return found


@dataclass(frozen=True, kw_only=True)
class KeyNames:
    """The fingerprints under which a node keeps its keys: its private key, and one per peer's name."""

    private: str | Unknown
    preshared: Mapping[str, str | Unknown]
