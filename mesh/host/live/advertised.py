"""Routes that the kernel has from router advertisements, and would lose by forwarding IPv6.

On a host that forwards, the kernel takes advertisements only with `accept_ra` 2, and deletes at once the
default routes that it has from them (Linux, Documentation/networking/ip-sysctl.rst, accept_ra;
net/ipv6/route.c, rt6_purge_dflt_routers). systemd-networkd and NetworkManager read advertisements
themselves; their routes stay.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from ..answers import AgentError, Answer
from ..files.document import SYSCTL
from .sysctl import sysctl_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..places import Places

__all__ = ["advertised_routes", "refuse_loss_of_routes"]

_ROUTES = Path("/proc/net/ipv6_route")
_FORWARDING = "net.ipv6.conf.all.forwarding"
_ALSO_FORWARDING = "2"  # of accept_ra: take advertisements, also on a host that forwards
# linux/ipv6_route.h: made by the kernel from an advertisement; by way of a router.
_ADDRCONF, _GATEWAY = 0x00040000, 0x0002


def refuse_loss_of_routes(places: Places, sysctls: Mapping[str, str]) -> None:
    """Refuse to switch on forwarding of IPv6 where that costs a route. Raises `AgentError` (REFUSED)."""
    if sysctls.get(_FORWARDING) != "1" or _value(places, _FORWARDING) == "1" or not _ROUTES.is_file():
        return
    with _ROUTES.open() as lines:
        by_key = {_accept_key(interface): route for route, interface in advertised_routes(lines)}
    lost = {key: route for key, route in by_key.items() if _value(places, key) != _ALSO_FORWARDING}
    if lost:
        raise AgentError(
            Answer.REFUSED,
            f"{SYSCTL}: with {_FORWARDING} = 1 this host would lose the route {', '.join(lost.values())}, "
            f"which comes from router advertisements: write "
            f"{' and '.join(f'`{key} = {_ALSO_FORWARDING}`' for key in lost)} into a file in /etc/sysctl.d "
            f"and run `sysctl --system`; or take the relays and the IPv6 networks (routes) of this node out "
            f"of the stack file",
        )


def advertised_routes(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the routes by way of a router that the kernel has from advertisements, and their interfaces.

    `lines` are those of /proc/net/ipv6_route. Pure.
    """
    for line in lines:
        network, length, _source, _length, router, _metric, _refs, _used, flags, interface = line.split()
        if int(flags, 16) & _ADDRCONF and int(flags, 16) & _GATEWAY:
            destination = f"{_address(network)}/{int(length, 16)}" if int(length, 16) else "default"
            yield f"{destination} via {_address(router)} dev {interface}", interface


def _accept_key(interface: str) -> str:
    return f"net.ipv6.conf.{interface.replace('.', '/')}.accept_ra"


def _address(digits: str) -> str:
    return str(ipaddress.IPv6Address(bytes.fromhex(digits)))


def _value(places: Places, key: str) -> str:
    path = sysctl_path(places.sysctls, key)
    return path.read_text().strip() if path.is_file() else ""
