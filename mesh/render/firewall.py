"""What the firewall table of a node lets in, as the template needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mesh.plan import NodePlan

__all__ = ["FirewallView", "firewall_view"]


@dataclass(frozen=True, kw_only=True)
class FirewallView:
    """Sets of the table `inet wgmesh`: each a list of nftables elements, possibly empty."""

    mesh: str
    peer_endpoints: Sequence[str]
    ssh4: Sequence[str]
    ssh6: Sequence[str]
    tcp_ports: Sequence[str]
    udp_ports: Sequence[str]


def firewall_view(node: NodePlan, directory: Mapping[str, Mapping[str, str]], unknown: str) -> FirewallView:
    """Return the sets of one node.

    A peer whose endpoint is `unknown` (in a preview) stands in its set as that text.
    """
    ips = [directory[peer]["endpoint"].rpartition(":")[0] or unknown for peer in node.peers]
    return FirewallView(
        mesh=str(node.network),
        peer_endpoints=ips,
        ssh4=[str(source) for source in node.ssh_from if source.version == 4],
        ssh6=[str(source) for source in node.ssh_from if source.version == 6],
        tcp_ports=[port.range_text for port in node.public if port.protocol == "tcp"],
        udp_ports=[port.range_text for port in node.public if port.protocol == "udp"],
    )
