"""Pure: our routes as text, as `ip` writes and takes them, and as its listing tells them."""

from __future__ import annotations

import ipaddress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..system.rtnetlink import Entry

__all__ = [
    "LAST",
    "METRIC",
    "MTU",
    "ROUTE_PROTOCOL",
    "SOURCE",
    "parse_networks",
    "parse_routes",
    "parse_shadowed",
    "routes_by_network",
]


ROUTE_PROTOCOL = "87"
"""The mark of our routes, their maker as the kernel keeps it: nobody's in linux/rtnetlink.h (RTPROT_*)."""


# In the text of a route, as `ip` writes and takes them; in this order behind its network.
METRIC = " metric "
SOURCE = " src "
MTU = " mtu "
# Of our default route. One that the host has of its own has a smaller number, and wins: ifupdown gives none,
# systemd-networkd 1024 (systemd.network(5), RouteMetric), NetworkManager at most 1000 by the kind of link.
LAST = "8700"
_DEFAULT = ("0.0.0.0/0", "::/0")


def routes_by_network(routes: Iterable[str]) -> dict[str, str]:
    """Return routes by the network they lead to, a default route with its metric."""
    return {route.partition(MTU)[0].partition(SOURCE)[0]: route for route in routes}


def parse_routes(shown: Sequence[Entry], version: int, ours: frozenset[str] = frozenset()) -> frozenset[str]:
    """Parse what `ip -j -4 route show dev wg0` prints, or -6: the routes that we made, by their mark.

    Those in `ours` are, too, if they look as agents made them before there was a mark. All others belong to
    whoever put them there.
    """
    routes, known = set(), routes_by_network(ours)
    for entry in shown:
        destination, maker = _destination(entry, version), entry.get("protocol", "boot")
        if destination in _DEFAULT and "metric" in entry:
            destination += f"{METRIC}{entry['metric']}"
        unmarked = maker in ("boot", "static") and "gateway" not in entry
        if maker == ROUTE_PROTOCOL or (unmarked and destination in known):
            sizes = [str(metric["mtu"]) for metric in entry.get("metrics", []) if "mtu" in metric]
            routes.add(destination + _source(entry) + "".join(f"{MTU}{size}" for size in sizes))
    return frozenset(routes)


def parse_networks(shown: Sequence[Entry], version: int) -> frozenset[str]:
    """Parse the same: the networks that the kernel routes there because of an address, and that address.

    `10.10.0.0/24 src 10.10.0.1`; the kernel names none for IPv6. Of several routes to a network the first one
    counts.
    """
    return frozenset(routes_by_network(reversed(_of_kernel(shown, version))).values())


def parse_shadowed(shown: Sequence[Entry], version: int) -> frozenset[str]:
    """Parse the same: the kernel's routes to networks behind another one to the same, which counts.

    The kernel adds one from the next address when the first address of a network goes (net/ipv4/devinet.c).
    """
    return frozenset(_of_kernel(shown, version)) - parse_networks(shown, version)


def _of_kernel(shown: Sequence[Entry], version: int) -> list[str]:
    return [
        _destination(entry, version) + _source(entry) for entry in shown if entry.get("protocol") == "kernel"
    ]


def _source(entry: Entry) -> str:
    return f"{SOURCE}{entry['prefsrc']}" if "prefsrc" in entry else ""


def _destination(entry: Entry, version: int) -> str:
    if entry["dst"] == "default":
        return "0.0.0.0/0" if version == 4 else "::/0"
    return ipaddress.ip_network(entry["dst"]).with_prefixlen
