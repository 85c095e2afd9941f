"""A server's public addresses: primary IPs, which outlive their servers."""

from collections.abc import Mapping
from ipaddress import IPv6Network
from typing import Any, Final

import pulumi
import pulumi_hcloud as hcloud

from mesh.plan import NodePlan
from mesh.program.former import former_parts
from mesh.program.machines.base import Family, Site, protection
from mesh.program.machines.hetzner.labels import labels
from mesh.program.machines.hetzner.model import wanted
from mesh.program.machines.hetzner.records import ADDRESS_PARTS, families_of, server_record

__all__ = ["address_of", "declare_addresses", "families", "public_net"]

# A name in the cloud that no node's IPv4 address can have: the name of a node has no dot.
_SUFFIXES: Final[Mapping[Family, str]] = {"ipv4": "", "ipv6": ".ipv6"}


def families(site: Site, node: NodePlan) -> tuple[Family, ...]:
    """Return the families that a node's server has after this run: one that is not enabled keeps its own."""
    record = server_record(site.previous, node.name)
    return wanted(node).families if node.enabled or not record else families_of(record)


def declare_addresses(
    site: Site, node: NodePlan, *, hooks: pulumi.ResourceHookBinding, parent: pulumi.Resource
) -> dict[Family, hcloud.PrimaryIp]:
    """Declare a node's public addresses.

    At another location each is another one, and its name must be free for that. A node that is not enabled
    keeps those it has.
    """
    return {
        family: hcloud.PrimaryIp(
            site.names.part(node.name, ADDRESS_PARTS[family]),
            name=f"{site.names.in_cloud(site.stack, node.name)}{_SUFFIXES[family]}",
            type=family,
            auto_delete=False,
            location=wanted(node).location,
            delete_protection=protection(wanted=node.protect),
            labels=labels(site, node.name),
            opts=pulumi.ResourceOptions(
                parent=parent,
                hooks=hooks,
                protect=protection(wanted=node.protect),
                delete_before_replace=True,
                ignore_changes=None if node.enabled else ["location"],
                aliases=former_parts(site.names, node, ADDRESS_PARTS[family]),
            ),
        )
        for family in families(site, node)
    }


def address_of(family: Family, primary: hcloud.PrimaryIp) -> pulumi.Output[str]:
    """Return the address that a server has of a primary IP: of IPv6 the first one of the network.

    So says the documentation of Hetzner (cloud servers, IPv6), and cloud-init sets no other.
    """
    if family == "ipv4":
        return primary.ip_address

    def first(network: Any) -> str:
        return str(IPv6Network(f"{str(network).partition('/')[0]}/64")[1])

    return primary.ip_address.apply(first)


def public_net(primary: Mapping[Family, hcloud.PrimaryIp]) -> hcloud.ServerPublicNetArgs:
    """Return a server's public network. A family that it does not have is said to be off."""
    ipv4, ipv6 = primary.get("ipv4"), primary.get("ipv6")
    return hcloud.ServerPublicNetArgs(
        ipv4_enabled=ipv4 is not None,
        ipv4=None if ipv4 is None else ipv4.id.apply(int),
        ipv6_enabled=ipv6 is not None,
        ipv6=None if ipv6 is None else ipv6.id.apply(int),
    )
