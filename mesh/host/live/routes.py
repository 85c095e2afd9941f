"""Whose the routes over our interface are; those of others stay, also when the kernel takes them along."""

from __future__ import annotations

from ..files.generation import load_link
from ..system.run import attempt, log
from .device import wanted_link
from .route_text import ROUTE_PROTOCOL, routes_by_network

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from ..places import Places
    from ..tunnel import Tunnel

__all__ = ["put_back", "routes_made", "routes_of_others"]

_FAMILIES = ("-4", "-6")
# What `ip` shows of a route's state, and does not take when a route is added.
_STATE = {"linkdown", "dead", "offload", "trap", "rt_offload", "rt_trap", "onlink"}


def routes_made(places: Places) -> frozenset[str]:
    """Return the routes of the committed files: ours even without a mark, which older agents did not set."""
    committed = load_link(places, places.current)
    return wanted_link(committed.file).routes if committed else frozenset()


def routes_of_others(tunnel: Tunnel, ours: Collection[str]) -> list[tuple[str, str]]:
    """Return the routes over the interface that neither we nor the kernel made: family, words of `ip`."""
    found, known = [], routes_by_network(ours)
    for family in _FAMILIES:
        shown = attempt(["ip", family, "route", "show", "dev", tunnel.interface]) or ""
        found += [(family, line.strip()) for line in shown.splitlines() if _is_theirs(line.split(), known)]
    return found


def _is_theirs(words: list[str], ours: Collection[str]) -> bool:
    made_by = {f"proto {maker}" for maker in ("kernel", ROUTE_PROTOCOL)}
    return bool(words) and words[0] not in ours and not any(made in " ".join(words) for made in made_by)


def put_back(tunnel: Tunnel, routes: Collection[tuple[str, str]], ours: Collection[str]) -> None:
    """Add those routes that are gone. One that cannot be added is named in the journal."""
    if not routes:
        return
    there = routes_of_others(tunnel, ours)
    for family, route in routes:
        words = [word for word in route.split() if word not in _STATE]
        if (family, route) not in there and (
            attempt(["ip", family, "route", "add", *words, "dev", tunnel.interface]) is None
        ):
            log(
                f"lost the route {route} over {tunnel.interface} together with an address, and cannot add "
                f"the route again"
            )
