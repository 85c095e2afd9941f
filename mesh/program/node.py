"""One node: its keys, its address, its server and what runs on it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_command import remote

from mesh.names import APPLY, COMMAND, DONE_BY, HOST_KEY, IDENTITY, NODE_TYPE, OWN_KEY, MeshNames
from mesh.plan import FIRST_VERSION, NodePlan
from mesh.program import keys
from mesh.program.access import Access
from mesh.program.agent import AgentFile
from mesh.program.commands import DIALS, FIRST_DIALS, Commands, Meeting, Target
from mesh.program.directory import Directory, Entry, FoundAt, entry
from mesh.program.files import RunFacts, node_files
from mesh.program.former import former_nodes, former_parts
from mesh.program.machines import ExistingMachine, FirstKey, Machines, private_address, public_address
from mesh.program.meeting import idle_steps, older_steps
from mesh.program.previous import Previous
from mesh.program.review import show_files
from mesh.program.sources import KeySource
from mesh.remote import OwnKey
from mesh.render import read_doors

__all__ = ["MeshKeys", "Node", "WayIn"]


@dataclass(frozen=True, kw_only=True)
class MeshKeys:
    """The secrets all nodes share: the management SSH key and the root of the pre-shared keys.

    `ssh_version` is the version of the management key, and of the nodes' host keys.
    """

    ssh_version: int
    management: pulumi.Output[str]
    management_public: pulumi.Output[str]
    preshared_root: pulumi.Output[str]


@dataclass(frozen=True, kw_only=True)
class WayIn:
    """How a node is dialled in this run: address, SSH port, public host key, private key.

    The steps that meet a new server are pinned to `first_host_key`, and try `first_dials` times.
    """

    address: pulumi.Output[str]
    port: pulumi.Input[int]
    host_key: pulumi.Output[str]
    private_key: pulumi.Output[str]
    first_host_key: pulumi.Output[str]
    first_dials: pulumi.Input[int]


class Node(pulumi.ComponentResource):
    """A server that is, or becomes, a member of the mesh.

    Made in two steps, because each node's files name all others: the constructor declares what the
    directory needs to know of this node, and its machine, `configure` what needs the directory.
    """

    def __init__(
        self,
        plan: NodePlan,
        *,
        names: MeshNames,
        access: Access,
        machines: Machines,
        shared: MeshKeys,
        source: KeySource,
        opts: pulumi.ResourceOptions,
    ) -> None:
        renamed = pulumi.ResourceOptions(aliases=former_nodes(names, plan))
        super().__init__(NODE_TYPE, names.of(plan.name), None, pulumi.ResourceOptions.merge(opts, renamed))
        self._plan = plan
        self._names = names
        self._access = access
        self._shared = shared
        self._source = source
        kept = None
        if source.former or not source.own:
            kept = self._stored(IDENTITY, keys.node_identity, version=source.version)
        self._identity = None if source.own or kept is None else keys.kept_identity(kept)
        self._own_key: tuple[Meeting, pulumi.Resource] | None = None
        first = self._stored("first-contact-key", keys.first_contact_key)
        key = FirstKey(private=first, public=keys.ssh_public_key(first))
        self.machine = machines.machine(plan, key=key, parent=self)
        """What the node runs on."""
        self.public_ip: pulumi.Output[str] = public_address(self.machine)
        """The node's public address."""
        shown = access.committed.host_key if access.committed else None
        self._host_key = self._stored(HOST_KEY, lambda: keys.other_ssh_key(shown), version=shared.ssh_version)
        self.host_key: pulumi.Output[str] = keys.ssh_public_key(self._host_key)
        """The SSH host key that the node shows, public half."""
        self.ssh_port: pulumi.Input[int] = plan.access.ssh_port
        """Where its sshd is found."""

    def _stored(
        self,
        part: str,
        make: Callable[[], str],
        *,
        version: int = FIRST_VERSION,
    ) -> pulumi.Output[str]:
        return keys.stored(
            self._names.part(self._plan.name, part),
            make,
            parent=self,
            aliases=former_parts(self._names, self._plan, part),
            version=version,
        )

    @property
    def identity(self) -> keys.Identity:
        """The node's WireGuard key; of a node that makes that itself only once the node was met."""
        assert self._identity is not None
        return self._identity

    @property
    def public_key(self) -> pulumi.Output[str]:
        """The node's WireGuard public key, base64."""
        return self.identity.public_key

    @property
    def makes_key(self) -> bool:
        """Whether the node makes its WireGuard key itself: it has to be met before the directory is made."""
        return self._source.own

    def make_key(self, target: Target, *, agent_file: AgentFile) -> None:
        """Declare first contact and what makes the node's key there. `target` has no gate.

        The directory needs the key, and all nodes need the directory, the canary as well.
        """
        meeting = Meeting.declare(target, host_private_key=self._host_key, agent_file=agent_file)
        owner = f"{pulumi.get_stack()}/{self._names.of(self._plan.oldest_name)}"
        made = meeting.own_key(target, self._plan.key_version, owner=owner, host_private_key=self._host_key)
        told = keys.made_key(self._plan.name, made.urn, made.stdout)
        known: pulumi.Output[OwnKey] = pulumi.Output.from_input(self._known_before(told))
        self._identity = keys.made_identity(known)
        self._own_key = (meeting, made)

    async def _known_before(self, told: pulumi.Output[OwnKey]) -> Any:
        """Return what the node tells of its key, or what the state has of the same key on the same server.

        The latter depends on no step: a node that is down holds up nobody else, unless it has to make a key.
        Where a new server is not met, all others keep the key of the former one.
        """
        had = self._source.made
        if had is None or had.version != self._plan.key_version:
            return told
        if await self.machine.identity.future() == had.server:
            return had.key
        found = await told.future()
        return told if found is None and pulumi.runtime.is_dry_run() else found or had.key

    def tell_devices(self, devices: Sequence[str]) -> None:
        """Warn of devices that call this node and do not know the key that its new server makes."""
        had, name = self._source.made, self._plan.name
        if not devices or had is None or had.version != self._plan.key_version:
            return

        def tell(server: Any) -> None:
            if server != had.server:
                pulumi.log.warn(
                    f"{', '.join(devices)}: the server of {name} is made anew and makes another key. Once "
                    f"`up` is done, these devices need their configuration again (`mesh client NAME`).",
                    self,
                )

        self.machine.identity.apply(tell, run_with_unknowns=True)

    def entry(self) -> Entry:
        """Return what the other nodes must know of this one: its entry in the directory."""
        return entry(
            self._plan,
            public_key=self.public_key,
            found_at=self._found_at(),
            port=self._access.endpoint_port,
        )

    def _found_at(self) -> FoundAt:
        addresses, network = self.machine.addresses, self._plan.network
        return FoundAt(
            public=self.public_ip,
            ipv6=addresses.get("ipv6") if "ipv4" in addresses else None,
            private=None if network is None else private_address(self.machine, network.address),
        )

    def configure(
        self,
        directory: pulumi.Output[Directory],
        target: Target,
        *,
        agent_file: AgentFile,
    ) -> Commands:
        """Declare the commands that put the node's files on its machine.

        A node that is not enabled keeps the commands it has; made for the first time, it has no peers.
        """
        plan = self._plan
        document = node_files(
            plan,
            self._access,
            RunFacts(
                directory=directory if plan.enabled else self._alone(),
                private=self.identity.name,
                preshared=keys.preshared_fingerprints(
                    self._shared.preshared_root, node=plan.oldest_name, peers=plan.peers
                ),
                management=self._shared.management_public,
                server=self.machine.identity,
            ),
        )
        if not target.record:
            show_files(plan.name, document, beside=self)
        pinned = pulumi.Output.from_input(target.host_key)
        after, older = self._met(target, agent_file)
        commands = Commands.declare(
            target,
            after=after,
            older=older,
            agent_file=agent_file,
            keys=keys.key_bundle(
                self.identity,
                self._shared.preshared_root,
                node=plan.oldest_name,
                peers=plan.peers,
                host_key=keys.host_key_to_bring(self._host_key, pinned),
            ),
            document=document,
        )
        self.host_key = keys.shown_host_key(commands.keys.stdin, pinned)
        self.ssh_port = self._port_after(commands.apply)
        self.register_outputs(
            {"public_ip": self.public_ip, "public_key": self.public_key, DONE_BY: commands.agent()}
        )
        return commands

    def _met(
        self, target: Target, agent_file: AgentFile
    ) -> tuple[list[pulumi.Resource], list[pulumi.Resource]]:
        """Declare first contact, unless that is declared; return what the node's keys come after.

        Also the steps of the state that nothing needs any more.
        """
        if self._own_key:
            meeting, made = self._own_key
            return [meeting.copy, made], [*meeting.older]
        meeting = Meeting.declare(target, host_private_key=self._host_key, agent_file=agent_file)
        older = [*meeting.older]
        if self._source.former:
            older.append(target.keep_older(OWN_KEY, after=[meeting.copy]))
        return [meeting.copy], older

    def target(
        self,
        *,
        hooks: pulumi.ResourceHookBinding,
        confirmed: pulumi.ResourceHook,
        before: Previous,
        agent: AgentFile,
        same_numbers: bool,
    ) -> Target:
        """Return where the node's commands run.

        `confirmed` looks at what the node commits. `before` is the state, and `same_numbers` whether this run
        gives nodes the keys of the versions that the state has.
        """
        plan, keep, machine = self._plan, not self._plan.enabled, self.machine
        contact = machine.contact(self.host_key) if isinstance(machine, ExistingMachine) else None
        way = self.way_in()
        return Target(
            node=self._names.of(plan.name),
            former=tuple(self._names.of(former) for former in plan.former),
            address=way.address,
            private_key=way.private_key,
            host_key=way.host_key,
            machine=self.machine,
            hooks=hooks,
            parent=self,
            port=way.port,
            keep=keep,
            confirmed=confirmed,
            record=before.part(COMMAND, plan.name, APPLY),
            protect=plan.protect,
            older=older_steps(before, plan.name, agent=agent.sha256, met_apart=contact is not None),
            contact=contact,
            first_host_key=way.first_host_key,
            first_dials=way.first_dials,
            idle=idle_steps(
                before,
                plan,
                self._access.committed,
                agent=agent.sha256,
                same_numbers=same_numbers,
                own_key=self._source.own,
            ),
            met=self._access.committed is not None,
        )

    def way_in(self) -> WayIn:
        """Return what opens the node in this run; to be asked before `configure`, or in it.

        Port and keys are those it has committed, as long as its server is the one that has.
        """
        access, shared, identity = self._access, self._shared, self.machine.identity
        if access.committed is None:
            return WayIn(
                address=self.public_ip,
                port=access.port,
                host_key=self.host_key,
                private_key=pulumi.Output.secret(shared.management.apply(keys.short_ssh_key)),
                first_host_key=self.machine.first_host_key,
                first_dials=FIRST_DIALS,
            )

        def port(server: Any) -> int:
            return access.port if access.of(server) else access.first_port or self._plan.access.ssh_port

        def shown_or_else(pair: Any) -> Any:
            server, otherwise = pair
            had = access.of(server)
            return had.host_key if had and had.host_key else otherwise

        def first_dials(server: Any) -> int:
            return DIALS if access.of(server) else FIRST_DIALS

        def private_key(values: Any) -> Any:
            server, wanted, public = values
            former = access.former_management_key(server, public)
            had = access.of(server)
            known = had.private_keys.get(former or public) if had else None
            return known or (keys.short_ssh_key(wanted) if isinstance(wanted, str) else wanted)

        both: pulumi.Output[Any] = pulumi.Output.all(identity, self.host_key)
        keys_of_ours: pulumi.Output[Any] = pulumi.Output.all(
            identity, shared.management, shared.management_public
        )
        first: pulumi.Output[Any] = pulumi.Output.all(identity, self.machine.first_host_key)
        return WayIn(
            address=self.public_ip,
            port=identity.apply(port, run_with_unknowns=True),
            host_key=both.apply(shown_or_else, run_with_unknowns=True),
            first_host_key=first.apply(shown_or_else, run_with_unknowns=True),
            first_dials=identity.apply(first_dials, run_with_unknowns=True),
            private_key=pulumi.Output.secret(keys_of_ours.apply(private_key, run_with_unknowns=True)),
        )

    def _port_after(self, applied: remote.Command) -> pulumi.Input[int]:
        """Return where sshd is found after this run: as the files say that were committed last."""
        access = self._access
        had = access.committed.ssh_ports if access.committed else (access.port,)
        if had == (self._plan.access.ssh_port,) and access.first_port is None:
            return self._plan.access.ssh_port

        def port(document: Any) -> int:
            found = read_doors(document).ssh_ports if isinstance(document, str) else ()
            return found[0] if found else access.port

        stdin: pulumi.Output[Any] = applied.stdin
        return stdin.apply(port, run_with_unknowns=True)

    def _alone(self) -> "pulumi.Output[Directory]":
        """Return a directory that knows this node only."""
        own: dict[str, Any] = {self._plan.name: self.entry()}
        return Directory.of(pulumi.Output.from_input(own))
