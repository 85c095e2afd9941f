"""Endpoints that peers have called from: WireGuard answers there, and no other change resets one."""

from __future__ import annotations

from ..records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from .device import Device

__all__ = ["with_roamed"]

NOBODY: Mapping[str, str] = {}


def with_roamed(
    wanted: Device, live: Device, committed: Optional[Device], former: Mapping[str, str] = NOBODY
) -> Device:
    """Return what is wanted with the live endpoint of each peer whose endpoint in the files stays. Pure.

    `committed` is what the files of before make of the interface, and `former` the public keys that peers had
    before, by those they get now. A peer that is new, or that has no endpoint now, gets the endpoint of the
    file.
    """
    before = committed.peers if committed else {}
    peers = {}
    for public, peer in wanted.peers.items():
        known = public if public in live.peers else former.get(public, public)
        now, planned = live.peers.get(known), before.get(public) or before.get(known)
        stays = now is not None and planned is not None and planned.endpoint == peer.endpoint
        peers[public] = replace(peer, endpoint=now.endpoint or peer.endpoint) if now and stays else peer
    return replace(wanted, peers=peers)
