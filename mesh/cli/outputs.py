"""A stack's outputs, as the commands of day two need them."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

from mesh.cli.engine import CliError, ask

__all__ = ["MeshOutputs", "NodeOutputs", "read_outputs"]


@dataclass(frozen=True, kw_only=True)
class NodeOutputs:
    """One node: overlay address, public IP address, WireGuard public key, SSH host key.

    A node that is not `enabled` is there, but nobody's peer.
    """

    name: str
    address: str
    public_ip: str
    public_key: str
    host_key: str
    enabled: bool = True
    ssh_port: int = 22


@dataclass(frozen=True, kw_only=True)
class MeshOutputs:
    """All nodes, and the SSH private key (OpenSSH format) that opens them."""

    nodes: Mapping[str, NodeOutputs]
    ssh_private_key: str

    def node(self, name: str) -> NodeOutputs:
        """Return one node. Raises `CliError` that lists the nodes there are."""
        if name not in self.nodes:
            raise CliError(f"{name!r} is no node of this stack; it has {', '.join(self.nodes)}")
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
    incomplete = [
        name for name, facts in nodes.items() if not all(facts.get(k) for k in ("public_ip", "host_key"))
    ]
    if incomplete:
        raise CliError(f"{', '.join(incomplete)}: not made yet or failed; run `up` again")
    by_address = sorted(nodes.items(), key=lambda item: IPv4Address(item[1]["address"]))
    return MeshOutputs(
        nodes={
            # the engine's numbers may be floats
            name: NodeOutputs(name=name, **{**facts, "ssh_port": int(facts.get("ssh_port", 22))})
            for name, facts in by_address
        },
        ssh_private_key=key,
    )
