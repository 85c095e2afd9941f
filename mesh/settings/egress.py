"""IPv4 for nodes without a public IPv4 address: `egress` names the node that passes their packets on."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesh.settings.callers import NO_ENDPOINT, linked_in
from mesh.settings.endpoints import families_of
from mesh.settings.models import Settings
from mesh.settings.names import host_name
from mesh.settings.problems import REMOVED, Told, another_value, nearest, nearest_of
from mesh.settings.raw import Finding, nodes, read

__all__ = ["check_egress", "check_egress_families", "egress_of"]


def egress_of(settings: Settings, name: str) -> str | None:
    """Return the node over which another one reaches the IPv4 internet; None where no packet passes."""
    over = settings.nodes[name].egress
    if over is None or not (settings.nodes[name].enabled and settings.nodes[over].enabled):
        return None
    return over


def check_egress(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """The node that is named is another one, with a tunnel to this one and no egress of its own."""
    everyone = nodes(raw)
    for name, node in everyone.items():
        over = read(host_name, _value(node, "egress"))
        told = None if over is None else _no_egress(name, over, raw)
        if told is not None:
            yield ("nodes", name, "egress"), told


def _no_egress(name: str, over: str, raw: Mapping[Any, Any]) -> Told | None:
    """Say why a node cannot reach the internet over another one; None where it can."""
    everyone = nodes(raw)
    others = [each for each in everyone if each != name and _value(everyone[each], "egress") is None]
    if over not in everyone:
        near = nearest_of(over, others)
        return Told(
            f"{over} is no node of this mesh; {nearest(over, others)}", another_value(near) if near else ()
        )
    if over == name:
        return Told(f"{over} is the node itself; name a node that has a public IPv4 address")
    if _value(everyone[over], "egress") is not None:
        return Told(
            f"{over} has `egress` itself, so {over} has no IPv4 to give; name a node that has a public IPv4 "
            f"address"
        )
    linked = linked_in(raw)
    if linked is not None and frozenset((name, over)) not in linked:
        return Told(f"links has no link between {name} and {over}; write [{name}, {over}] there")
    if all(_value(everyone[each], "endpoint") == NO_ENDPOINT for each in (name, over)):
        return Told(
            f"{name} reaches {over} over a relay, and a relay passes on nothing for the internet; name a "
            f"node that has an endpoint"
        )
    return None


def check_egress_families(settings: Settings) -> Iterator[Finding]:
    """Egress is from a node without a public IPv4 address, over one that has it."""
    for name, node in settings.nodes.items():
        if node.egress is None:
            continue
        path = ("nodes", name, "egress")
        if "ipv4" in families_of(node):
            message = (
                f"{name} has a public IPv4 address, and needs no other node to reach the internet; remove "
                f"egress"
            )
            yield path, Told(message, (REMOVED,))
        elif "ipv4" not in families_of(settings.nodes[node.egress]):
            able = [each for each, other in settings.nodes.items() if "ipv4" in families_of(other)]
            known = f", such as {able[0]}" if able else "; this mesh has none"
            yield (
                path,
                Told(
                    f"{node.egress} has no public IPv4 address; name a node that has one{known}",
                    another_value(*able),
                ),
            )


def _value(node: object, key: str) -> object:
    return node.get(key) if isinstance(node, Mapping) else None
