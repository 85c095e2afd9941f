"""Pure: Hetzner's limits, checked on the stack file before anything is asked or made.

Every check reads the raw values and passes over those that cannot be read, which are reported elsewhere.
"""

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address
from typing import Any, Final

from mesh.names import MeshNames
from mesh.program.machines.hetzner.groups import group_number
from mesh.settings import PortRange, Problem, merged
from mesh.settings.addresses import address, mesh_network
from mesh.settings.grants import port_range
from mesh.settings.names import is_host_name
from mesh.settings.problems import show
from mesh.settings.raw import Finding, listed, nodes, read
from mesh.settings.routes import route

__all__ = ["check_limits"]

# 50 rules in a firewall (API document, POST /firewalls); 50 firewalls and 50 placement groups in a project
# (documentation).
_MOST_RULES: Final = 50
_MOST_FIREWALLS: Final = 50
_MOST_GROUPS: Final = 50
# ICMP, and SSH and WireGuard twice each while one of their ports is changed.
_OUR_RULES: Final = 5
# Every server sends what leaves it to this address (docs.hetzner.com, cloud server networking).
_GATEWAY: Final = IPv4Address("172.31.1.1")
# Of a host name's part (RFC 1123), of Linux's host names, of a label's value.
_LONGEST: Final = 63
# The parts of a host name, as the cloud wants a server's (RFC 1123); dots make parts.
_HOST_NAME: Final = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


def check_limits(raw: Mapping[Any, Any], stack: str | None, mesh: str) -> Iterator[Finding | Problem]:
    """Yield what does not fit; `stack` is the stack's name, which all names in the cloud begin with."""
    yield from _gateway(raw)
    yield from _firewalls(raw)
    yield from _placement_groups(raw)
    if stack is None:
        return
    refused = _refused_stack(stack)
    if refused is not None:
        yield Problem(path="the stack's name", message=refused)
    else:
        yield from _names(raw, stack, MeshNames(mesh))


def _gateway(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    network = read(mesh_network, raw.get("cidr"))
    if network is not None and _GATEWAY in network:
        message = f"{network} holds {_GATEWAY}, the gateway of every server at Hetzner; take another network"
        yield ("cidr",), message
    for name, node in nodes(raw).items():
        for index, given in enumerate(listed(node, "routes")):
            behind = read(route, given)
            if behind is not None and _GATEWAY in behind:
                message = f"{behind} holds {_GATEWAY}, the gateway of every server at Hetzner; leave it out"
                yield ("nodes", name, "routes", index), message


def _firewalls(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """What the cloud's firewalls have room for."""
    most = _MOST_RULES - _OUR_RULES
    sets: set[tuple[PortRange, ...]] = set()
    for name, node in nodes(raw).items():
        ports = _public(node)
        sets.add(tuple(ports))
        if len(ports) > most:
            message = (
                f"comes to {len(ports)} rules, but a firewall of the cloud has room for {most}, besides "
                f"the rules for SSH, WireGuard and ICMP (neighbouring ports are one rule); give ranges, "
                f"such as "
                f"{_span(ports)}, or fewer ports"
            )
            yield ("nodes", name, "public"), message
    if len(sets) > _MOST_FIREWALLS:
        message = (
            f"have {len(sets)} different sets of public ports; each set is a firewall in the cloud, and a "
            f"project has at most {_MOST_FIREWALLS}; let more nodes have the same set"
        )
        yield ("nodes",), message


def _public(node: object) -> tuple[PortRange, ...]:
    return merged(port for value in listed(node, "public") if (port := read(port_range, value)) is not None)


def _span(ports: tuple[PortRange, ...]) -> PortRange:
    """The range around the first few ports of one protocol."""
    first = ports[0]
    near = [port for port in ports if port.protocol == first.protocol][:10]
    return PortRange(protocol=first.protocol, first=first.first, last=near[-1].last)


def _placement_groups(raw: Mapping[Any, Any]) -> Iterator[Finding]:
    """Neighbouring addresses share a placement group."""
    cidr = read(mesh_network, raw.get("cidr"))
    if cidr is None:
        return
    found = (read(address, node.get("address")) for node in nodes(raw).values() if isinstance(node, Mapping))
    groups = {group_number(one, cidr) for one in found if one is not None and one in cidr}
    if len(groups) > _MOST_GROUPS:
        message = (
            f"have addresses in {len(groups)} blocks of ten of {cidr}; each block is a placement group in "
            f"the cloud, and a project has at most {_MOST_GROUPS}; give neighbouring addresses"
        )
        yield ("nodes",), message


def _refused_stack(stack: str) -> str | None:
    """Say what is wrong with the stack's name, which every server's begins with; None if nothing is."""
    if _HOST_NAME.fullmatch(f"{stack}-a") and _HOST_NAME.fullmatch(stack):
        return None
    near = re.sub(r"\.[.-]*", ".", re.sub(r"[^A-Za-z0-9.]+", "-", stack)).strip("-.")
    return (
        f"{show(stack)} begins the name of every server, and a server's name is a host name: letters, "
        f"digits and inner hyphens; rename the stack: `pulumi stack rename {near or 'prod'}`"
    )


def _names(raw: Mapping[Any, Any], stack: str, names: MeshNames) -> Iterator[Finding]:
    """`<stack>-<node>` is the host name of a server, and as long as one may be."""
    for name in nodes(raw):
        server = names.in_cloud(stack, name)
        if is_host_name(name) and len(server) > _LONGEST:
            beyond = len(server) - _LONGEST
            message = (
                f"the server would be called {server}: {len(server)} characters, and a host name has at "
                f"most {_LONGEST}; make the name of the node or of the stack shorter by {beyond}"
            )
            yield ("nodes", name), message
