"""What a mesh needs from the cloud: SSH key, firewalls, placement groups, addresses, servers.

Every name starts with the stack's name, so that two stacks can share a project and a resource whose
creation was interrupted can be found again; every resource carries the labels `wireguard-mesh/stack`
and, where it belongs to one node, `wireguard-mesh/node`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_hcloud as hcloud

from mesh.names import STASH
from mesh.plan import NodePlan
from mesh.program.former import former_parts
from mesh.program.machines.base import Family, FirstKey, Site, protection
from mesh.program.machines.cloud_init import user_data
from mesh.program.machines.hetzner.addresses import address_of, declare_addresses, public_net
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.errors import CLOUD_FAILED, ONLY_IPV6, REMEDIES, cloud_answer
from mesh.program.machines.hetzner.fate import tell_fate
from mesh.program.machines.hetzner.firewalls import Firewall, firewall_of, plan_firewalls
from mesh.program.machines.hetzner.groups import group_of
from mesh.program.machines.hetzner.labels import labels
from mesh.program.machines.hetzner.model import wanted
from mesh.program.machines.hetzner.networks import PrivateNetwork, attach, declare_networks
from mesh.program.machines.hetzner.power import POWER_PART, Power, declare_power, find_power, power_hooks
from mesh.program.machines.hetzner.records import SSH_KEY, server_record
from mesh.settings import merged

__all__ = ["Cloud", "Server"]

_ANYWHERE: Final = ["0.0.0.0/0", "::/0"]
# What matters when a server is made, and must never replace one.
_AT_BIRTH: Final = ["userData", "sshKeys", "image", "placementGroupId"]
# What would stop or replace the server of a node that is not enabled.
_WHILE_OUT: Final = ["serverType", "location", "publicNets", "firewallIds"]


def _numeric(resource: pulumi.CustomResource) -> pulumi.Output[int]:
    """The cloud's ids are numbers, Pulumi's are text."""
    return resource.id.apply(int)


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server, with its addresses, its place in a network and what switches it on: a `Machine`.

    `power` is None of a server that never was off.
    """

    primary: Mapping[Family, hcloud.PrimaryIp]
    resource: hcloud.Server
    network: hcloud.ServerNetwork | None
    power: pulumi.Stash | None
    first_host_key: pulumi.Output[str]

    @property
    def addresses(self) -> Mapping[Family, pulumi.Output[str]]:
        """The addresses outlive their servers."""
        return {family: address_of(family, primary) for family, primary in self.primary.items()}

    @property
    def attached(self) -> pulumi.Output[str] | None:
        """Its address in its private network, once it is there; None of one that is in none."""
        return None if self.network is None else self.network.ip

    @property
    def identity(self) -> pulumi.Output[str]:
        """The cloud's number."""
        return self.resource.id

    @property
    def ready(self) -> Sequence[pulumi.Resource]:
        """It runs, and is in its network."""
        return tuple(each for each in (self.power, self.network) if each is not None)

    @property
    def remedies(self) -> Mapping[str, str]:
        """Images of its own, a server that `up` starts, and one with IPv6 only."""
        return REMEDIES if "ipv4" in self.primary else ONLY_IPV6


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The resources all nodes of a mesh share, and how each node's own are made.

    `hooks` explains a name that is already taken, `power` knows which servers run, and switches them on.
    """

    site: Site
    hooks: pulumi.ResourceHookBinding
    power: Power
    ssh_key: hcloud.SshKey
    firewalls: Mapping[str, hcloud.Firewall]
    networks: Mapping[str, PrivateNetwork]
    placement_groups: Mapping[int, hcloud.PlacementGroup]

    @staticmethod
    def declare(site: Site) -> "Cloud":
        """Declare the shared resources."""
        answer = pulumi.ErrorHook(
            site.names.of(CLOUD_FAILED), cloud_answer(site.stack, site.names, site.previous)
        )
        hooks = pulumi.ResourceHookBinding(on_error=[answer])
        opts = pulumi.ResourceOptions(parent=site.parent, hooks=hooks)
        firewalls = plan_firewalls(site.gates, site.previous)
        groups = sorted({group_of(node) for node in site.nodes.values()})
        return Cloud(
            site=site,
            hooks=hooks,
            power=Power(
                found=find_power(CloudAccess.configured(), site.stack, site.names, site.previous),
                hooks=power_hooks(site.stack, site.names, site.ssh_ports),
            ),
            ssh_key=hcloud.SshKey(
                site.names.of("management"),
                name=_ssh_key_name(site),
                public_key=site.management_key,
                labels=labels(site),
                # never deleted first: that would take the servers along which were made with it
                opts=opts,
            ),
            firewalls={name: _firewall(site, name, firewall, opts) for name, firewall in firewalls.items()},
            networks=declare_networks(site, opts),
            placement_groups={index: _placement_group(site, index, opts) for index in groups},
        )

    def machine(self, node: NodePlan, *, key: FirstKey, parent: pulumi.Resource) -> Server:
        """Declare the node's addresses, its server, its place in a network, and what switches a server on."""
        site = self.site
        primary = declare_addresses(site, node, hooks=self.hooks, parent=parent)
        server = self._server(node, primary=primary, key=key, parent=parent)
        network = attach(site, node, server, self.networks, parent=parent)
        before = server_record(site.previous, node.name)
        tell_fate(node, server, before, told=node.name in site.told)
        power = self._power(node, server, parent)
        return Server(
            primary=primary, resource=server, network=network, power=power, first_host_key=key.public
        )

    def _power(self, node: NodePlan, server: hcloud.Server, parent: pulumi.Resource) -> pulumi.Stash | None:
        """Declare that a server is off; what says so stays for good, as nothing may depend on what goes."""
        off, site = self.power.is_off(node.name) and node.enabled, self.site
        if not off and not site.previous.has_part(STASH, node.name, POWER_PART):
            return None
        return declare_power(
            site.names.of(node.name),
            server,
            found=self.power.found.get(node.name),
            hooks=self.power.hooks,
            keep=not node.enabled,
            parent=parent,
            aliases=former_parts(site.names, node, POWER_PART),
        )

    def _server(
        self,
        node: NodePlan,
        *,
        primary: Mapping[Family, hcloud.PrimaryIp],
        key: FirstKey,
        parent: pulumi.Resource,
    ) -> hcloud.Server:
        """Declare the node's server.

        Because it takes its addresses along, a server is deleted before its successor is made. It stays in
        the placement group it was made in: a running one cannot leave its group, and a node whose overlay
        address changes must not be stuck for that. The server of a node that is not enabled is
        neither stopped nor replaced, and stays behind the firewall it has.
        """
        machine = wanted(node)
        return hcloud.Server(
            self.site.names.part(node.name, "server"),
            name=self.site.names.in_cloud(self.site.stack, node.name),
            server_type=machine.type,
            image=machine.image,
            location=machine.location,
            ssh_keys=[self.ssh_key.id],
            user_data=pulumi.Output.all(key.private, key.public).apply(
                lambda pair: user_data(node.name, pair[0], pair[1], ssh_port=node.access.ssh_port)
            ),
            firewall_ids=[_numeric(self.firewalls[firewall_of(node)])],
            placement_group_id=_numeric(self.placement_groups[group_of(node)]),
            public_nets=[public_net(primary)],
            delete_protection=protection(wanted=node.protect),
            rebuild_protection=protection(wanted=node.protect),  # the cloud wants both to be the same
            labels=labels(self.site, node.name),
            opts=pulumi.ResourceOptions(
                parent=parent,
                hooks=self.hooks,
                protect=protection(wanted=node.protect),
                ignore_changes=_AT_BIRTH if node.enabled else [*_AT_BIRTH, *_WHILE_OUT],
                delete_before_replace=True,
                aliases=former_parts(self.site.names, node, "server"),
            ),
        )


def _ssh_key_name(site: Site) -> pulumi.Output[str]:
    """Return the name of the SSH key in the cloud: another key needs another, as both are there for a while.

    One that is there keeps its name.
    """
    kept = site.previous.record(SSH_KEY, "management")
    first = site.names.in_cloud(site.stack, "management")

    def name(key: str) -> str:
        if not kept or kept.get("publicKey") == key:
            return str(kept.get("name", first))
        return f"{first}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"

    return site.management_key.apply(name)


def _firewall(site: Site, name: str, firewall: Firewall, opts: pulumi.ResourceOptions) -> hcloud.Firewall:
    return hcloud.Firewall(
        site.names.of(f"firewall-{name}"),
        name=site.names.in_cloud(site.stack, name),
        rules=_firewall_rules(firewall),
        labels=labels(site),
        opts=opts,
    )


def _placement_group(site: Site, index: int, opts: pulumi.ResourceOptions) -> hcloud.PlacementGroup:
    name = f"spread-{index}"
    return hcloud.PlacementGroup(
        site.names.of(name),
        name=site.names.in_cloud(site.stack, name),
        type="spread",
        labels=labels(site),
        opts=opts,
    )


def _firewall_rules(firewall: Firewall) -> list[hcloud.FirewallRuleArgs]:
    """Let in what a node may ever need; the node's own firewall, under trial, narrows it down.

    SSH is open to every source here: a wrong limit at this place could not be undone by any node.
    """

    def allow(protocol: str, description: str, port: str | None = None) -> hcloud.FirewallRuleArgs:
        return hcloud.FirewallRuleArgs(
            direction="in", protocol=protocol, port=port, source_ips=_ANYWHERE, description=description
        )

    return [
        allow("icmp", "ICMP"),
        *(allow("tcp", "SSH", str(port)) for port in firewall.ssh_ports),
        *(allow("udp", "WireGuard", ports) for ports in firewall.wireguard),
        *(allow(port.protocol, "public", port.range_text) for port in merged(firewall.public)),
    ]
