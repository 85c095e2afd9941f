"""Pure: by which doors a node is entered, read from the files that it has committed.

A door is what the node and something else must agree on: SSH's port, WireGuard's port, the management key. It
is moved in steps, so that the old one is open until the new one is known to be.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
)
from typing import Final

from mesh.render.facts import Endpoint, parse_endpoint
from mesh.settings import PortRange

__all__ = ["NOTHING_MOVES", "Doors", "Moving", "read_doors"]

_SSH_PORTS: Final = re.compile(r"^ +tcp dport (\d+|\{[\d, ]+\}) ip saddr @ssh_sources4 ", re.MULTILINE)
_LISTEN_PORT: Final = re.compile(r"^ListenPort = (\d+)$", re.MULTILINE)
_PRIVATE: Final = re.compile(r"^# PrivateKey = key:([0-9a-f]{16})$", re.MULTILINE)
_NEXT_PORT: Final = re.compile(r"^# NextPort = (\d+)$", re.MULTILINE)
_FORMER_PORTS: Final = re.compile(r"^ +.*udp dport (\d+|\{[\d, ]+\}) .*udp dport set \d+ ", re.MULTILINE)
_ENDPOINT: Final = re.compile(r"^Endpoint = (\S+:\d+)$", re.MULTILINE)
_ADDRESSES: Final = re.compile(r"^Address = ([0-9a-f:./, ]+)$", re.MULTILINE)
_PEER: Final = re.compile(
    r"^# (\S+)\n\[Peer\]\n(?:.+\n)*?AllowedIPs = (.+)\n((?:# relay to .+\n)*)", re.MULTILINE
)
_RELAYED: Final = re.compile(r"^# relay to (\S+): (.+)$", re.MULTILINE)
_HOST: Final = re.compile(r"([0-9a-f.:]+)/(?:32|128)(?=,|$)")
_NAMES: Final = re.compile(r"^==> /etc/hosts <==\n(.*?)^==> ", re.MULTILINE | re.DOTALL)
_NAMED: Final = re.compile(r"^([0-9a-f.:]+) \S+$", re.MULTILINE)
_MANAGEMENT: Final = re.compile(r"^(\S+ \S+) wireguard-mesh$", re.MULTILINE)
_PUBLIC: Final = re.compile(r"^    set public_(tcp|udp) \{\n(.*?)^    \}$", re.MULTILINE | re.DOTALL)
_SSH_SOURCES: Final = re.compile(r"^    set ssh_sources[46] \{\n(.*?)^    \}$", re.MULTILINE | re.DOTALL)
_SOURCE: Final = re.compile(r"^ {12}([0-9a-f.:/]+),", re.MULTILINE)
_ELEMENT: Final = re.compile(r"^ {12}(\d+)(?:-(\d+))?,", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Moving:
    """What a node still lets in beside what its plan says, until what is new is known to be in force.

    `ssh_ports` are TCP, `ports` WireGuard's UDP ports, `management_keys` lines of authorized_keys. `leads`
    has the members of the mesh whose names do not lead to all planned addresses, and where these names lead.
    """

    ssh_ports: tuple[int, ...] = ()
    ports: tuple[int, ...] = ()
    management_keys: tuple[str, ...] = ()
    leads: Mapping[str, tuple[IPv4Address | IPv6Address, ...]] = field(default_factory=dict)


NOTHING_MOVES: Final = Moving()
"""A node lets in what its plan says, and nothing else."""


@dataclass(frozen=True, kw_only=True)
class Doors:
    """The doors of one document: of each kind the one that is to stay first, then those about to go.

    `endpoints` are where it finds its peers, `public` the ports that the internet may reach, `ssh_sources`
    the networks that SSH is let in from. `addresses` are its own inside the mesh, `allowed` those of each
    peer, and of each node that is reached over a relay; `named` are all addresses that have a name.
    `next_port` is WireGuard's second port, None without a rotation of keys. `private` is the fingerprint of
    its private key.
    """

    ssh_ports: tuple[int, ...]
    ports: tuple[int, ...]
    management_keys: tuple[str, ...]
    endpoints: frozenset[Endpoint]
    public: tuple[PortRange, ...]
    ssh_sources: tuple[str, ...]
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    next_port: int | None = None
    private: str | None = None


@lru_cache(maxsize=512)  # a run asks twice for each node: ahead of the first step, and to plan
def read_doors(document: str) -> Doors:
    """Read the doors of a document, as `render_document` writes them."""
    own, names = _ADDRESSES.search(document), _NAMES.search(document)
    addresses = tuple(ip_interface(text) for text in own[1].split(", ")) if own else ()
    return Doors(
        ssh_ports=tuple(_numbers(_SSH_PORTS.findall(document))),
        ports=tuple(
            dict.fromkeys(_numbers([*_LISTEN_PORT.findall(document), *_FORMER_PORTS.findall(document)]))
        ),
        management_keys=tuple(_MANAGEMENT.findall(document)),
        endpoints=frozenset(parse_endpoint(text) for text in _ENDPOINT.findall(document)),
        public=tuple(_public(document)),
        ssh_sources=tuple(
            source for elements in _SSH_SOURCES.findall(document) for source in _SOURCE.findall(elements)
        ),
        addresses=addresses,
        allowed=dict(_allowed(document, addresses)),
        next_port=next(iter(_numbers(_NEXT_PORT.findall(document))), None),
        private=next(iter(_PRIVATE.findall(document)), None),
        named=frozenset(_NAMED.findall(names[1]) if names else ()),
    )


def _allowed(
    document: str, own: Sequence[IPv4Interface | IPv6Interface]
) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the addresses of each peer and of each relayed node, without networks behind a peer."""
    networks = tuple(each.network for each in own)
    for name, allowed, relays in _PEER.findall(document):
        relayed = {other: frozenset(texts.split(", ")) for other, texts in _RELAYED.findall(relays)}
        inside = {text for text in _HOST.findall(allowed) if _inside(text, networks)}
        yield name, frozenset(inside.difference(*relayed.values()))
        yield from relayed.items()


@lru_cache(maxsize=1024)  # each node's files name the addresses of all others
def _inside(text: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    address = ip_address(text)
    return any(address in each for each in networks)


def _numbers(texts: Iterable[str]) -> list[int]:
    return [int(number) for text in texts for number in re.findall(r"\d+", text)]


def _public(document: str) -> Iterator[PortRange]:
    for protocol, elements in _PUBLIC.findall(document):
        for first, last in _ELEMENT.findall(elements):
            yield PortRange(protocol=protocol, first=int(first), last=int(last or first))
