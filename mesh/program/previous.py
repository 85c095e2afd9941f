"""What the stack's state had when this run began: the engine is asked, and nothing is added to the state.

A change can only be told in words, and a node that is behind can only be dialled, when it is known what was.
Nothing secret of this may be shown: what is taken from `Previous.record` may be a key.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from mesh.names import MESH_TYPE

__all__ = ["NOTHING_KNOWN", "Previous", "PreviousNode", "read_previous"]

# The engine's own function (pulumi/pulumi, pkg/resource/deploy/builtins.go); the SDK for Node.js calls it
# `listResourceOutputs`.
_READ: Final = "pulumi:pulumi:readStackResourceOutputs"
# The same for the stack's outputs; asked first, since the engine cannot answer the other one for a stack that
# never had an update.
_READ_OUTPUTS: Final = "pulumi:pulumi:readStackOutputs"
_SERVER: Final = "hcloud:index/server:Server"
_ADDRESS: Final = "hcloud:index/primaryIp:PrimaryIp"
_STACK: Final = "pulumi:pulumi:Stack"
_STASH: Final = "pulumi:index:Stash"


@dataclass(frozen=True, kw_only=True)
class PreviousNode:
    """What the state has of one node: facts of its server and its address, and its entry in the outputs.

    Each is empty where the state has none. `server` and `address` use the hcloud provider's names
    (`serverType`, `location`, `image`, `primaryDiskSize`; `ipAddress`), `outputs` those of `nodes`.
    """

    server: Mapping[str, Any] = field(default_factory=dict)
    address: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Previous:
    """The state before this run: nodes by name, and for every resource its type and name.

    `unread` says why it could not be read; there is nothing in it then.
    """

    nodes: Mapping[str, PreviousNode] = field(default_factory=dict)
    resources: frozenset[tuple[str, str]] = frozenset()
    unread: str | None = None
    records: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def has(self, type_: str, name: str) -> bool:
        """Whether the state has a resource of this type and name."""
        return (type_, name) in self.resources

    def record(self, type_: str, name: str) -> Mapping[str, Any]:
        """Return what the state has of a resource, secrets in plain; nothing of one that it does not have."""
        return self.records.get((type_, name), {})

    def node(self, name: str) -> PreviousNode:
        """Return what the state has of a node; nothing of one that is new."""
        return self.nodes.get(name, PreviousNode())


NOTHING_KNOWN: Final = Previous()
"""Of a stack that was never up."""


def read_previous() -> Previous:
    """Ask the engine what the state has."""
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{pulumi.get_stack()}"
    try:
        if not pulumi.runtime.invoke(_READ_OUTPUTS, {"name": name}).value["outputs"]:
            return Previous()
        answer = pulumi.runtime.invoke(_READ, {"stackName": name})
    except Exception as error:  # noqa: BLE001 - the SDK raises nothing narrower
        return Previous(unread=str(error))
    return _parse(answer.value["outputs"])


def _parse(found: Mapping[str, Any]) -> Previous:
    named = {
        (str(each["type"]), urn.rpartition("::")[2]): each.get("outputs") or {}
        for urn, each in found.items()
        if _is_ours(urn)
    }
    told: Mapping[str, Any] = {}
    for (kind, _), outputs in named.items():
        if kind == _STACK and isinstance(outputs.get("nodes"), Mapping):
            told = outputs["nodes"]
    nodes = {
        name: PreviousNode(
            server=_public(named.get((_SERVER, f"{name}-server"))),
            address=_public(named.get((_ADDRESS, f"{name}-ip"))),
            outputs=_public(told.get(name)),
        )
        for name in sorted(set(_names(named)))
    }
    return Previous(nodes=nodes, resources=frozenset(named), records=named)


def _is_ours(urn: str) -> bool:
    """Whether a resource is of a mesh, or the stack: a program may have other servers beside the mesh."""
    kinds = urn.split("::")[2]
    return MESH_TYPE in kinds.split("$") or kinds == _STACK


def _names(named: Mapping[tuple[str, str], Any]) -> Iterator[str]:
    """The nodes whose server, address or key the state has."""
    for kind, suffix in ((_SERVER, "-server"), (_ADDRESS, "-ip"), (_STASH, "-identity")):
        for type_, name in named:
            if type_ == kind and name.endswith(suffix):
                yield name.removesuffix(suffix)


def _public(facts: Any) -> Mapping[str, Any]:
    """What may be looked at: user data is a secret, and nothing here needs it."""
    if not isinstance(facts, Mapping):
        return {}
    return {name: value for name, value in facts.items() if name != "userData"}
