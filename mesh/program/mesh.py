"""The whole mesh as one component."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pulumi

from mesh.names import DIRECTORY, MANAGEMENT_KEY, MESH_TYPE, PRESHARED_ROOT, MeshNames
from mesh.outputs import egress_record, limited_record, mesh_record, node_record, routed_record
from mesh.plan import MeshPlan, NodePlan
from mesh.plan.held import with_held
from mesh.program import hooks, keys
from mesh.program.access import Access, doors_of, plan_access, ssh_limits, with_names
from mesh.program.agent import AgentFile, agent_file
from mesh.program.ahead import nodes_by_provider
from mesh.program.clients import callers_of, declare_clients, gone
from mesh.program.commands import Commands, Target
from mesh.program.confirmed import CONFIRMED, require_confirmed
from mesh.program.directory import Directory
from mesh.program.door import check_settings, mark_stack
from mesh.program.former import former_names
from mesh.program.gates import plan_gates
from mesh.program.generations import given_generations, wanted_generations
from mesh.program.machines import PROVIDERS, Provider, Site
from mesh.program.moves import tell_moves
from mesh.program.node import MeshKeys, Node
from mesh.program.previous import NOTHING_KNOWN, Previous
from mesh.program.renumbering import plan_renumbering
from mesh.program.rotation import plan_rotation
from mesh.program.sources import key_source

__all__ = ["Mesh"]


class Mesh(pulumi.ComponentResource):
    """A private network of servers in which every node reaches every other one.

    Everything that concerns all nodes goes through one resource, the directory: dependencies grow
    with the number of nodes, not with the number of pairs. `previous` is what the state had before this run.
    A program may have several; the one called `mesh` has the plain names, see `mesh.names.MeshNames`.
    """

    def __init__(
        self,
        name: str,
        plan: MeshPlan,
        *,
        previous: Previous | None = None,
        told: Collection[str] = (),
        providers: Mapping[str, Provider] = PROVIDERS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare everything; `previous` is what the state had, `told` the nodes whose losses are told.

        Raises `ValueError` for a name that cannot begin the names of servers.
        """
        self._names = MeshNames(name)
        super().__init__(MESH_TYPE, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        before = (previous or NOTHING_KNOWN).of(self._names, former_names(plan))
        access = plan_access(plan, before, _first_ports(plan, providers))
        renumbering = plan_renumbering(plan, doors_of(access), before.out)
        access, plan = with_names(access, renumbering.leads), with_held(plan, renumbering.held)
        tell_moves(plan, access, renumbering, self)
        for words in gone(plan.clients, before):
            pulumi.log.warn(words, self)
        rotation = plan_rotation(self._names, plan, before, access)
        generations = rotation.begin(self) if rotation else None
        shared = self._shared_keys(plan)
        sites = self._sites(plan, access, shared, before, told)
        machines = {provider: providers[provider].declare(site) for provider, site in sites.items()}
        nodes = {
            name: Node(
                node,
                names=self._names,
                access=access[name],
                machines=machines[node.provider],
                shared=shared,
                source=key_source(node, before),
                opts=child,
            )
            for name, node in plan.nodes.items()
        }
        agent = agent_file()
        targets = self._targets(nodes, plan, before, agent, ssh_limits(access))
        for each, node in nodes.items():
            if node.makes_key:
                node.make_key(targets[each], agent_file=agent)
                node.tell_devices(callers_of(plan.clients, each))
        entries = {name: node.entry() for name, node in nodes.items() if plan.nodes[name].enabled}
        clients = declare_clients(plan.clients, self._names, self)
        callers = {name: client.entry() for name, client in clients.items() if client.plan.enabled}
        directory = pulumi.Stash(self._names.of(DIRECTORY), input={**entries, **callers}, opts=child)
        ways = {name: node.way_in() for name, node in nodes.items()} if rotation else {}
        commands = self._configure(nodes, targets, Directory.of(directory.input), plan.canary, agent)
        if rotation and generations:
            rotation.last(generations, ways, nodes, commands, parent=self)
        self.nodes: dict[str, dict[str, Any]] = {
            node.name: _record(node, nodes[node.name]) for node in plan.nodes.values()
        }
        """Per node: overlay address, whether it takes part, SSH port, public IP address, WireGuard public
        key, SSH host key; with links, the names of the nodes that the node has a path to."""
        self.ssh_private_key: pulumi.Output[str] = shared.management
        """The management SSH key, OpenSSH format, secret."""
        self.outputs: dict[str, Any] = mesh_record(
            mesh=name,
            nodes=self.nodes,
            ssh_private_key=self.ssh_private_key,
            clients={name: client.record(entries, shared.preshared_root) for name, client in clients.items()},
        )
        """All of it as one record, for `pulumi.export`: the commands of day two read the mesh from there."""
        outputs: dict[str, Any] = {"nodes": self.nodes}
        self.register_outputs(outputs)

    @classmethod
    def from_settings(
        cls,
        name: str,
        settings: Mapping[str, Any],
        *,
        providers: Mapping[str, Provider] = PROVIDERS,
        opts: pulumi.ResourceOptions | None = None,
    ) -> "Mesh":
        """Declare a mesh from settings as the stack file spells them (docs/stack-file.md).

        `name` begins the names of all resources, unless it is `mesh`; `providers` are those that nodes may be
        at. Raises `pulumi.RunError` with every mistake, before anything is changed.
        """
        checked = check_settings(settings, mesh=name, providers=providers)
        mark_stack()
        return cls(
            name,
            checked.plan,
            previous=checked.previous,
            told=checked.told,
            providers=providers,
            opts=opts,
        )

    def _sites(
        self,
        plan: MeshPlan,
        access: Mapping[str, Access],
        shared: MeshKeys,
        before: Previous,
        told: Collection[str],
    ) -> dict[str, Site]:
        """Return what each provider is told."""
        gates = plan_gates(plan, access)
        return {
            provider: Site(
                stack=pulumi.get_stack(),
                names=self._names,
                parent=self,
                nodes=nodes,
                gates={name: gates[name] for name in nodes},
                ssh_ports={name: access[name].port for name in nodes},
                management_key=shared.management_public,
                previous=before,
                told=told,
            )
            for provider, nodes in nodes_by_provider(plan).items()
        }

    def _targets(
        self,
        nodes: Mapping[str, Node],
        plan: MeshPlan,
        before: Previous,
        agent: AgentFile,
        limits: Mapping[str, str],
    ) -> dict[str, Target]:
        """Return where the commands of each node run, and what answers if one fails."""
        names = self._names
        confirmed = pulumi.ResourceHook(names.of(CONFIRMED), require_confirmed)
        ran = [pulumi.ResourceHook(names.of(hooks.COMMAND_RAN), hooks.command_ran)]
        let_in = {names.of(name): sources for name, sources in limits.items()}
        machines = {names.of(name): node.machine for name, node in nodes.items()}
        makers = {names.of(name) for name, node in nodes.items() if node.makes_key}
        failed = hooks.command_answer(let_in, machines, makers)
        answers = dict.fromkeys(nodes, pulumi.ErrorHook(names.of(hooks.COMMAND_FAILED), failed))
        if plan.canary is not None:
            given_up = hooks.canary_answer(plan.canary, let_in, machines, makers)
            answers[plan.canary] = pulumi.ErrorHook(names.of(hooks.CANARY), given_up)
        same_numbers = wanted_generations(plan, before) in (None, given_generations(before))
        return {
            name: node.target(
                hooks=pulumi.ResourceHookBinding(
                    on_error=[answers[name]], after_create=[*ran], after_update=[*ran]
                ),
                confirmed=confirmed,
                before=before,
                agent=agent,
                same_numbers=same_numbers,
            )
            for name, node in nodes.items()
        }

    def _configure(
        self,
        nodes: Mapping[str, Node],
        targets: Mapping[str, Target],
        directory: pulumi.Output[Directory],
        canary: str | None,
        agent: AgentFile,
    ) -> dict[str, Commands]:
        """Declare what runs on the nodes, and return it: the canary first, the others after its commit."""
        gate: tuple[pulumi.Resource, ...] = ()
        declared: dict[str, Commands] = {}
        if canary is not None:
            declared[canary] = nodes[canary].configure(directory, targets[canary], agent_file=agent)
            gate = (declared[canary].apply,)
        for name, node in nodes.items():
            if name != canary:
                target = replace(targets[name], gate=gate)
                declared[name] = node.configure(directory, target, agent_file=agent)
        return declared

    def _shared_keys(self, plan: MeshPlan) -> MeshKeys:
        management = keys.stored(
            self._names.of(MANAGEMENT_KEY), keys.ssh_key, parent=self, version=plan.ssh_version
        )
        return MeshKeys(
            ssh_version=plan.ssh_version,
            management=management,
            management_public=keys.ssh_public_key(management),
            preshared_root=keys.stored(
                self._names.of(PRESHARED_ROOT),
                keys.preshared_root,
                parent=self,
                version=plan.preshared_version,
            ),
        )


def _first_ports(plan: MeshPlan, providers: Mapping[str, Provider]) -> dict[str, int]:
    """Return the ports of sshd at first contact, where they are not the mesh's."""
    found = {name: providers[node.provider].first_port(node) for name, node in plan.nodes.items()}
    return {name: port for name, port in found.items() if port is not None}


def _record(plan: NodePlan, node: Node) -> dict[str, Any]:
    """Return the node's entry in the outputs."""
    record: dict[str, Any] = node_record(
        address=str(plan.overlay.first.ip),
        address6=None if plan.overlay.address6 is None else str(plan.overlay.address6),
        enabled=plan.enabled,
        ssh_port=node.ssh_port,
        public_ip=node.public_ip,
        public_key=node.public_key,
        host_key=node.host_key,
    )
    if plan.access.routes:
        record = routed_record(record, routes=[str(each.network) for each in plan.access.routes])
    if plan.egress is not None:
        record = egress_record(record, egress=plan.egress)
    return record if plan.reaches is None else limited_record(record, reaches=list(plan.reaches))
