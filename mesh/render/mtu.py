"""What `wg0.conf` says of sizes: how the interface's MTU came about, and the MTU of each narrower peer."""

from mesh.plan import NodePlan
from mesh.plan.mtu import INTERNET, Underlay

__all__ = ["narrow_paths", "widest_path"]


def narrow_paths(node: NodePlan) -> dict[str, str]:
    """Return the MTU of each peer that is narrower than the interface, with its reason: `1320 (...)`."""
    return {
        peer.name: f"{peer.mtu} ({_reason(peer.underlay)})"
        for peer in node.peers
        if peer.underlay is not None and peer.mtu < node.overlay.mtu
    }


def widest_path(node: NodePlan) -> str | None:
    """Return in words where the interface's MTU comes from; None where it is what the internet carries.

    Pairs of one size need no words about the others.
    """
    underlays = [peer.underlay for peer in node.peers if peer.underlay is not None]
    if not underlays or {underlay.mtu for underlay in underlays} == {INTERNET}:
        return None
    widest = max(underlays, key=lambda underlay: underlay.inside)
    if widest.inside < node.overlay.mtu:
        return f"{node.overlay.mtu}, the least for IPv6; all peers are narrower"
    others = len(narrow_paths(node))
    told = f"{widest.inside} ({_reason(widest)})"
    return f"{told}; {others} narrower {'peer' if others == 1 else 'peers'} below" if others else told


def _reason(underlay: Underlay) -> str:
    return f"underlay {underlay.mtu} - {underlay.overhead}"
