"""What a run would take away: disks, addresses, power, connections; one line for each node.

Pure: what was is read elsewhere (`mesh/program/previous.py`), and what becomes of a machine its provider says
(`mesh/program/machines`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from mesh.plan.model import MeshPlan, NodePlan
from mesh.settings import Problem

__all__ = ["Before", "Loss", "dangers", "refused"]

_NAMED: Final = 3


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a run takes away of one node's machine, in words that follow the node's name.

    `everything` is what goes with a node that is taken out, `moves` is said of a machine that is made anew
    elsewhere (then the rest does not count), `changes` of one that stays; `waits` is what a node that is not
    enabled does not get. `leaves` is said of a machine whose provider is another one now: a node that is not
    enabled loses it, too. `gives_back` is said of public addresses that a machine which stays loses.
    `protected` is whether the provider protects the machine as it is now.
    """

    everything: str = "its server is deleted with its disk"
    leaves: str | None = None
    moves: str | None = None
    changes: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    protected: bool = False
    gives_back: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Before:
    """A node as it was: its overlay addresses and whether it took part, None where that is not known.

    `reaches` are the nodes that it had a path to, None: all others; `routes` the networks behind it, `egress`
    is the node over which it reached the IPv4 internet. `ends` are the addresses inside the mesh that go in
    this run; None where that is not known: all that change.
    """

    loss: Loss
    address: str | None = None
    address6: str | None = None
    enabled: bool | None = None
    reaches: frozenset[str] | None = None
    routes: tuple[str, ...] = ()
    egress: str | None = None
    ends: tuple[str, ...] | None = None


def dangers(plan: MeshPlan, before: Mapping[str, Before]) -> dict[str, str]:
    """Return for each node that loses something what it loses, and why."""
    told = {name: _taken_out(name, was, plan) for name, was in before.items() if name not in plan.nodes}
    for name, node in plan.nodes.items():
        was = before.get(name)
        words = None if was is None else _changed(node, was, list(_cut_off(plan, node, before)))
        if words:
            told[name] = words
    return told


def refused(plan: MeshPlan, before: Mapping[str, Before]) -> tuple[Problem, ...]:
    """Return what a run would take away although it is protected: each node with its place and the remedy.

    What counts is the protection that is there: an `up` that takes it off changes nothing else.
    """
    found = _protected_losses(plan, {name: was for name, was in before.items() if was.loss.protected})
    return tuple(Problem(path=f"mesh.nodes.{name}", message=message) for name, message in found)


def _protected_losses(plan: MeshPlan, before: Mapping[str, Before]) -> Iterator[tuple[str, str]]:
    for name, was in before.items():
        node = plan.nodes.get(name)
        if node is None:
            message = (
                f"is protected, but not in the stack file any more{_renamed(name, was, plan)}: "
                f"{was.loss.everything}. To delete the node, put it back with `protect: false` and run up; "
                f"then take it out"
            )
            yield name, message
            continue
        loss = was.loss.leaves or (was.loss.moves or _given_back(was) if node.enabled else None)
        if loss is not None:
            message = (
                f"is protected, but {loss}. To go on, take this change back, set `protect: false` for the "
                f"node and run up; then make the change"
            )
            yield name, message


def _given_back(was: Before) -> str | None:
    return "; it ".join(was.loss.gives_back) or None


def _address(node: NodePlan) -> str:
    return str(node.overlay.first.ip)


def _taken_out(name: str, was: Before, plan: MeshPlan) -> str:
    return f"{name} is not in the stack file any more{_renamed(name, was, plan)}: {was.loss.everything}"


def _renamed(name: str, was: Before, plan: MeshPlan) -> str:
    """Say what helps where a node of another name has the same address now."""
    successor = next((each for each in plan.nodes.values() if _address(each) == was.address), None)
    if successor is None:
        return ""
    return (
        f" (if you renamed it to {successor.name}, give {successor.name} `formerly: [{name}]`: then server "
        f"and keys stay)"
    )


def _changed(node: NodePlan, was: Before, cut_off: Sequence[str]) -> str | None:
    if was.loss.leaves is not None:
        return f"{node.name} {was.loss.leaves}"
    if not node.enabled:
        return _out(node, was)
    if was.loss.moves is not None:
        return f"{node.name} {was.loss.moves}"
    words = [*was.loss.gives_back, *was.loss.changes]
    words += _ended(node, was)
    lost = [network for network in was.routes if network not in {str(each) for each in _routes(node)}]
    if lost:
        words.append(
            f"is no longer the way to {_some(lost)} (routes): connections of other nodes to hosts there end"
        )
    words += cut_off
    return f"{node.name} {'; it '.join(words)}" if words else None


def _cut_off(plan: MeshPlan, node: NodePlan, before: Mapping[str, Before]) -> Iterator[str]:
    """Say to which nodes, and to what beyond the mesh, the node has no path any more."""
    unlinked = _unlinked(plan, node, before)
    if unlinked:
        yield (
            f"has no link with {_some(unlinked)} any more (links): connections between both ends are cut off"
        )
    egress = before[node.name].egress
    if egress is None or (
        node.egress is not None and egress in {node.egress, *plan.nodes[node.egress].former}
    ):
        return
    if node.egress is None:
        yield f"no longer reaches the IPv4 internet over {egress} (egress): its connections there end"
    else:
        yield (
            f"reaches the IPv4 internet over {node.egress} instead of {egress} (egress): its connections "
            f"there end, and new ones come from another address"
        )


def _ended(node: NodePlan, was: Before) -> Iterator[str]:
    """Say which of the node's addresses inside the mesh go."""
    ends = [each for each in (was.address, was.address6) if each] if was.ends is None else list(was.ends)
    if was.address in ends and was.address != _address(node):
        yield (
            f"has another address in the mesh, {_address(node)} instead of {was.address}: connections to "
            f"the old address are cut off"
        )
    if was.address6 in ends and was.address6 != _address6(node):
        yield _lost6(was.address6, _address6(node))
    for former in ends:
        if former not in {was.address, was.address6}:
            yield f"gives up its former address {former} in the mesh: connections that use it are cut off"


def _unlinked(plan: MeshPlan, node: NodePlan, before: Mapping[str, Before]) -> list[str]:
    """Return the nodes that this one had a path to, and has none now; of a pair, one node tells."""
    if node.reaches is None:
        return []
    found = []
    for other in plan.nodes.values():
        was = before.get(other.name)
        took_part = node.enabled and other.enabled and was is not None and was.enabled
        had_path = took_part and before[node.name].enabled and _reached(before[node.name], other)
        if node.name < other.name and had_path and other.name not in node.reaches:
            found.append(other.name)
    return found


def _reached(was: Before, other: NodePlan) -> bool:
    return was.reaches is None or bool(was.reaches & {other.name, *other.former})


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _routes(node: NodePlan) -> Iterator[IPv4Network | IPv6Network]:
    return (each.network for each in node.access.routes)


def _address6(node: NodePlan) -> str | None:
    return None if node.overlay.address6 is None else str(node.overlay.address6)


def _lost6(was: str | None, now: str | None) -> str:
    if now is None:
        return f"loses its IPv6 address in the mesh, {was}: connections to it are cut off"
    return (
        f"has another IPv6 address in the mesh, {now} instead of {was}: connections to the old address are "
        f"cut off"
    )


def _out(node: NodePlan, was: Before) -> str | None:
    """A node that is not enabled keeps what it has."""
    words = []
    if was.enabled:
        words.append(
            "leaves the peers of all other nodes (enabled: false): its connections through the mesh end"
        )
    if was.loss.waits:
        words.append(f"is not enabled, and gets {' and '.join(was.loss.waits)} only when it is enabled again")
    return f"{node.name} {'; it '.join(words)}" if words else None
