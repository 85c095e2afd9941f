"""Endpoints that peers have called from: WireGuard answers there, and no other change resets one."""

from __future__ import annotations

from ..records import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Device
    from .wanted import Before

__all__ = ["with_roamed"]


def with_roamed(wanted: Device, live: Device, before: Before) -> Device:
    """Return what is wanted with the live endpoint of each peer whose endpoint in the files stays. Pure.

    A peer that is new, or that has no endpoint now, gets the endpoint of the file.
    """
    committed = before.device.peers if before.device else {}
    peers = {}
    for public, peer in wanted.peers.items():
        known = public if public in live.peers else before.former.get(public, public)
        now, planned = live.peers.get(known), committed.get(public) or committed.get(known)
        stays = now is not None and planned is not None and planned.endpoint == peer.endpoint
        peers[public] = replace(peer, endpoint=now.endpoint or peer.endpoint) if now and stays else peer
    return replace(wanted, peers=peers)
