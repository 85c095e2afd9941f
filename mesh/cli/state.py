"""What the stack says every node should hold: read from its state, where `up` left it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mesh.cli.engine import CliError, ask

__all__ = ["NodeFiles", "StackState", "parse_state", "read_state"]

_COMMAND = "command:remote:Command"
_COPY = "command:remote:CopyToRemote"
_SERVER = "hcloud:index/server:Server"


@dataclass(frozen=True, kw_only=True)
class NodeFiles:
    """What was last put on a node: its document, and the SHA-256 of its agent in hex."""

    document: str
    agent: str | None


@dataclass(frozen=True, kw_only=True)
class StackState:
    """The nodes' files by node, and the URNs of what can be replaced by type and name.

    A node whose files never arrived has none.
    """

    files: Mapping[str, NodeFiles]
    urns: Mapping[tuple[str, str], str]

    def server(self, node: str) -> str:
        """Return the URN of a node's server."""
        return self._urn(_SERVER, f"{node}-server")

    def keys(self, node: str) -> str:
        """Return the URN of what sends a node its keys."""
        return self._urn(_COMMAND, f"{node}-keys")

    def agent(self, node: str) -> tuple[str, str]:
        """Return the URNs of what copies a node's agent and what installs it."""
        return self._urn(_COPY, f"{node}-agent-file"), self._urn(_COMMAND, f"{node}-agent")

    def _urn(self, kind: str, name: str) -> str:
        return self.urns.get((kind, name), f"<urn of {name}>")


def read_state(pulumi: str, stack: str | None, nodes: Iterable[str]) -> StackState:
    """Ask the engine for the stack's state; secrets stay encrypted in it, and are not needed.

    It is what the next preview compares with: a node whose last `up` failed has its former files there.
    `pulumi` is the engine's command line. Raises `CliError`.
    """
    return parse_state(ask(pulumi, stack, "stack", "export", what="state"), nodes)


def parse_state(state: Mapping[str, Any], nodes: Iterable[str]) -> StackState:
    """Pick out of an exported state (deployment version 3) what concerns the nodes. Raises `CliError`."""
    resources = {
        (resource["type"], resource["urn"].rpartition("::")[2]): resource
        for resource in (state.get("deployment") or {}).get("resources") or []
        if not resource.get("delete")
    }
    payloads = {
        name: (resource.get("inputs") or {}).get("stdin")
        for (kind, name), resource in resources.items()
        if kind == _COMMAND
    }
    files = {}
    for name in nodes:
        document, agent = payloads.get(f"{name}-apply"), payloads.get(f"{name}-agent")
        if document is None:
            continue
        if not isinstance(document, str):
            raise CliError(f"{name}: its files are a secret in the state, which they should not be")
        files[name] = NodeFiles(document=document, agent=agent if isinstance(agent, str) else None)
    return StackState(
        files=files,
        urns={
            key: resource["urn"]
            for key, resource in resources.items()
            if key[0] in (_COMMAND, _COPY, _SERVER)
        },
    )
