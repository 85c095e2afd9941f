"""Endpoints that peers have called from: WireGuard answers there, and no other change resets one."""

from __future__ import annotations

from ..records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..files.wgconf import WgFile
    from .device import Device

__all__ = ["with_roamed"]


def with_roamed(wanted: Device, live: Device, committed: Optional[WgFile]) -> Device:
    """Return what is wanted with the live endpoint of each peer whose endpoint in the files stays. Pure.

    `committed` is the file of before. A peer that it does not have, or that has no endpoint now, gets the
    endpoint of the file.
    """
    before = {peer.public_key: peer.endpoint for peer in committed.peers} if committed else {}
    peers = {}
    for public, peer in wanted.peers.items():
        now = live.peers.get(public)
        stays = now is not None and public in before and before[public] == peer.endpoint
        peers[public] = replace(peer, endpoint=now.endpoint or peer.endpoint) if now and stays else peer
    return replace(wanted, peers=peers)
