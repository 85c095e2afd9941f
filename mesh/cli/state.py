"""What the stack says every node should hold: read from its state, where `up` left it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mesh.cli.engine import CliError, ask
from mesh.names import (
    AGENT_FILE,
    APPLY,
    COMMAND,
    COPY,
    FIRST_MESH,
    GENERATIONS,
    INSTALL,
    KEYS,
    OWN_KEY,
    STASH,
    STEPS,
    MeshNames,
    in_a_mesh,
    name_in_urn,
)
from mesh.outputs import MeshOutputs
from mesh.remote import agent_named

__all__ = ["NodeFiles", "StackState", "parse_state", "read_state"]

_FIRST: Final = MeshNames(FIRST_MESH)


@dataclass(frozen=True, kw_only=True)
class NodeFiles:
    """What was last put on a node: its document, and the SHA-256 of its agent in hex."""

    document: str
    agent: str | None


@dataclass(frozen=True, kw_only=True)
class StackState:
    """The nodes' files by node, and the URNs of what can be replaced: of steps, by node and step.

    `servers` has the URN of what each node's commands live and die with. A node whose files never arrived has
    none. `generations` is the record of the keys that the nodes were given; empty in a mesh without rotation.
    """

    files: Mapping[str, NodeFiles]
    steps: Mapping[tuple[str, str], str]
    servers: Mapping[str, str]
    generations: Mapping[str, Any] = field(default_factory=dict)

    def server(self, node: str) -> str:
        """Return the URN of a node's server."""
        return self.servers.get(node, f"<urn of {node}-server>")

    def keys(self, node: str) -> str:
        """Return the URN of what sends a node its keys."""
        return self._step(node, KEYS)

    def makes_key(self, node: str) -> bool:
        """Whether a node makes its WireGuard key itself."""
        return (node, OWN_KEY) in self.steps

    def agent(self, node: str) -> tuple[str, str]:
        """Return the URNs of what copies a node's agent and what installs it."""
        return self._step(node, AGENT_FILE), self.keys(node)

    def _step(self, node: str, step: str) -> str:
        return self.steps.get((node, step), f"<urn of {node}-{step}>")


def read_state(pulumi: str, stack: str | None, mesh: MeshOutputs) -> StackState:
    """Ask the engine for the stack's state; secrets stay encrypted in it, and are not needed.

    It is what the next preview compares with: a node whose last `up` failed has its former files there.
    `pulumi` is the engine's command line. Raises `CliError`.
    """
    return parse_state(ask(pulumi, stack, "stack", "export", what="state"), mesh.nodes, MeshNames(mesh.mesh))


def parse_state(state: Mapping[str, Any], nodes: Iterable[str], names: MeshNames = _FIRST) -> StackState:
    """Pick out of an exported state (deployment version 3) what concerns the nodes. Raises `CliError`."""
    found = [
        resource
        for resource in (state.get("deployment") or {}).get("resources") or []
        if not resource.get("delete") and in_a_mesh(resource["urn"])
    ]
    # a run that was stopped while it renamed a node leaves outputs that have the former name
    by_urn = [(urn, each) for each in found for urn in each.get("aliases") or ()]
    by_urn += [(each["urn"], each) for each in found]
    resources = {(each["type"], name_in_urn(urn)): each for urn, each in by_urn}
    steps = {
        (node, step): resource
        for node in nodes
        for step in (*STEPS, OWN_KEY, INSTALL)
        if (resource := resources.get((COPY if step == AGENT_FILE else COMMAND, names.part(node, step))))
    }
    inputs = {key: resource.get("inputs") or {} for key, resource in steps.items()}
    files = {}
    for node, step in steps:
        document = inputs[node, step].get("stdin")
        if step != APPLY or document is None:
            continue
        if not isinstance(document, str):
            raise CliError(f"{node}: the node's files are marked as a secret in the state, but must not be")
        files[node] = NodeFiles(document=document, agent=_agent(inputs, node))
    return StackState(
        files=files,
        steps={key: resource["urn"] for key, resource in steps.items()},
        servers={
            node: resource["deletedWith"]
            for (node, _), resource in steps.items()
            if resource.get("deletedWith")
        },
        generations=_generations(resources.get((STASH, names.of(GENERATIONS)), {})),
    )


def _generations(stash: Mapping[str, Any]) -> Mapping[str, Any]:
    record = (stash.get("inputs") or {}).get("input")
    return record if isinstance(record, Mapping) else {}


def _agent(inputs: Mapping[tuple[str, str], Mapping[str, Any]], node: str) -> str | None:
    """Return the digest of the agent that was last sent to a node; `INSTALL` is of older versions."""
    line = inputs.get((node, KEYS), {}).get("create")
    older = inputs.get((node, INSTALL), {}).get("stdin")
    found = agent_named(line) if isinstance(line, str) else None
    return found or (older if isinstance(older, str) else None)
