"""Pure: what the two interfaces hold in each phase of a rotation, and who is reached by the second one."""

from __future__ import annotations

from ..live.device import Device, Peer, wanted_device
from ..records import replace
from .peers import is_shy, kinds
from .plan import named
from .progress import Phase, first_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ..files.wgconf import WgFile, WgPeer
    from .plan import Plan
    from .progress import Progress

__all__ = ["next_device", "redirected", "wg0_device"]

# Seconds. The second interface finds out soon when a peer's comes up; wg0 with new keys shakes hands at once.
_KEEPALIVE_NEXT, _KEEPALIVE_REKEYED = 1, 25


def wg0_device(file: WgFile, plan: Optional[Plan], progress: Optional[Progress]) -> Device:
    """Return what wg0 holds, with names of keys in their place; without progress, a plan has just begun."""
    wanted = wanted_device(file)
    if plan is None:
        return wanted
    now = progress or first_progress(plan, 0.0)
    if now.phase is Phase.LINGER:
        return wanted
    if now.phase is Phase.REKEYED:
        return replace(wanted, peers=_rekeyed(file, plan, now))
    return replace(wanted, private_key=plan.before.private, peers=_before(file, plan, now))


def _before(file: WgFile, plan: Plan, progress: Progress) -> dict[str, Peer]:
    """Return wg0's peers with the keys they had; plain ones do not know an old key of this node's own."""
    parted = kinds(file, plan, progress)
    absent = parted.plain if plan.own_changes else frozenset()
    peers = {}
    for peer in file.peers:
        if peer.name in absent:
            continue
        keys = plan.before.peers.get(peer.name) if peer.name not in parted.plain else None
        public_key = keys.public_key if keys else peer.public_key
        peers[public_key] = _peer(peer, keys.preshared if keys else peer.preshared)
    return peers


def _rekeyed(file: WgFile, plan: Plan, progress: Progress) -> dict[str, Peer]:
    parted = kinds(file, plan, progress)
    rekeyed = parted.changing | (parted.plain if plan.own_changes else frozenset())

    def keepalive(peer: WgPeer) -> int:
        if peer.name in parted.changing - progress.back and is_shy(file, peer):
            return 0
        return peer.keepalive or (_KEEPALIVE_REKEYED if peer.name in rekeyed else 0)

    return {
        peer.public_key: replace(_peer(peer, peer.preshared), keepalive=keepalive(peer))
        for peer in file.peers
    }


def _peer(peer: WgPeer, preshared: Optional[str]) -> Peer:
    return Peer(preshared, peer.endpoint, frozenset(peer.allowed_ips), peer.keepalive)


def next_device(file: WgFile, plan: Plan, progress: Progress) -> Optional[Device]:
    """Return what wg0-next holds, with names of keys in their place; None when it is absent.

    While wg0 has an old key of this node's own, wg0-next speaks for it to plain peers: to their wg0.
    """
    if progress.phase is Phase.LINGER:
        return None
    changing, called = kinds(file, plan, progress).changing, _called(file, plan, progress)
    peers = {}
    for name, peer in named(file).items():
        if name in changing:
            endpoint = _with_port(peer.endpoint, plan.next_port)
        elif name in called:
            endpoint = peer.endpoint
        else:
            continue
        peers[peer.public_key] = Peer(peer.preshared, endpoint, frozenset(peer.allowed_ips), _KEEPALIVE_NEXT)
    return Device(private_key=file.private, port=plan.next_port, fwmark=0, peers=peers)


def _with_port(endpoint: Optional[str], port: int) -> Optional[str]:
    return f"{endpoint.rpartition(':')[0]}:{port}" if endpoint else None


def _called(file: WgFile, plan: Plan, progress: Progress) -> frozenset[str]:
    """Return the plain peers that are reached by wg0-next alone."""
    if progress.phase is Phase.BOTH and plan.own_changes:
        return kinds(file, plan, progress).plain
    return frozenset()


def redirected(file: WgFile, plan: Plan, progress: Progress) -> frozenset[str]:
    """Return the names of peers whose packets leave by wg0-next.

    After this node's wg0 got its next keys, these are all that have not been seen to answer there: one that
    was away for a time while the document did not have it as well.
    """
    if progress.phase is Phase.LINGER:
        return frozenset()
    changing = kinds(file, plan, progress).changing
    if progress.phase is Phase.REKEYED:
        return changing - progress.back
    return changing & progress.moved | _called(file, plan, progress)
