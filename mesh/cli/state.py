"""What the stack says every node should hold: read from its state, where `up` left it."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mesh.cli.engine import CliError, ask

__all__ = ["NodeFiles", "parse_state", "read_state"]

_COMMAND = "command:remote:Command"


@dataclass(frozen=True, kw_only=True)
class NodeFiles:
    """What was last put on a node: its document, and the SHA-256 of its agent in hex."""

    document: str
    agent: str | None

    @property
    def digest(self) -> str:
        """The document's name on the node: SHA-256 of its bytes in hex."""
        return hashlib.sha256(self.document.encode()).hexdigest()


def read_state(pulumi: str, stack: str | None, nodes: Iterable[str]) -> dict[str, NodeFiles]:
    """Ask the engine for the stack's state; secrets stay encrypted in it, and are not needed.

    It is what the next preview compares with: a node whose last `up` failed has its former files there,
    one whose files never arrived is left out. `pulumi` is the engine's command line. Raises `CliError`.
    """
    return parse_state(ask(pulumi, stack, "stack", "export", what="state"), nodes)


def parse_state(state: Mapping[str, Any], nodes: Iterable[str]) -> dict[str, NodeFiles]:
    """Pick the nodes' files out of an exported state (deployment version 3). Raises `CliError`."""
    resources = (state.get("deployment") or {}).get("resources") or []
    payloads = {
        resource["urn"].rpartition("::")[2]: (resource.get("inputs") or {}).get("stdin")
        for resource in resources
        if resource.get("type") == _COMMAND and not resource.get("delete")
    }
    found = {}
    for name in nodes:
        document, agent = payloads.get(f"{name}-apply"), payloads.get(f"{name}-agent")
        if document is None:
            continue
        if not isinstance(document, str):
            raise CliError(f"{name}: its files are a secret in the state, which they should not be")
        found[name] = NodeFiles(document=document, agent=agent if isinstance(agent, str) else None)
    return found
