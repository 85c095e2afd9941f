"""Who outside the mesh reaches a node before and after: the internet, and the networks that may open SSH."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from mesh.review.elements import NotUnderstoodError
from mesh.review.hetzner import CloudFirewalls
from mesh.review.nodes import Files, NodeChange, Side
from mesh.review.reach import Difference, Reach, shown
from mesh.review.rules import Packet
from mesh.review.traffic import NOTHING, Traffic

__all__ = ["INTERNET", "compare_outside", "ssh_networks"]

INTERNET: Final = "the internet"
_INTERFACE: Final = "eth0"  # no stack file may trust it
_SOURCES: Final = ("ssh_sources4", "ssh_sources6")
# Addresses of the internet, one of which is in none of the networks that a table lists.
_CANDIDATES: Final[Mapping[int, Sequence[IPv4Address | IPv6Address]]] = {
    4: [ip_address(f"{first}.{second}.77.77") for first in range(1, 224) for second in (7, 133)],
    6: [ip_address(f"2{part:03x}:777::7") for part in range(0, 4096, 16)],
}
_UNSHOWN: Final = "as far as the firewall of the cloud lets it in, which this preview does not show"


@dataclass(frozen=True, kw_only=True)
class _Doors:
    """A node's files on one side, and how the cloud stands before them."""

    side: Side
    files: Files | None


def compare_outside(nodes: Mapping[str, NodeChange], clouds: CloudFirewalls) -> Reach:
    """Compare what the internet, and each network that may open SSH, reaches on every node."""
    reach = Reach()
    for node in nodes.values():
        if not node.touched or node.hidden:
            continue
        name = shown(node.mesh, node.name)
        try:
            _internet(name, node, clouds, reach)
        except NotUnderstoodError as error:
            reach.untold[name] = f"its files have {error}"
    return reach


def ssh_networks(files: Files | None) -> list[IPv4Network | IPv6Network]:
    """Return the networks that SSH is let in from. Raises `NotUnderstoodError`."""
    if files is None:
        return []
    sets = [files.firewall.sets[name] for name in _SOURCES if name in files.firewall.sets]
    return [network for each in sets for network in each.every]


def _internet(name: str, node: NodeChange, clouds: CloudFirewalls, reach: Reach) -> None:
    found: dict[int, tuple[Traffic, Traffic, bool]] = {}
    listed = [*ssh_networks(node.before), *ssh_networks(node.after)]
    for version in (4, 6):
        sender = next(
            (
                each
                for each in _CANDIDATES[version]
                if not any(each in net for net in listed if net.prefixlen)
            ),
            None,
        )
        if sender is None:
            continue
        before, sure = _let_in(node, "before", node.before, sender, clouds)
        after, also = _let_in(node, "after", node.after, sender, clouds)
        found[version] = (after - before, before - after, sure and also)
    for source, (gained, lost, sure) in _told(found):
        if gained:
            note = "" if sure else _UNSHOWN
            reach.gained.append(Difference(source=source, target=name, traffic=gained, note=note))
        if lost:
            reach.lost.append(Difference(source=source, target=name, traffic=lost))


def _told(
    found: Mapping[int, tuple[Traffic, Traffic, bool]],
) -> Iterator[tuple[str, tuple[Traffic, Traffic, bool]]]:
    """Yield both families as one where they agree."""
    if len(set(found.values())) == 1:
        yield INTERNET, next(iter(found.values()))
    else:
        for version, each in found.items():
            yield f"{INTERNET} (IPv{version})", each


def _let_in(
    node: NodeChange,
    side: Side,
    files: Files | None,
    sender: IPv4Address | IPv6Address,
    clouds: CloudFirewalls,
) -> tuple[Traffic, bool]:
    """Return what gets in, and whether that is sure."""
    if files is None:
        return NOTHING, True
    packet = Packet(interface=_INTERFACE, source=sender, target=None, listed=False)
    host = files.firewall.let_in(packet)
    cloud = clouds.let_in(node, side, files, sender)
    return (host, False) if cloud is None else (host & cloud, True)
