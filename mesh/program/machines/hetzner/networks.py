"""Private networks in the cloud, and the servers in them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_hcloud as hcloud

from mesh.plan import NodePlan
from mesh.program.former import former_parts
from mesh.program.machines.base import Site
from mesh.program.machines.hetzner.labels import labels
from mesh.program.machines.hetzner.records import NETWORK_PART

__all__ = ["PrivateNetwork", "attach", "declare_networks"]


@dataclass(frozen=True, kw_only=True)
class PrivateNetwork:
    """Where servers are attached: the subnet of a network that is made, or a whole existing network."""

    subnet: pulumi.Output[str] | None = None
    network: pulumi.Output[int] | None = None


def declare_networks(site: Site, opts: pulumi.ResourceOptions) -> dict[str, PrivateNetwork]:
    """Declare the networks that nodes are in, each with one subnet; look up those that exist already."""
    plans = {node.network.name: node.network for node in site.nodes.values() if node.network is not None}
    found: dict[str, PrivateNetwork] = {}
    for name, plan in sorted(plans.items()):
        if plan.existing:
            there = hcloud.get_network_output(name=name, opts=pulumi.InvokeOutputOptions(parent=site.parent))
            found[name] = PrivateNetwork(network=there.id.apply(int))
            continue
        anew = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(delete_before_replace=True))
        network = hcloud.Network(
            site.names.of(f"network-{name}"),
            name=site.names.in_cloud(site.stack, name),
            ip_range=str(plan.cidr),
            labels=labels(site),
            opts=anew,
        )
        subnet = hcloud.NetworkSubnet(
            site.names.of(f"subnet-{name}"),
            network_id=network.id.apply(int),
            type="cloud",
            network_zone=plan.zone,
            ip_range=str(plan.cidr),
            opts=anew,
        )
        found[name] = PrivateNetwork(subnet=subnet.id)
    return found


def attach(
    site: Site,
    node: NodePlan,
    server: hcloud.Server,
    networks: Mapping[str, PrivateNetwork],
    *,
    parent: pulumi.Resource,
) -> hcloud.ServerNetwork | None:
    """Declare that a node's server is in its network, at its own address; None of a node in none."""
    if node.network is None:
        return None
    network = networks[node.network.name]
    return hcloud.ServerNetwork(
        site.names.part(node.name, NETWORK_PART),
        server_id=server.id.apply(int),
        subnet_id=network.subnet,
        network_id=network.network,
        ip=str(node.network.address),
        opts=pulumi.ResourceOptions(
            parent=parent,
            deleted_with=server,
            delete_before_replace=True,
            aliases=former_parts(site.names, node, NETWORK_PART),
        ),
    )
