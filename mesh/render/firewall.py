"""What the firewall table of a node lets in, as the template needs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mesh.plan import Ingress, NodePlan

__all__ = ["FirewallView", "NamedSet", "firewall_view"]


@dataclass(frozen=True, kw_only=True)
class NamedSet:
    """A set of the table: name, nftables type, and elements, each with a note for the reader or none."""

    name: str
    type: str
    elements: Sequence[tuple[str, str]]

    @property
    def interval(self) -> bool:
        """Whether an element is a network or a range.

        Measured on Linux 6.18, at 500 packets a second: replacing a table a hundred times loses about one
        packet on a rule that needs such a set, and none on one that does not; it looks as if the new set
        were empty for some microseconds. So a set is one only where it must be, and no rule for
        established traffic uses one.
        """
        return any("/" in element or "-" in element for element, _ in self.elements)


@dataclass(frozen=True, kw_only=True)
class FirewallView:
    """All sets of the table `inet wgmesh`, in the order of the file; `policy` says whether there is one."""

    sets: Sequence[NamedSet]
    policy: bool


def firewall_view(node: NodePlan, directory: Mapping[str, Mapping[str, str]], unknown: str) -> FirewallView:
    """Return the sets of one node.

    A peer whose endpoint is `unknown` (in a preview) stands in its set as that text.
    """
    sets = [
        NamedSet(name="peer_endpoints", type="ipv4_addr", elements=_endpoints(node, directory, unknown)),
        NamedSet(
            name="ssh_sources4",
            type="ipv4_addr",
            elements=_plain([source for source in node.ssh_from if source.version == 4]),
        ),
        NamedSet(
            name="ssh_sources6",
            type="ipv6_addr",
            elements=_plain([source for source in node.ssh_from if source.version == 6]),
        ),
        *(
            NamedSet(
                name=f"public_{protocol}",
                type="inet_service",
                elements=_plain([port.range_text for port in node.public if port.protocol == protocol]),
            )
            for protocol in ("tcp", "udp")
        ),
    ]
    if node.ingress is not None:
        sets += _policy_sets(node, node.ingress)
    return FirewallView(sets=sets, policy=node.ingress is not None)


def _plain(values: Sequence[object]) -> list[tuple[str, str]]:
    return [(str(value), "") for value in values]


def _endpoints(
    node: NodePlan, directory: Mapping[str, Mapping[str, str]], unknown: str
) -> list[tuple[str, str]]:
    ips = [directory[peer]["endpoint"].rpartition(":")[0] or unknown for peer in node.peers]
    # several nodes may stand behind one address; nftables refuses an element that comes twice
    return _plain([ip for index, ip in enumerate(ips) if ip == unknown or ip not in ips[:index]])


def _policy_sets(node: NodePlan, ingress: Sequence[Ingress]) -> list[NamedSet]:
    def ports(protocol: Literal["tcp", "udp"]) -> list[tuple[str, str]]:
        return [
            (f"{each.address} . {port.range_text}", each.source)
            for each in ingress
            for port in each.ports
            if port.protocol == protocol
        ]

    return [
        NamedSet(name="mesh_ssh", type="ipv4_addr", elements=_plain(node.ssh_mesh)),
        NamedSet(
            name="mesh_all",
            type="ipv4_addr",
            elements=[(str(each.address), each.source) for each in ingress if each.everything],
        ),
        NamedSet(
            name="mesh_icmp",
            type="ipv4_addr",
            elements=[(str(each.address), each.source) for each in ingress if each.icmp],
        ),
        NamedSet(name="mesh_tcp", type="ipv4_addr . inet_service", elements=ports("tcp")),
        NamedSet(name="mesh_udp", type="ipv4_addr . inet_service", elements=ports("udp")),
    ]
