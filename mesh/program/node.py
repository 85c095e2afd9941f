"""One node: its keys, its address, its server and what runs on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_hcloud

from mesh.plan import KeyNames, NodePlan
from mesh.program import keys
from mesh.program.agent import AgentFile
from mesh.program.cloud import Cloud
from mesh.program.commands import Commands, Target
from mesh.program.first_contact import user_data
from mesh.program.power import declare_power
from mesh.render import UNKNOWN_TEXT, render_document

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
        self, plan: NodePlan, *, cloud: Cloud, shared: MeshKeys, opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__("wireguard-mesh:index:Node", plan.name, None, opts)
        self._plan = plan
        self._cloud = cloud
        self._shared = shared
        self._identity = keys.stored(f"{plan.name}-identity", keys.node_identity, parent=self)
        self._address = cloud.primary_ip(plan, parent=self)
        self.public_ip: pulumi.Output[str] = self._address.ip_address
        """The node's public IPv4 address."""
        self.public_key: pulumi.Output[str] = keys.wireguard_public_key(self._identity)
        """The node's WireGuard public key, base64."""
        self._host_key = keys.stored(f"{plan.name}-host-key", keys.ssh_key, parent=self)
        self.host_key: pulumi.Output[str] = keys.ssh_public_key(self._host_key)
        """The node's permanent SSH host key, public half."""

    def facts(self) -> dict[str, pulumi.Input[str]]:
        """Return what the other nodes must know of this one: its entry in the directory."""
        port = self._plan.port
        return {
            "address": str(self._plan.address),
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
    ) -> Commands:
        """Declare the server and the commands that put the node's files on it.

        Nothing but first contact happens before `gate` is done. A node that is not enabled keeps the
        commands it has; made for the first time, it is a node without peers.
        """
        plan = self._plan
        first_key = keys.stored(f"{plan.name}-first-contact-key", keys.first_contact_key, parent=self)
        first_public = keys.ssh_public_key(first_key)
        server = self._cloud.server(
            plan,
            address=self._address,
            user_data=pulumi.Output.all(first_key, first_public).apply(
                lambda pair: user_data(plan.name, pair[0], pair[1], ssh_port=plan.ssh_port)
            ),
            parent=self,
        )
        commands = Commands.declare(
            self._target(server, hooks, gate),
            first_contact_key=first_public,
            host_private_key=self._host_key,
            agent_file=agent_file,
            keys=keys.key_bundle(
                self._identity,
                self._shared.preshared_root,
                node=plan.name,
                peers=plan.peers,
                epoch=plan.psk_epoch,
            ),
            document=self._document(directory if plan.enabled else self._alone()),
        )
        self.register_outputs({"public_ip": self.public_ip, "public_key": self.public_key})
        return commands

    def _target(
        self,
        server: pulumi_hcloud.Server,
        hooks: pulumi.ResourceHookBinding,
        gate: tuple[pulumi.Resource, ...],
    ) -> Target:
        plan, keep = self._plan, not self._plan.enabled
        return Target(
            node=plan.name,
            address=self.public_ip,
            private_key=self._shared.management,
            host_key=self.host_key,
            server=server,
            power=declare_power(plan.name, server, hooks=self._cloud.power_hooks, keep=keep, parent=self),
            hooks=hooks,
            parent=self,
            port=plan.ssh_port,
            keep=keep,
            gate=gate,
        )

    def _alone(self) -> "pulumi.Output[Directory]":
        """Return a directory that knows this node only."""
        own: dict[str, Any] = {self._plan.name: self.facts()}
        return Directory.of(pulumi.Output.from_input(own))

    def _document(self, directory: pulumi.Output[Directory]) -> pulumi.Output[str]:
        """Render the node's files; what a preview cannot know yet reads `<known after up>`."""
        plan = self._plan
        facts = pulumi.Output.all(
            directory,
            keys.key_fingerprint(self._identity),
            keys.preshared_fingerprints(
                self._shared.preshared_root, node=plan.name, peers=plan.peers, epoch=plan.psk_epoch
            ),
            self._shared.management_public,
        )

        def render(values: Any) -> Any:
            if _unknown_for_good(values):
                return pulumi.output.UNKNOWN
            known, private, preshared, management = _as_text(values)
            if preshared == UNKNOWN_TEXT:
                preshared = dict.fromkeys(plan.peers, UNKNOWN_TEXT)
            return render_document(
                plan,
                known.facts,
                KeyNames(private=private, preshared=preshared),
                management_key=management,
            )

        return facts.apply(render, run_with_unknowns=True)


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
