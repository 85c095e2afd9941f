"""What the networks below the mesh carry: it must fit the tunnel's own MTU, and IPv6 where there is IPv6."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh.settings import fields
from mesh.settings.problems import Told, another_value
from mesh.settings.raw import Finding, nodes, read

__all__ = ["OVERHEAD", "check_underlay_mtu"]

# Outside of each packet: 40 bytes of IPv6, 8 of UDP, 32 of WireGuard (whitepaper, 5.4.6). With IPv4 outside
# 60 would do, but a peer may answer over the other family at any time.
OVERHEAD: Final = 80
"""Bytes that WireGuard adds to a packet, on either family."""

_IPV6_LEAST: Final = 1280  # RFC 8200, section 5


def check_underlay_mtu(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """A fixed MTU fits every underlay, and every underlay carries IPv6 in a mesh that has IPv6."""
    given = dict(_given(raw))
    fixed = read(fields.mtu, raw.get("mtu", "auto"))
    place, least = min(given.items(), key=lambda item: item[1], default=((), 0))
    if given and isinstance(fixed, int) and fixed > least - OVERHEAD:
        fits = least - OVERHEAD
        message = (
            f"{fixed} is more than the {fits} that fit into underlayMtu {least} of {_owner(place)} "
            f"({least} - {OVERHEAD}); write auto"
        )
        yield ("mtu",), Told(message, another_value("auto"))
    if raw.get("cidr6") is None:
        return
    needed = _IPV6_LEAST + OVERHEAD
    for place, number in given.items():
        if number < needed:
            message = (
                f"{number} is too small for IPv6 inside the tunnel, which needs {_IPV6_LEAST} + {OVERHEAD}; "
                f"write at least {needed}, or remove cidr6"
            )
            yield place, message


def _given(raw: Mapping[Any, Any]) -> Iterator[tuple[tuple[str, ...], int]]:
    owners = {("defaults",): raw.get("defaults")} | {
        ("nodes", name): node for name, node in nodes(raw).items()
    }
    for path, owner in owners.items():
        number = read(fields.underlay_mtu, owner.get("underlayMtu") if isinstance(owner, Mapping) else None)
        if number is not None:
            yield (*path, "underlayMtu"), number


def _owner(place: tuple[str, ...]) -> str:
    return "defaults" if place[0] == "defaults" else place[1]
