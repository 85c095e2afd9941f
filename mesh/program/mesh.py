"""The whole mesh as one component."""

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import pulumi

from mesh.outputs import mesh_record, node_record
from mesh.plan import MeshPlan
from mesh.plan.hetzner import placement_groups
from mesh.program import hooks, keys
from mesh.program.access import Access, plan_access, ssh_limits
from mesh.program.agent import agent_file
from mesh.program.cloud import Cloud
from mesh.program.confirmed import CONFIRMED, require_confirmed
from mesh.program.directory import Directory
from mesh.program.door import check_settings, mark_stack
from mesh.program.fate import tell_fate
from mesh.program.gates import plan_gates
from mesh.program.moves import tell_moves
from mesh.program.node import MeshKeys, Node
from mesh.program.power import CloudAccess, Power, find_power, power_hooks
from mesh.program.previous import NOTHING_KNOWN, Previous

__all__ = ["Mesh"]


class Mesh(pulumi.ComponentResource):
    """A private network of servers in which every node reaches every other one.

    Everything that concerns all nodes goes through one resource, the directory: dependencies grow
    with the number of nodes, not with the number of pairs. `previous` is what the state had before this run.
    """

    def __init__(
        self,
        name: str,
        plan: MeshPlan,
        *,
        previous: Previous | None = None,
        told: Collection[str] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare everything; `previous` is what the state had, `told` the nodes whose losses are told."""
        super().__init__("wireguard-mesh:index:Mesh", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        before = previous or NOTHING_KNOWN
        access = plan_access(plan, before)
        tell_moves(plan, access, self)
        shared = self._shared_keys()
        cloud = Cloud.declare(
            parent=self,
            hooks=pulumi.ResourceHookBinding(
                on_error=[pulumi.ErrorHook(hooks.CLOUD_FAILED, hooks.cloud_answer(before))]
            ),
            ssh_key_name=_ssh_key_name(before, shared.management_public),
            management_key=shared.management_public,
            gates=plan_gates(plan, access, before),
            placement_groups=placement_groups(plan),
            power=_power(plan, access, before),
        )
        nodes = {
            name: Node(node, access=access[name], cloud=cloud, shared=shared, opts=child)
            for name, node in plan.nodes.items()
        }
        entries = {name: node.entry() for name, node in nodes.items() if plan.nodes[name].enabled}
        directory = pulumi.Stash("directory", input=entries, opts=child)
        self._configure(nodes, Directory.of(directory.input), plan.canary, before, ssh_limits(access))
        for node in plan.nodes.values():
            tell_fate(node, nodes[node.name].server, before.node(node.name), told=node.name in told)
        self.nodes: dict[str, dict[str, pulumi.Input[str | int | bool]]] = {
            node.name: node_record(
                address=str(node.overlay.first.ip),
                enabled=node.enabled,
                ssh_port=nodes[node.name].ssh_port,
                public_ip=nodes[node.name].public_ip,
                public_key=nodes[node.name].public_key,
                host_key=nodes[node.name].host_key,
            )
            for node in plan.nodes.values()
        }
        """Per node: overlay address, whether it takes part, SSH port, public IP address, WireGuard public
        key, SSH host key."""
        self.ssh_private_key: pulumi.Output[str] = shared.management
        """The management SSH key, OpenSSH format, secret."""
        self.outputs: dict[str, Any] = mesh_record(
            mesh=name, nodes=self.nodes, ssh_private_key=self.ssh_private_key
        )
        """All of it as one record, for `pulumi.export`: the commands of day two read the mesh from there."""
        outputs: dict[str, Any] = {"nodes": self.nodes}
        self.register_outputs(outputs)

    @classmethod
    def from_settings(
        cls, name: str, settings: Mapping[str, Any], *, opts: pulumi.ResourceOptions | None = None
    ) -> "Mesh":
        """Declare a mesh from settings as the stack file spells them (docs/stack-file.md).

        Raises `pulumi.RunError` with every mistake, before anything is changed.
        """
        checked = check_settings(settings)
        mark_stack()
        return cls(name, checked.plan, previous=checked.previous, told=checked.told, opts=opts)

    def _configure(
        self,
        nodes: Mapping[str, Node],
        directory: pulumi.Output[Directory],
        canary: str | None,
        before: Previous,
        limits: Mapping[str, str],
    ) -> None:
        """Declare what runs on the nodes: the canary first, the others once it has committed."""
        agent = agent_file()
        confirmed = pulumi.ResourceHook(CONFIRMED, require_confirmed)
        records = {name: before.record("command:remote:Command", f"{name}-apply") for name in nodes}
        ran = [pulumi.ResourceHook(hooks.COMMAND_RAN, hooks.command_ran)]
        answers = pulumi.ResourceHookBinding(
            on_error=[pulumi.ErrorHook(hooks.COMMAND_FAILED, hooks.command_answer(limits))],
            after_create=[*ran],
            after_update=[*ran],
        )
        gate: tuple[pulumi.Resource, ...] = ()
        if canary is not None:
            answer = pulumi.ErrorHook(hooks.CANARY, hooks.canary_answer(canary, limits))
            first = nodes[canary].configure(
                directory,
                agent_file=agent,
                hooks=pulumi.ResourceHookBinding(on_error=[answer], after_create=[*ran], after_update=[*ran]),
                gate=gate,
                confirmed=confirmed,
                record=records[canary],
            )
            gate = (first.apply,)
        for name, node in nodes.items():
            if name != canary:
                node.configure(
                    directory,
                    agent_file=agent,
                    hooks=answers,
                    gate=gate,
                    confirmed=confirmed,
                    record=records[name],
                )

    def _shared_keys(self) -> MeshKeys:
        management = keys.stored("management-key", keys.ssh_key, parent=self)
        return MeshKeys(
            management=management,
            management_public=keys.ssh_public_key(management),
            preshared_root=keys.stored("preshared-root", keys.preshared_root, parent=self),
        )


def _power(plan: MeshPlan, access: Mapping[str, Access], previous: Previous) -> Power:
    stack = pulumi.get_stack()
    elsewhere = {name: each.port for name, each in access.items() if each.port != plan.ssh_port}
    return Power(
        found=find_power(CloudAccess.configured(), stack, previous),
        hooks=power_hooks(stack, ssh_port=plan.ssh_port, elsewhere=elsewhere),
    )


def _ssh_key_name(previous: Previous, public: pulumi.Output[str]) -> pulumi.Output[str]:
    """Return the name of the SSH key in the cloud: another key needs another, as both are there for a while.

    One that is there keeps its name.
    """
    kept = previous.record("hcloud:index/sshKey:SshKey", "management")
    first = f"{pulumi.get_stack()}-management"

    def name(key: str) -> str:
        if not kept or kept.get("publicKey") == key:
            return str(kept.get("name", first))
        return f"{first}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    return public.apply(name)
