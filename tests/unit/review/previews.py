"""Previews as an engine writes them, from two stack files: for changes that nobody recorded."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from mesh.names import MESH_TYPE, NODE_TYPE
from mesh.plan import MeshPlan, NodePlan
from mesh.program.machines.hetzner.firewalls import firewall_name
from mesh.render import render_document
from mesh.settings import merged
from tests.unit.meshes import MANAGEMENT, facts_of, key_names_of, plan_of

__all__ = ["changed", "document_of", "preview_of", "step_of"]

_STACK: Final = "urn:pulumi:dev::wireguard-mesh::"
_MESH: Final = f"{_STACK}{MESH_TYPE}::mesh"
_COMMAND, _SERVER, _FIREWALL, _STASH = (
    "command:remote:Command",
    "hcloud:index/server:Server",
    "hcloud:index/firewall:Firewall",
    "pulumi:index:Stash",
)
_ROOT: Final = "pulumi:pulumi:Stack"
Mesh = Mapping[str, Any]


def preview_of(before: Mesh, after: Mesh) -> str:
    """Return what `pulumi preview --json` would print, as far as a review reads it."""
    old, new = _plan(before), _plan(after)
    steps = [
        *_shared(old, new),
        *(step for name in {*old.nodes, *new.nodes} for step in _node(name, before, after)),
    ]
    counts: dict[str, int] = {}
    for step in steps:
        counts[step["op"]] = counts.get(step["op"], 0) + 1
    return json.dumps(
        {"config": {"wireguard-mesh:mesh": json.dumps(after)}, "steps": steps, "changeSummary": counts}
    )


def changed(mesh: Mesh, **keys: Any) -> dict[str, Any]:
    """Return a mesh with other keys."""
    return {**mesh, **keys}


def document_of(mesh: Mesh, name: str) -> str | None:
    """Return the files that a node has: one that is not enabled keeps those from when it was."""
    node = mesh["nodes"].get(name)
    if node is None:
        return None
    if not node.get("enabled", True):
        mesh = {**mesh, "nodes": {**mesh["nodes"], name: {**node, "enabled": True}}}
    return _document(_plan(mesh), name)


def _plan(mesh: Mesh) -> MeshPlan:
    return _planned(json.dumps(mesh))


@lru_cache(maxsize=32)
def _planned(mesh: str) -> MeshPlan:
    return plan_of(json.loads(mesh))


def _document(plan: MeshPlan, name: str) -> str:
    node = plan.nodes[name]
    return render_document(node, facts_of(plan), key_names_of(node), management_key=MANAGEMENT)


def step_of(urn: str, kind: str, parent: str, before: Any, after: Any) -> Iterator[dict[str, Any]]:
    """Yield the step on a resource with these inputs; none where nothing changes."""
    if before == after:
        return
    op = "create" if before is None else "delete" if after is None else "update"
    step: dict[str, Any] = {"op": op, "urn": urn}
    for side, inputs in (("oldState", before), ("newState", after)):
        if inputs is not None:
            depends = {"firewallIds": inputs.pop("_firewalls")} if "_firewalls" in inputs else {}
            step[side] = {
                "urn": urn, "type": kind, "parent": parent, "inputs": inputs, "propertyDependencies": depends,
            }  # fmt: skip
    yield step


def _node(name: str, before: Mesh, after: Mesh) -> Iterator[dict[str, Any]]:
    urn = f"{_STACK}{MESH_TYPE}${NODE_TYPE}::{name}"
    was, will = (mesh["nodes"].get(name) for mesh in (before, after))
    exists: list[dict[str, Any] | None] = [None if node is None else {} for node in (was, will)]
    yield from step_of(urn, NODE_TYPE, _MESH, *exists)
    child = f"{_STACK}{MESH_TYPE}${NODE_TYPE}$"
    out = will is not None and not will.get("enabled", True)
    had, has = document_of(before, name), document_of(after, name)
    if out and was is not None:
        return  # everything stays as it is
    if out:
        has = _document(_plan(after), name)
    yield from step_of(f"{child}{_COMMAND}::{name}-apply", _COMMAND, urn, _stdin(had), _stdin(has))
    yield from step_of(
        f"{child}{_SERVER}::{name}-server", _SERVER, urn, _server(before, name), _server(after, name)
    )


def _stdin(document: str | None) -> dict[str, Any] | None:
    return None if document is None else {"stdin": document}


def _server(mesh: Mesh, name: str) -> dict[str, Any] | None:
    node = _plan(mesh).nodes.get(name)
    if node is None:
        return None
    urn = _firewall_urn(node)
    return {"serverType": "cx23", "firewallIds": [abs(hash(urn))], "_firewalls": [urn]}


def _firewall_urn(node: NodePlan) -> str:
    return f"{_STACK}{MESH_TYPE}${_FIREWALL}::firewall-{firewall_name(node.access.public)}"


def _shared(old: MeshPlan, new: MeshPlan) -> Iterator[dict[str, Any]]:
    root = f"{_STACK}{_ROOT}::dev"
    yield {"op": "same", "urn": root, "oldState": _stack(root, old), "newState": _stack(root, new)}
    members: list[dict[str, Any]] = [
        {"input": {name: {} for name, node in plan.nodes.items() if node.enabled}} for plan in (old, new)
    ]
    yield from step_of(f"{_STACK}{MESH_TYPE}${_STASH}::directory", _STASH, _MESH, *members)
    firewalls = [_firewalls(plan) for plan in (old, new)]
    for urn in sorted({*firewalls[0], *firewalls[1]}):
        yield from step_of(urn, _FIREWALL, _MESH, *(each.get(urn) for each in firewalls))


def _stack(urn: str, plan: MeshPlan) -> dict[str, Any]:
    nodes = {name: {"enabled": node.enabled} for name, node in plan.nodes.items()}
    return {"urn": urn, "type": _ROOT, "outputs": {"nodes": nodes}}


def _firewalls(plan: MeshPlan) -> dict[str, dict[str, Any]]:
    return {_firewall_urn(node): {"rules": _rules(plan, node)} for node in plan.nodes.values()}


def _rules(plan: MeshPlan, node: NodePlan) -> list[dict[str, Any]]:
    opened = [("icmp", None), ("tcp", str(plan.ssh_port)), ("udp", str(node.overlay.port))]
    opened += [(port.protocol, port.range_text) for port in merged(node.access.public)]
    return [
        {"direction": "in", "protocol": protocol, "port": port, "sourceIps": ["0.0.0.0/0", "::/0"]}
        for protocol, port in opened
    ]
