"""What the stack's state had when this run began: the engine is asked, and nothing is added to the state.

A change can only be told in words, and a node that is behind can only be dialled, when it is known what was.
Nothing secret of this may be shown: what is taken from `Previous.record` may be a key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from mesh.names import (
    COMMAND,
    DIRECTORY,
    FIRST_MESH,
    IDENTITY,
    MESH_TYPE,
    NODE_TYPE,
    OWN_KEY,
    STASH,
    MeshNames,
    in_a_mesh,
    name_in_urn,
)

__all__ = ["NOTHING_KNOWN", "Previous", "read_previous"]

# The engine's own function (pulumi/pulumi, pkg/resource/deploy/builtins.go); the SDK for Node.js calls it
# `listResourceOutputs`.
_READ: Final = "pulumi:pulumi:readStackResourceOutputs"
# The same for the stack's outputs; asked first, since the engine cannot answer the other one for a stack that
# never had an update.
_READ_OUTPUTS: Final = "pulumi:pulumi:readStackOutputs"
_STACK: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True, kw_only=True)
class Previous:
    """The state before this run: for every resource its type and name, and what it had.

    `nodes` has each node that the state knows by name, and its entry in the outputs, empty where there is
    none. `unread` says why the state could not be read; there is nothing in it then. `former` has the names
    that nodes had before: until a run has renamed a node, the state has the node by one of these. `urns` has
    the URN of each resource.
    """

    nodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unread: str | None = None
    records: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict, repr=False)
    former: Mapping[str, Sequence[str]] = field(default_factory=dict)
    urns: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def has(self, type_: str, name: str) -> bool:
        """Whether the state has a resource of this type and name."""
        return (type_, name) in self.records

    def record(self, type_: str, name: str) -> Mapping[str, Any]:
        """Return what the state has of a resource, secrets in plain; nothing of one that it does not have."""
        return self.records.get((type_, name), {})

    def part(self, type_: str, node: str, part: str) -> Mapping[str, Any]:
        """Return what the state has of a part of a node: one of `STEPS`, a key, a server."""
        found = (self.record(type_, f"{called}-{part}") for called in self._called(node))
        return next(filter(None, found), {})

    def has_part(self, type_: str, node: str, part: str) -> bool:
        """Whether the state has this part of a node."""
        return any(self.has(type_, f"{called}-{part}") for called in self._called(node))

    def has_key(self, node: str) -> bool:
        """Whether the state has a node's WireGuard key, or the public half of one that the node made."""
        return self.has_part(STASH, node, IDENTITY) or self.has_part(COMMAND, node, OWN_KEY)

    def component(self, node: str) -> Mapping[str, Any]:
        """Return what the component of a node has registered."""
        return next(filter(None, (self.record(NODE_TYPE, called) for called in self._called(node))), {})

    def urn(self, type_: str, node: str, part: str) -> str | None:
        """Return the URN that a part of a node has in the state."""
        found = (self.urns.get((type_, f"{called}-{part}")) for called in self._called(node))
        return next(filter(None, found), None)

    def _called(self, node: str) -> tuple[str, ...]:
        return node, *self.former.get(node, ())

    def node(self, name: str) -> Mapping[str, Any]:
        """Return a node's entry in the outputs; nothing of one that is new."""
        return self.nodes.get(name, {})

    @property
    def out(self) -> frozenset[str]:
        """The nodes that took no part: they are not in the directory."""
        kept = self.record(STASH, DIRECTORY).get("input")
        if not isinstance(kept, Mapping):
            return frozenset()
        return frozenset(name for name in self.nodes if not any(each in kept for each in self._called(name)))

    def of(self, names: MeshNames, former: Mapping[str, Sequence[str]] | None = None) -> "Previous":
        """Return what is one mesh's, by the names that its resources have without the mesh's.

        `former` are the names that nodes had before, see `former`.
        """
        present = {had: name for name, all_had in (former or {}).items() for had in all_had}
        records = {
            (kind, plain): found
            for (kind, name), found in self.records.items()
            if (plain := names.plain(name)) is not None
        }
        urns = {
            (kind, plain): urn
            for (kind, name), urn in self.urns.items()
            if (plain := names.plain(name)) is not None
        }
        told = self._told(names)
        nodes: dict[str, Mapping[str, Any]] = {}
        for name in sorted({*_names(records)}):
            called = present.get(name, name)
            nodes[called] = _entry(told.get(called)) or _entry(told.get(name))
        return Previous(nodes=nodes, unread=self.unread, records=records, former=former or {}, urns=urns)

    def _told(self, names: MeshNames) -> Mapping[str, Any]:
        """The nodes in the outputs: those of the stack, or of the component of a mesh."""
        of_mesh = self.record(MESH_TYPE, names.mesh)
        of_stack = [found for (kind, _), found in self.records.items() if kind == _STACK]
        for outputs in (*(of_stack if names.mesh == FIRST_MESH else ()), of_mesh):
            if isinstance(outputs.get("nodes"), Mapping):
                told: Mapping[str, Any] = outputs["nodes"]
                return told
        return {}


NOTHING_KNOWN: Final = Previous()
"""Of a stack that was never up."""


def read_previous() -> Previous:
    """Ask the engine what the state has, of all meshes."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        if not pulumi.runtime.invoke(_READ_OUTPUTS, {"name": name}).value["outputs"]:
            return Previous()
        answer = pulumi.runtime.invoke(_READ, {"stackName": name})
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
        return Previous(unread=str(error))
    return _parse(answer.value["outputs"])


def _parse(found: Mapping[str, Any]) -> Previous:
    ours = {(str(each["type"]), name_in_urn(urn)): urn for urn, each in found.items() if _is_ours(urn)}
    return Previous(records={key: found[urn].get("outputs") or {} for key, urn in ours.items()}, urns=ours)


def _is_ours(urn: str) -> bool:
    """Whether a resource is of a mesh, or the stack: a program may have other servers beside the mesh."""
    return in_a_mesh(urn) or urn.split("::")[2] == _STACK


def _names(records: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    """The nodes of which the state has anything, or the key."""
    for kind, name in records:
        if kind == NODE_TYPE:
            yield name
        elif kind == STASH and name.endswith(f"-{IDENTITY}"):
            yield name.removesuffix(f"-{IDENTITY}")


def _entry(facts: Any) -> Mapping[str, Any]:
    return facts if isinstance(facts, Mapping) else {}
