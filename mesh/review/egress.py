"""Which nodes reach the IPv4 internet over another node before and after, from the files of both."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from mesh.review.elements import NotUnderstoodError
from mesh.review.nodes import SIDES, Files, NodeChange, Side
from mesh.review.reach import shown
from mesh.review.rules import Packet

__all__ = ["Egress", "compare_egress"]

# An address of the internet that no list of private or reserved networks holds (RFC 6890).
_SOMEWHERE: Final = ip_address("1.7.77.77")


@dataclass(frozen=True, kw_only=True, order=True)
class Egress:
    """A node that begins, or no longer begins, connections to the IPv4 internet over another node."""

    node: str
    over: str
    gained: bool


def compare_egress(nodes: Mapping[str, NodeChange]) -> list[Egress]:
    """Compare all nodes whose files change; `nodes` are by their URNs.

    What cannot be read is told where reach is compared.
    """
    by_name = {(node.mesh, node.name): node for node in nodes.values() if node.touched}
    found: list[Egress] = []
    for (mesh, name), node in by_name.items():
        if not node.hidden and node.op != "delete":
            with suppress(NotUnderstoodError):
                before, after = (set(_over(node, by_name, side)) for side in SIDES)
                found += (
                    Egress(node=shown(mesh, name), over=shown(mesh, over), gained=over in after)
                    for over in before ^ after
                )
    return sorted(found)


def _over(node: NodeChange, by_name: Mapping[tuple[str, str], NodeChange], side: Side) -> Iterator[str]:
    """Yield the node that gives egress; by its new name, on the side before, too."""
    files = node.on(side)
    renamed = {each.former: each.name for each in by_name.values() if each.mesh == node.mesh}
    for peer in files.tunnel.peers.values() if files is not None else ():
        name = renamed.get(peer.name, peer.name) if side == "before" else peer.name
        if files is not None and peer.egress and _passes(by_name.get((node.mesh, name)), files, side):
            yield name


def _passes(giver: NodeChange | None, files: Files, side: Side) -> bool:
    """Whether the node between passes packets on; one whose files are not in the preview does."""
    theirs = None if giver is None or giver.hidden else giver.on(side)
    if theirs is None:
        return giver is None or bool(giver.hidden)
    return any(
        theirs.firewall.let_in(
            Packet(interface=theirs.tunnel.interface, source=own.ip, target=_SOMEWHERE, onward=True)
        )
        for own in files.tunnel.addresses
        if own.version == _SOMEWHERE.version
    )
