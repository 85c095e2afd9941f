"""The whole mesh as one component."""

from pathlib import Path
from typing import Any

import pulumi

from mesh.plan import plan_mesh
from mesh.program import hooks, keys
from mesh.program.agent import build_agent
from mesh.program.cloud import Cloud
from mesh.program.node import Directory, MeshKeys, Node
from mesh.settings import Settings

__all__ = ["Mesh"]


class Mesh(pulumi.ComponentResource):
    """A private network of servers in which every node reaches every other one.

    Everything that concerns all nodes goes through one resource, the directory: dependencies grow
    with the number of nodes, not with the number of pairs.
    """

    def __init__(self, name: str, settings: Settings, *, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("wireguard-mesh:index:Mesh", name, None, opts)
        plan = plan_mesh(settings)
        child = pulumi.ResourceOptions(parent=self)
        shared = self._shared_keys()
        cloud = Cloud.declare(
            parent=self,
            hooks=pulumi.ResourceHookBinding(
                on_error=[pulumi.ErrorHook(hooks.NAME_TAKEN, hooks.already_exists)]
            ),
            management_key=shared.management_public,
            firewalls=plan.firewalls,
            placement_groups=plan.placement_groups,
            port=plan.port,
        )
        nodes = {
            name: Node(node, cloud=cloud, shared=shared, opts=child) for name, node in plan.nodes.items()
        }
        facts = {name: node.facts() for name, node in nodes.items()}
        directory = Directory.of(pulumi.Stash("directory", input=facts, opts=child))
        agent_file = build_agent(Path("build"))
        reconnect = pulumi.ResourceHookBinding(
            on_error=[pulumi.ErrorHook(hooks.RECONNECT, hooks.wants_reconnect)]
        )
        for node in nodes.values():
            node.configure(directory, agent_file=agent_file, hooks=reconnect)
        self.nodes: dict[str, dict[str, pulumi.Input[str]]] = {
            node.name: {
                "address": str(node.address),
                "public_ip": nodes[node.name].public_ip,
                "public_key": nodes[node.name].public_key,
                "host_key": nodes[node.name].host_key,
            }
            for node in plan.nodes.values()
        }
        """Per node: overlay address, public IP address, WireGuard public key, SSH host key."""
        self.ssh_private_key: pulumi.Output[str] = shared.management
        """The management SSH key, OpenSSH format, secret."""
        outputs: dict[str, Any] = {"nodes": self.nodes}
        self.register_outputs(outputs)

    def _shared_keys(self) -> MeshKeys:
        management = keys.stored("management-key", keys.ssh_key, parent=self)
        return MeshKeys(
            management=management,
            management_public=keys.ssh_public_key(management),
            preshared_root=keys.stored("preshared-root", keys.preshared_root, parent=self),
        )
