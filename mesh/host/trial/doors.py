"""Where this host meets the network outside: interfaces and addresses."""

from __future__ import annotations

import functools
import ipaddress
import json
from pathlib import Path

from ..answers import AgentError, Answer
from ..files.document import FIREWALL
from ..live.firewall import expected_table
from ..system.rtnetlink import addresses, default_routes
from .knocks import Behind, Door

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Optional

    from ..files.generation import Generation
    from ..system.rtnetlink import Entry
    from ..system.session import Session
    from ..tunnel import Tunnel

__all__ = ["find_doors", "is_own", "networks_behind", "refuse_trust_in_the_outside"]

# For a host without an address of a family: what rules say to one can be tried all the same (RFC 5737, 3849).
_NOBODYS = {4: "192.0.2.1", 6: "2001:db8:ffff::1"}
_IPV6 = Path("/proc/sys/net/ipv6")
_VERSIONS = (4, 6)
_MOST_NETWORKS = 4


def find_doors(tunnel: Tunnel, session: Optional[Session]) -> list[Door]:
    """Return this host's door to the outside in each family: by this session, else by the default route."""
    found = []
    routes = _default_interfaces()
    for version in _VERSIONS:
        if version == 6 and not _IPV6.is_dir():
            continue
        if (
            session
            and session.interface != tunnel.interface
            and ipaddress.ip_address(session.server).version == version
        ):
            found.append(Door(session.interface, session.server))
            continue
        interfaces = [*routes[version], *([session.interface] if session else []), *routes[4], *routes[6]]
        outside = [name for name in interfaces if name != tunnel.interface]
        if outside:
            found.append(Door(outside[0], _address(outside[0], version) or _NOBODYS[version]))
    return found


def is_own(door: Door) -> bool:
    """Tell whether the address is one that this host has. Pure."""
    return door.address not in _NOBODYS.values()


def networks_behind(tunnel: Tunnel, versions: Iterable[int]) -> list[Behind]:
    """Return the networks that this host has beside the internet and the mesh, some of each family.

    Containers' bridges are none: who reaches a container is the business of who made the bridge.
    """
    outside = {tunnel.interface, "lo", *(name for names in _default_interfaces().values() for name in names)}
    return [network for version in versions for network in _networks(version, outside)[:_MOST_NETWORKS]]


def _networks(version: int, outside: Collection[str]) -> list[Behind]:
    found = []
    for entry in addresses():
        name = entry["ifname"]
        if name in outside or Path("/sys/class/net", name, "bridge").exists():
            continue
        for info in _global(entry, version):
            own = ipaddress.ip_interface(f"{info['local']}/{info['prefixlen']}")
            somebody = next((str(host) for host in own.network.hosts() if host != own.ip), None)
            if somebody:
                found.append(Behind(name, str(own), somebody))
    return found


@functools.lru_cache(maxsize=1)
def _default_interfaces() -> dict[int, list[str]]:
    return {version: default_routes(version) for version in _VERSIONS}


def _address(interface: str, version: int) -> Optional[str]:
    for entry in addresses(interface):
        for info in _global(entry, version):
            return str(info["local"])
    return None


def _global(entry: Entry, version: int) -> list[Entry]:
    """Return the addresses of an interface that are valid everywhere."""
    family = {4: "inet", 6: "inet6"}[version]
    return [info for info in entry["addr_info"] if (info["family"], info["scope"]) == (family, "global")]


def refuse_trust_in_the_outside(generation: Generation, session: Optional[Session]) -> None:
    """Refuse a trusted interface by which strangers come. Raises `AgentError` (REFUSED)."""
    routes = _default_interfaces()
    outside = {name: "the default route uses" for version in _VERSIONS for name in routes[version]}
    if session is not None:
        outside.setdefault(session.interface, "this SSH session came through")
    for trusted in _trusted(expected_table(generation.firewall)):
        for interface, why in outside.items():
            if _matches(trusted, interface):
                raise AgentError(
                    Answer.REFUSED,
                    f"{FIREWALL}: trustedInterfaces holds {trusted}, and {why} {interface}: "
                    "this would let in everybody from outside. Name only bridges of containers, such as "
                    "docker0",
                )


def _trusted(table: str) -> Iterable[str]:
    for entry in json.loads(table):
        value = entry.get("set", {})
        if value.get("name") == "trusted":
            yield from (str(element) for element in value.get("elem", []))


def _matches(trusted: str, interface: str) -> bool:
    """Tell whether a name of nftables, which may end with `*`, is this interface's. Pure."""
    return interface.startswith(trusted[:-1]) if trusted.endswith("*") else interface == trusted
