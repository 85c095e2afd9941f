"""What a mesh needs from the cloud: SSH key, firewalls, placement groups, addresses, servers.

Every name starts with the stack's name, so that two stacks can share a project and a resource whose
creation was interrupted can be found again; every resource carries the labels `wireguard-mesh/stack`
and, where it belongs to one node, `wireguard-mesh/node`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_hcloud as hcloud

from mesh.plan import NodePlan
from mesh.plan.hetzner import firewall_of, placement_group_of
from mesh.program.gates import Gate
from mesh.program.power import Power
from mesh.settings import merged

__all__ = ["Cloud", "labels"]

_ANYWHERE: Final = ["0.0.0.0/0", "::/0"]
# What matters when a server is made, and must never replace one.
_AT_BIRTH: Final = ["userData", "sshKeys", "image", "placementGroupId"]
# What would stop or replace the server of a node that is not enabled.
_WHILE_OUT: Final = ["serverType", "location", "publicNets", "firewallIds"]


def labels(node: str | None = None) -> dict[str, str]:
    """Return the labels of a resource of this stack, or of one of its nodes."""
    own = {"wireguard-mesh/stack": pulumi.get_stack()}
    return own if node is None else {**own, "wireguard-mesh/node": node}


def _numeric(resource: pulumi.CustomResource) -> pulumi.Output[int]:
    """The cloud's ids are numbers, Pulumi's are text."""
    return resource.id.apply(int)


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """The resources all nodes of a mesh share, and how each node's own are made.

    `hooks` explains a name that is already taken, `power` knows which servers run, and switches them on.
    """

    parent: pulumi.Resource
    hooks: pulumi.ResourceHookBinding
    power: Power
    ssh_key: hcloud.SshKey
    firewalls: Mapping[str, hcloud.Firewall]
    placement_groups: Mapping[int, hcloud.PlacementGroup]

    @staticmethod
    def declare(
        *,
        parent: pulumi.Resource,
        hooks: pulumi.ResourceHookBinding,
        ssh_key_name: pulumi.Input[str],
        management_key: pulumi.Input[str],
        gates: Mapping[str, Gate],
        placement_groups: tuple[int, ...],
        power: Power,
    ) -> "Cloud":
        """Declare the shared resources.

        `gates` are the firewalls by name.
        """
        opts = pulumi.ResourceOptions(parent=parent, hooks=hooks)
        return Cloud(
            parent=parent,
            hooks=hooks,
            power=power,
            ssh_key=hcloud.SshKey(
                "management",
                name=ssh_key_name,
                public_key=management_key,
                labels=labels(),
                # never deleted first: that would take the servers along which were made with it
                opts=opts,
            ),
            firewalls={name: _firewall(name, _firewall_rules(gate), opts) for name, gate in gates.items()},
            placement_groups={index: _placement_group(index, opts) for index in placement_groups},
        )

    def primary_ip(self, node: NodePlan, *, parent: pulumi.Resource) -> hcloud.PrimaryIp:
        """Declare the node's public IPv4 address, which outlives its servers.

        At another location it is another one, and its name must be free for that. A node that is not
        enabled keeps the one it has.
        """
        return hcloud.PrimaryIp(
            f"{node.name}-ip",
            name=f"{pulumi.get_stack()}-{node.name}",
            type="ipv4",
            auto_delete=False,
            location=node.machine.location,
            labels=labels(node.name),
            opts=pulumi.ResourceOptions(
                parent=parent,
                hooks=self.hooks,
                delete_before_replace=True,
                ignore_changes=None if node.enabled else ["location"],
            ),
        )

    def server(
        self,
        node: NodePlan,
        *,
        address: hcloud.PrimaryIp,
        user_data: pulumi.Input[str],
        parent: pulumi.Resource,
    ) -> hcloud.Server:
        """Declare the node's server.

        Because it takes its address along, a server is deleted before its successor is made. It stays in
        the placement group it was made in: a running one cannot leave its group, and a node whose overlay
        address changes must not be stuck for that. The server of a node that is not enabled is
        neither stopped nor replaced, and stays behind the firewall it has.
        """
        return hcloud.Server(
            f"{node.name}-server",
            name=f"{pulumi.get_stack()}-{node.name}",
            server_type=node.machine.type,
            image=node.machine.image,
            location=node.machine.location,
            ssh_keys=[self.ssh_key.id],
            user_data=user_data,
            firewall_ids=[_numeric(self.firewalls[firewall_of(node)])],
            placement_group_id=_numeric(self.placement_groups[placement_group_of(node)]),
            public_nets=[
                hcloud.ServerPublicNetArgs(ipv4_enabled=True, ipv4=_numeric(address), ipv6_enabled=False)
            ],
            labels=labels(node.name),
            opts=pulumi.ResourceOptions(
                parent=parent,
                hooks=self.hooks,
                ignore_changes=_AT_BIRTH if node.enabled else [*_AT_BIRTH, *_WHILE_OUT],
                delete_before_replace=True,
            ),
        )


def _firewall(
    name: str, rules: list[hcloud.FirewallRuleArgs], opts: pulumi.ResourceOptions
) -> hcloud.Firewall:
    return hcloud.Firewall(
        f"firewall-{name}", name=f"{pulumi.get_stack()}-{name}", rules=rules, labels=labels(), opts=opts
    )


def _placement_group(index: int, opts: pulumi.ResourceOptions) -> hcloud.PlacementGroup:
    name = f"spread-{index}"
    return hcloud.PlacementGroup(
        name, name=f"{pulumi.get_stack()}-{name}", type="spread", labels=labels(), opts=opts
    )


def _firewall_rules(gate: Gate) -> list[hcloud.FirewallRuleArgs]:
    """Let in what a node may ever need; the node's own firewall, under trial, narrows it down.

    SSH is open to every source here: a wrong limit at this place could not be undone by any node.
    """

    def allow(protocol: str, description: str, port: str | None = None) -> hcloud.FirewallRuleArgs:
        return hcloud.FirewallRuleArgs(
            direction="in", protocol=protocol, port=port, source_ips=_ANYWHERE, description=description
        )

    return [
        allow("icmp", "ICMP"),
        *(allow("tcp", "SSH", str(port)) for port in gate.ssh_ports),
        *(allow("udp", "WireGuard", str(port)) for port in gate.ports),
        *(allow(port.protocol, "public", port.range_text) for port in merged(gate.public)),
    ]
