"""What a preview says of servers at Hetzner Cloud: what becomes of them, and what their firewalls let in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any, Final

from mesh.names import cloud_firewall
from mesh.review.elements import NotUnderstoodError
from mesh.review.nodes import Files, NodeChange, Side
from mesh.review.preview import UNKNOWN, State, Step
from mesh.review.ranges import Ranges, ranges
from mesh.review.traffic import EVERYTHING, NOTHING, Traffic

__all__ = ["ADDRESS", "FIREWALL", "PLACE", "SERVER", "CloudFirewalls"]

SERVER: Final = "hcloud:index/server:Server"
ADDRESS: Final = "hcloud:index/primaryIp:PrimaryIp"
PLACE: Final = "hcloud:index/serverNetwork:ServerNetwork"
FIREWALL: Final = "hcloud:index/firewall:Firewall"


@dataclass(frozen=True, kw_only=True)
class CloudFirewalls:
    """The firewalls of the cloud that have steps, by their URNs."""

    steps: Mapping[str, Step]

    @staticmethod
    def of(steps: Sequence[Step]) -> "CloudFirewalls":
        """Find them among all steps."""
        return CloudFirewalls(steps={step.urn: step for step in steps if step.state.type == FIREWALL})

    def let_in(
        self, node: NodeChange, side: Side, files: Files, sender: IPv4Address | IPv6Address
    ) -> Traffic | None:
        """Return what the firewall before a node lets through; None where the preview does not show it.

        Raises `NotUnderstoodError`.
        """
        step = next(node.of_type(SERVER), None)
        if step is None:
            return None
        state = step.old if side == "before" else step.new
        if state is None:
            return NOTHING
        if not state.inputs.get("firewallIds"):
            return EVERYTHING
        urns = state.depends.get("firewallIds") or ()
        found = [self._rules(urn, side, files, sender) for urn in urns]
        known = [each for each in found if each is not None]
        if len(known) < len(found) or not found:
            return None
        together = NOTHING
        for each in known:
            together |= each
        return together

    def _rules(self, urn: str, side: Side, files: Files, sender: IPv4Address | IPv6Address) -> Traffic | None:
        step = self.steps.get(urn)
        if step is None:
            # It stays as it is, and its name says which public ports it was made for.
            wanted = f"firewall-{cloud_firewall(_public(files))}"
            return EVERYTHING if urn.rpartition("::")[2].rpartition(".")[2] == wanted else None
        state = step.old if side == "before" else step.new
        return NOTHING if state is None else _let_in(state, sender)


def _public(files: Files) -> list[str]:
    """Return the public ports of a node as its files have them."""
    sets = files.firewall.sets
    return [
        f"{protocol}/{text}"
        for protocol in ("tcp", "udp")
        if f"public_{protocol}" in sets
        for text in sets[f"public_{protocol}"].texts
    ]


def _let_in(firewall: State, sender: IPv4Address | IPv6Address) -> Traffic:
    found = NOTHING
    for rule in firewall.inputs.get("rules") or ():
        if rule["direction"] == "in" and any(sender in ip_network(each) for each in rule["sourceIps"]):
            found |= _traffic(rule)
    return found


def _traffic(rule: Mapping[str, Any]) -> Traffic:
    ports = _ports(rule.get("port"))
    match rule["protocol"]:
        case "tcp":
            return Traffic(tcp=ports)
        case "udp":
            return Traffic(udp=ports)
        case "icmp":
            return Traffic(icmp=EVERYTHING.icmp)
        case "gre" | "esp":
            return Traffic(other=EVERYTHING.other)
        case protocol:
            raise NotUnderstoodError(f"the protocol {protocol} in a firewall of the cloud")


def _ports(text: object) -> Ranges:
    if text in (None, "", "any"):
        return EVERYTHING.tcp
    first, _, last = str(text).partition("-")
    if text == UNKNOWN or not first.isdecimal() or not (last or first).isdecimal():
        raise NotUnderstoodError(f"the port {text} in a firewall of the cloud")
    return ranges([(int(first), int(last or first))])
