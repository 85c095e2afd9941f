"""What a run would take away: disks, addresses, power, connections; one line for each node.

Pure: what was is read elsewhere (`mesh/program/previous.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh.plan.model import MeshPlan, NodePlan

__all__ = ["Before", "dangers"]


@dataclass(frozen=True, kw_only=True)
class Before:
    """A node as it was: what its server is made of, whether it took part; None where it is not known."""

    has_server: bool = False
    location: str | None = None
    type: str | None = None
    public_ip: str | None = None
    address: str | None = None
    enabled: bool | None = None


def dangers(plan: MeshPlan, before: Mapping[str, Before]) -> dict[str, str]:
    """Return for each node that loses something what it loses, and why."""
    told = {name: _taken_out(name, was, plan) for name, was in before.items() if name not in plan.nodes}
    for name, node in plan.nodes.items():
        was = before.get(name)
        words = None if was is None else _changed(node, was)
        if words:
            told[name] = words
    return told


def _address(node: NodePlan) -> str:
    return str(node.overlay.first.ip)


def _taken_out(name: str, was: Before, plan: MeshPlan) -> str:
    successor = next((each for each in plan.nodes.values() if _address(each) == was.address), None)
    why = "is not in the stack file any more"
    if successor is not None:
        why += f" (to rename it, as to {successor.name}, is to make another server)"
    return f"{name} {why}: {_lost(was)}"


def _lost(was: Before) -> str:
    address = "its public address" if was.public_ip is None else f"its public address {was.public_ip}"
    if not was.has_server:
        return f"{address} is given back"
    return f"its server is deleted with its disk, and {address} is given back"


def _changed(node: NodePlan, was: Before) -> str | None:
    if not node.enabled:
        return _out(node, was)
    moved = was.location not in {None, node.machine.location}
    if moved and was.has_server:
        return f"{_moves(node, was)}; both are made anew there"
    if moved:
        return _moves(node, was)
    words = []
    if was.has_server and was.type not in {None, node.machine.type}:
        words.append(
            f"becomes a {node.machine.type} (it is a {was.type}): it is powered off for that, for a minute "
            f"or two, and a disk that grows never shrinks again"
        )
    if was.address not in {None, _address(node)}:
        words.append(
            f"has another address in the mesh, {_address(node)} instead of {was.address}: what is connected "
            f"to the old one is cut off"
        )
    return f"{node.name} {'; it '.join(words)}" if words else None


def _moves(node: NodePlan, was: Before) -> str:
    return f"{node.name} moves from {was.location} to {node.machine.location}: {_lost(was)}"


def _out(node: NodePlan, was: Before) -> str | None:
    """A node that is not enabled keeps what it has."""
    words = []
    if was.enabled:
        words.append("leaves everyone's peers (enabled: false): its connections through the mesh end")
    kept = [
        f"{wanted} (it has {has})"
        for wanted, has in ((node.machine.location, was.location), (node.machine.type, was.type))
        if was.has_server and has not in {None, wanted}
    ]
    if kept:
        words.append(f"is not enabled, and does not get {' and '.join(kept)} until it is")
    return f"{node.name} {'; it '.join(words)}" if words else None
