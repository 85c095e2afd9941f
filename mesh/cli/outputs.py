"""A stack's outputs, as the commands of day two need them."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, Final

from mesh.cli.engine import CliError, ask

__all__ = ["NOT_MADE", "MeshOutputs", "NodeOutputs", "read_outputs"]

NOT_MADE: Final = "not made yet: run `up` again"
"""What is said of a node in `MeshOutputs.unmade`."""

# What the engine keeps for an output whose resource failed (plugin.UnknownStringValue in Pulumi's SDK).
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@dataclass(frozen=True, kw_only=True)
class NodeOutputs:
    """One node: overlay address, public IP address, WireGuard public key, SSH host key, SSH port.

    A node that is not `enabled` is there, but nobody's peer.
    """

    name: str
    address: str
    public_ip: str
    public_key: str
    host_key: str
    enabled: bool
    ssh_port: int


@dataclass(frozen=True, kw_only=True)
class MeshOutputs:
    """The nodes there are, by overlay address, and the SSH private key (OpenSSH format) that opens them.

    `unmade` are those whose address or keys could not be made, and whether each is enabled.
    """

    nodes: Mapping[str, NodeOutputs]
    unmade: Mapping[str, bool]
    ssh_private_key: str

    @property
    def missing(self) -> list[str]:
        """The nodes that take part and are not made."""
        return [name for name, enabled in self.unmade.items() if enabled]

    def node(self, name: str) -> NodeOutputs:
        """Return one node. Raises `CliError` for one that is not made, or lists the nodes there are."""
        if name in self.unmade:
            raise CliError(f"{name}: {NOT_MADE}")
        if name not in self.nodes:
            known = ", ".join([*self.nodes, *self.unmade])
            raise CliError(f"{name!r} is no node of this stack; it has {known}")
        return self.nodes[name]


def read_outputs(pulumi: str, stack: str | None) -> MeshOutputs:
    """Ask the engine for the stack's outputs.

    `pulumi` is the engine's command line as a shell would read it, `stack` the stack's name; None
    for the one that is selected. Raises `CliError`.
    """
    return _parse(ask(pulumi, stack, "stack", "output", "--json", "--show-secrets", what="outputs"))


def _parse(outputs: Mapping[str, Any]) -> MeshOutputs:
    nodes = outputs.get("nodes")
    key = outputs.get("ssh_private_key")
    if not isinstance(nodes, dict) or not isinstance(key, str):
        raise CliError("the stack has no mesh yet: bring it up first (`up`)")
    by_address = sorted(nodes.items(), key=lambda item: IPv4Address(item[1]["address"]))
    return MeshOutputs(
        nodes={
            # the engine's numbers may be floats
            name: NodeOutputs(name=name, **{**facts, "ssh_port": int(facts["ssh_port"])})
            for name, facts in by_address
            if _made(facts)
        },
        unmade={name: facts["enabled"] for name, facts in by_address if not _made(facts)},
        ssh_private_key=key,
    )


def _made(facts: Mapping[str, Any]) -> bool:
    known = (facts.get(name) for name in ("public_ip", "public_key", "host_key"))
    return all(value not in (None, "", _UNKNOWN) for value in known)
