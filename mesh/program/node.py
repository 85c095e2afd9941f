"""One node: its keys, its address, its server and what runs on it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi
import pulumi_hcloud
from pulumi_command import remote

from mesh.plan import KeyNames, NodePlan
from mesh.program import keys
from mesh.program.access import Access
from mesh.program.agent import AgentFile
from mesh.program.cloud import Cloud
from mesh.program.commands import Commands, Target
from mesh.program.first_contact import user_data
from mesh.program.power import declare_power
from mesh.program.review import show_files
from mesh.render import UNKNOWN_TEXT, Moving, read_doors, render_document

__all__ = ["Directory", "MeshKeys", "Node"]


@dataclass(frozen=True, kw_only=True)
class Directory:
    """What every node knows of every other one, as text; a value that Pulumi does not look into.

    A plain dict would be searched for outputs once per node: work that grows with the number of pairs.
    """

    facts: Mapping[str, Mapping[str, str]]

    @staticmethod
    def of(kept: pulumi.Output[Mapping[str, Any]]) -> "pulumi.Output[Directory]":
        """Read it from where it is kept; what a preview cannot know yet reads `<known after up>`."""

        def read(facts: Any) -> Any:
            if isinstance(facts, pulumi.output.Unknown) or _unknown_for_good(facts):
                return pulumi.output.UNKNOWN
            return Directory(facts=_as_text(facts))

        return kept.apply(read, run_with_unknowns=True)


@dataclass(frozen=True, kw_only=True)
class MeshKeys:
    """The secrets all nodes share: the management SSH key and the root of the pre-shared keys."""

    management: pulumi.Output[str]
    management_public: pulumi.Output[str]
    preshared_root: pulumi.Output[str]


class Node(pulumi.ComponentResource):
    """A server that is, or becomes, a member of the mesh.

    Made in two steps, because each node's files name all others: the constructor declares what the
    directory needs to know of this node, `configure` what needs the directory.
    """

    def __init__(
        self,
        plan: NodePlan,
        *,
        access: Access,
        cloud: Cloud,
        shared: MeshKeys,
        opts: pulumi.ResourceOptions,
    ) -> None:
        super().__init__("wireguard-mesh:index:Node", plan.name, None, opts)
        self._plan = plan
        self._access = access
        self._cloud = cloud
        self._shared = shared
        self._identity = keys.stored(f"{plan.name}-identity", keys.node_identity, parent=self)
        self._address = cloud.primary_ip(plan, parent=self)
        self.public_ip: pulumi.Output[str] = self._address.ip_address
        """The node's public IPv4 address."""
        self.public_key: pulumi.Output[str] = keys.wireguard_public_key(self._identity)
        """The node's WireGuard public key, base64."""
        shown = access.committed.host_key if access.committed else None
        self._host_key = keys.stored(f"{plan.name}-host-key", lambda: keys.other_ssh_key(shown), parent=self)
        self.host_key: pulumi.Output[str] = keys.ssh_public_key(self._host_key)
        """The SSH host key that the node shows, public half."""
        self.ssh_port: pulumi.Input[int] = plan.access.ssh_port
        """Where its sshd is found."""

    def facts(self) -> dict[str, pulumi.Input[str]]:
        """Return what the other nodes must know of this one: its entry in the directory."""
        port = self._access.endpoint_port
        return {
            "address": str(self._plan.overlay.first.ip),
            "public_key": self.public_key,
            "endpoint": self.public_ip.apply(lambda ip: f"{ip}:{port}"),
        }

    def configure(
        self,
        directory: pulumi.Output[Directory],
        *,
        agent_file: AgentFile,
        hooks: pulumi.ResourceHookBinding,
        gate: tuple[pulumi.Resource, ...],
        confirmed: pulumi.ResourceHook,
        record: Mapping[str, Any],
    ) -> Commands:
        """Declare the server and the commands that put the node's files on it.

        Nothing but first contact happens before `gate` is done. `confirmed` looks at what the node commits,
        and `record` is what the state has of that. A node that is not enabled keeps the commands it has; made
        for the first time, it is a node without peers.
        """
        plan = self._plan
        first_key = keys.stored(f"{plan.name}-first-contact-key", keys.first_contact_key, parent=self)
        first_public = keys.ssh_public_key(first_key)
        server = self.server = self._cloud.server(
            plan,
            address=self._address,
            user_data=pulumi.Output.all(first_key, first_public).apply(
                lambda pair: user_data(plan.name, pair[0], pair[1], ssh_port=plan.access.ssh_port)
            ),
            parent=self,
        )
        target = self._target(server, hooks, gate, confirmed, record)
        document = self._document(directory if plan.enabled else self._alone(), server)
        if not record:
            show_files(plan.name, document, beside=self)
        pinned = pulumi.Output.from_input(target.host_key)
        commands = Commands.declare(
            target,
            first_contact_key=first_public,
            host_private_key=self._host_key,
            agent_file=agent_file,
            keys=keys.key_bundle(
                self._identity,
                self._shared.preshared_root,
                node=plan.name,
                peers=plan.peers,
                host_key=keys.host_key_to_bring(
                    self._host_key,
                    pinned,
                    ever=self._access.committed is not None and self._access.committed.rolled,
                ),
            ),
            document=document,
        )
        self.host_key = keys.shown_host_key(commands.keys.stdin, pinned)
        self.ssh_port = self._port_after(commands.apply)
        self.register_outputs({"public_ip": self.public_ip, "public_key": self.public_key})
        return commands

    def _target(
        self,
        server: pulumi_hcloud.Server,
        hooks: pulumi.ResourceHookBinding,
        gate: tuple[pulumi.Resource, ...],
        confirmed: pulumi.ResourceHook,
        record: Mapping[str, Any],
    ) -> Target:
        plan, keep = self._plan, not self._plan.enabled
        port, host_key, private_key = self._way_in(server)
        return Target(
            node=plan.name,
            address=self.public_ip,
            private_key=private_key,
            host_key=host_key,
            server=server,
            power=declare_power(
                plan.name,
                server,
                power=self._cloud.power,
                keep=keep,
                parent=self,
            ),
            hooks=hooks,
            parent=self,
            port=port,
            keep=keep,
            confirmed=confirmed,
            gate=gate,
            record=record,
        )

    def _way_in(
        self, server: pulumi_hcloud.Server
    ) -> tuple[pulumi.Input[int], pulumi.Output[str], pulumi.Output[str]]:
        """Return the port, the public host key and the private key that open the node in this run.

        They are those it has committed, as long as its server is the one that has.
        """
        access, shared = self._access, self._shared
        if access.committed is None:
            return access.port, self.host_key, shared.management

        def port(server: Any) -> int:
            return access.port if access.of(server) else self._plan.access.ssh_port

        def host_key(pair: Any) -> Any:
            had = access.of(pair[0])
            return had.host_key if had and had.host_key else pair[1]

        def private_key(values: Any) -> Any:
            server, wanted, public = values
            former = access.former_management_key(server, public)
            had = access.of(server)
            return had.private_keys[former] if had and former else wanted

        both: pulumi.Output[Any] = pulumi.Output.all(server.id, self.host_key)
        keys_of_ours: pulumi.Output[Any] = pulumi.Output.all(
            server.id, shared.management, shared.management_public
        )
        return (
            server.id.apply(port, run_with_unknowns=True),
            both.apply(host_key, run_with_unknowns=True),
            pulumi.Output.secret(keys_of_ours.apply(private_key, run_with_unknowns=True)),
        )

    def _port_after(self, applied: remote.Command) -> pulumi.Input[int]:
        """Return where sshd is found after this run: as the files say that were committed last."""
        access = self._access
        if access.committed is None or access.committed.ssh_ports == (self._plan.access.ssh_port,):
            return self._plan.access.ssh_port

        def port(document: Any) -> int:
            found = read_doors(document).ssh_ports if isinstance(document, str) else ()
            return found[0] if found else access.port

        stdin: pulumi.Output[Any] = applied.stdin
        return stdin.apply(port, run_with_unknowns=True)

    def _alone(self) -> "pulumi.Output[Directory]":
        """Return a directory that knows this node only."""
        own: dict[str, Any] = {self._plan.name: self.facts()}
        return Directory.of(pulumi.Output.from_input(own))

    def _document(
        self, directory: pulumi.Output[Directory], server: pulumi_hcloud.Server
    ) -> pulumi.Output[str]:
        """Render the node's files; what a preview cannot know yet reads `<known after up>`."""
        plan = self._plan
        facts = pulumi.Output.all(
            directory,
            keys.key_fingerprint(self._identity),
            keys.preshared_fingerprints(self._shared.preshared_root, node=plan.name, peers=plan.peers),
            self._shared.management_public,
            server.id,
        )

        def render(values: Any) -> Any:
            if _unknown_for_good(values):
                return pulumi.output.UNKNOWN
            known, private, preshared, management, server_id = _as_text(values)
            if preshared == UNKNOWN_TEXT:
                preshared = dict.fromkeys((peer.name for peer in plan.peers), UNKNOWN_TEXT)
            return render_document(
                plan,
                known.facts,
                KeyNames(private=private, preshared=preshared),
                management_key=management,
                moving=self._moving(server_id, management),
            )

        return facts.apply(render, run_with_unknowns=True)

    def _moving(self, server: str, management: str) -> Moving:
        """Return what stays open on this server; a new one has nothing to move away from but its peers."""
        access = self._access
        if access.of(server) is None:
            return replace(access.moving, ssh_ports=())
        former = access.former_management_key(server, management)
        return replace(access.moving, management_keys=(former,) if former else ())


def _unknown_for_good(values: Any) -> bool:
    """Whether something is missing that no later step of this run will make: what should have, failed.

    The engine skips what needs it; no text with a gap may come into being.
    """
    whole = isinstance(values, list) and isinstance(values[0], pulumi.output.Unknown)
    return whole or (not pulumi.runtime.is_dry_run() and pulumi.output.contains_unknowns(values))


def _as_text(value: Any) -> Any:
    """Replace every unknown leaf by the text that stands for it in a preview."""
    if isinstance(value, pulumi.output.Unknown):
        return UNKNOWN_TEXT
    if isinstance(value, Mapping):
        return {name: _as_text(leaf) for name, leaf in value.items()}
    if isinstance(value, list | tuple):
        return [_as_text(leaf) for leaf in value]
    return value
