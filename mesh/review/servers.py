"""What becomes of servers and of nodes: the worst first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from mesh.names import COMMAND, COPY, LEAVE, NODE_TYPE, STASH, name_in_urn
from mesh.review.blocks import data
from mesh.review.hetzner import ADDRESS, PLACE, SERVER
from mesh.review.nodes import NodeChange
from mesh.review.preview import UNKNOWN, State, Step
from mesh.review.reach import shown

__all__ = ["Fate", "Kind", "read_fates", "switched_off"]

_OURS: Final = {COMMAND, COPY, NODE_TYPE, STASH}
_POWER: Final = "power"


class Kind(IntEnum):
    """What happens to a node, the worst first."""

    DELETED = 0
    REPLACED = 1
    POWERED_OFF = 2
    DISABLED = 3
    RENAMED = 4
    STARTED = 5
    ENABLED = 6
    JOINED = 7
    CREATED = 8
    CHANGED = 9


@dataclass(frozen=True, kw_only=True)
class Fate:
    """One thing that happens to a node's server, in words."""

    kind: Kind
    node: str
    words: str


def read_fates(nodes: Mapping[str, NodeChange], steps: Sequence[Step]) -> list[Fate]:
    """Return what happens, the worst first."""
    found = [fate for node in nodes.values() for fate in _of_node(node)]
    known = {(node.mesh, node.name): node.op for node in nodes.values()}
    for node in nodes.values():
        if node.former != node.name:
            known[node.mesh, node.name] = known[node.mesh, node.former] = "renamed"
    found += _membership(steps, known)
    return sorted(found, key=lambda fate: (fate.kind, fate.node))


def switched_off(fates: Iterable[Fate]) -> frozenset[str]:
    """Return the nodes whose servers do not run all the while."""
    return frozenset(fate.node for fate in fates if fate.kind <= Kind.POWERED_OFF)


def _of_node(node: NodeChange) -> Iterator[Fate]:
    name = shown(node.mesh, node.name)
    if node.former != node.name:
        words = f"is renamed from {shown(node.mesh, node.former)}"
        yield Fate(kind=Kind.RENAMED, node=name, words=words)
    for step in node.steps:
        if step.state.type == PLACE and node.op == "same":
            yield from _place(name, step)
        elif step.state.type not in _OURS and step.state.type not in {ADDRESS, PLACE}:
            yield from _server(name, node, step)
    if (power := node.step(STASH, _POWER)) is not None and node.op == "same":
        _, after = power.values("input")
        if isinstance(after, str) and after.endswith(": will be started"):
            yield Fate(kind=Kind.STARTED, node=name, words="the server is off, and is started")
    if (leave := node.step(COMMAND, LEAVE)) is not None:
        yield from _existing(name, leave)
    elif node.op != "same" and all(step.state.type in _OURS for step in node.steps):
        kind = Kind.DELETED if node.op == "delete" else Kind.CREATED
        yield Fate(kind=kind, node=name, words=f"the node is {node.op}d")


def _existing(name: str, step: Step) -> Iterator[Fate]:
    """Tell what becomes of a server that no provider has made."""
    if step.op == "create" and step.new is not None:
        connection = step.new.inputs.get("connection")
        host = connection.get("host") if isinstance(connection, Mapping) else None
        at = "" if host is None else f" {_value(host)}"
        yield Fate(
            kind=Kind.JOINED, node=name, words=f"the server{at}, which is there already, joins the mesh"
        )
    elif step.op == "delete" and step.old is not None:
        runs = step.old.inputs.get("delete") is not None
        words = "is as it was before the mesh" if runs else "keeps what the mesh put there (`forget: true`)"
        yield Fate(kind=Kind.DISABLED, node=name, words=f"leaves the mesh; its server stays, and {words}")
    elif step.op == "update" and step.values("delete")[1] is None and step.values("delete")[0] is not None:
        words = "its server is given up (`forget: true`): nothing runs there when the node goes"
        yield Fate(kind=Kind.CHANGED, node=name, words=words)


def _server(name: str, node: NodeChange, step: Step) -> Iterator[Fate]:
    address = _address(node)
    what = "the server" if step.state.type == SERVER else step.state.type.rpartition(":")[2]
    match step.op:
        case "delete":
            words = f"{what} is deleted with its disk{address}"
            yield Fate(kind=Kind.DELETED, node=name, words=words)
        case "replace":
            why = f" ({_why(step)})" if step.reasons else ""
            words = f"{what} is deleted with its disk, and made anew{why}{address}"
            yield Fate(kind=Kind.REPLACED, node=name, words=words)
        case "create":
            made = _made(step)
            yield Fate(kind=Kind.CREATED, node=name, words=f"{what} is created{f': {made}' if made else ''}")
        case "update":
            yield from _updated(name, what, step, address)


def _place(name: str, step: Step) -> Iterator[Fate]:
    """Say how a server that stays is in its private network afterwards."""
    state = step.new or step.old
    ip = state.inputs.get("ip") if state is not None else None
    at = f" at {_value(ip)}" if ip is not None else ""
    words = {
        "create": f"the server joins a private network{at}",
        "delete": "the server leaves its private network",
        "replace": f"the server leaves its private network, and is attached again{at}",
    }.get(step.op)
    if words is not None:
        yield Fate(kind=Kind.CHANGED, node=name, words=words)


def _address(node: NodeChange) -> str:
    """Say what becomes of the public addresses."""
    gone = [
        step.old.outputs.get("ipAddress")
        for step in node.of_type(ADDRESS)
        if step.old is not None and step.op in {"delete", "replace"}
    ]
    if not gone:
        return ""
    shown_ips = "".join(f"{ip} " for ip in [" and ".join(str(ip) for ip in gone if ip)] if ip)
    if len(gone) > 1:
        return f"; its public addresses {shown_ips}are given back"
    return f"; its public address {shown_ips}is given back"


def _why(step: Step) -> str:
    return ", ".join(_change(step, key) for key in step.reasons)


def _change(step: Step, key: str) -> str:
    if key == "firewallIds" and step.old is not None and step.new is not None:
        had, has = (_sources(state, key) for state in (step.old, step.new))
        if had and has:
            return f"firewall of the cloud from {had} to {has}"
    before, after = step.values(key)
    if isinstance(before, str | int) and isinstance(after, str | int):
        return f"{key} from {_value(before)} to {_value(after)}"
    return data(key)


def _sources(state: State, key: str) -> str:
    """Return the names of the resources that an input comes from."""
    return " and ".join(data(name_in_urn(urn)) for urn in state.depends.get(key) or ())


def _value(value: Any) -> str:
    return "(known after up)" if value == UNKNOWN else data(str(value))


def _made(step: Step) -> str:
    assert step.new is not None
    keys = ("serverType", "image", "location")
    return ", ".join(_value(step.new.inputs[key]) for key in keys if key in step.new.inputs)


def _updated(name: str, what: str, step: Step, address: str) -> Iterator[Fate]:
    keys = {*(step.old.inputs if step.old else ()), *(step.new.inputs if step.new else ())}
    changed = sorted(
        key for key in keys if not key.startswith("__") and step.values(key)[0] != step.values(key)[1]
    )
    if "serverType" in changed and step.state.type == SERVER:
        words = f"the server is powered off for a minute or two ({_change(step, 'serverType')})"
        yield Fate(kind=Kind.POWERED_OFF, node=name, words=words)
        changed.remove("serverType")
    if "publicNets" in changed and step.state.type == SERVER:
        words = f"the server is powered off for a minute or two: its public addresses change{address}"
        yield Fate(kind=Kind.POWERED_OFF, node=name, words=words)
        changed.remove("publicNets")
    if changed:
        changes = ", ".join(_change(step, key) for key in changed)
        yield Fate(kind=Kind.CHANGED, node=name, words=f"{what} changes in place: {changes}")


def _membership(steps: Sequence[Step], known: Mapping[tuple[str, str], str]) -> Iterator[Fate]:
    """Tell nodes that leave or join the mesh, while their servers stay, from the directory of all members."""
    for step in steps:
        mesh, _, name = step.name.rpartition(".")
        if step.state.type != STASH or name != "directory":
            continue
        before, after = (each if isinstance(each, Mapping) else None for each in step.values("input"))
        if before is None or after is None:
            continue
        for node in sorted(before.keys() - after.keys()):
            if known.get((mesh, node), "same") == "same":
                words = "leaves the mesh (`enabled: false`); its server stays as it is"
                yield Fate(kind=Kind.DISABLED, node=shown(mesh, node), words=words)
        for node in sorted(after.keys() - before.keys()):
            if known.get((mesh, node), "same") == "same":
                yield Fate(kind=Kind.ENABLED, node=shown(mesh, node), words="joins the mesh again")
