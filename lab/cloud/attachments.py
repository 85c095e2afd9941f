"""Servers in private networks: which address they get, and how their hosts learn of it."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from lab.cloud import catalog
from lab.cloud.errors import ApiError, invalid
from lab.cloud.state import Cloud
from lab.cloud.store import Record
from lab.hosts import Interface, PrivateNetwork

__all__ = [
    "attach",
    "attachment",
    "enforce",
    "enforce_network",
    "gateway",
    "interfaces",
    "servers_in",
    "view",
]

_MOST_OF_SERVER: Final = 3  # networks of one server (Hetzner Cloud documentation, networks)
_INTERFACES: Final = ("enp7s0", "enp8s0", "enp9s0")


def gateway(network: Record) -> str:
    """Return a network's gateway, its first address."""
    return str(IPv4Network(network["ip_range"])[1])


def servers_in(cloud: Cloud, number: int) -> list[int]:
    """Return the servers in a network."""
    return [
        server["id"]
        for server in cloud.store.all("servers")
        if any(net["network"] == number for net in server["private_net"])
    ]


def attachment(server: Record, number: int) -> Record:
    """Return how a server is in a network. Raises `ApiError` when it is not."""
    for net in server["private_net"]:
        if net["network"] == number:
            found: Record = net
            return found
    raise ApiError("not_found", f"server {server['name']} is not in network {number}")


def view(server: Record) -> list[dict[str, Any]]:
    """Return a server's private networks as the API shows them."""
    names = ("network", "ip", "alias_ips", "mac_address")
    return [{name: net[name] for name in names} for net in server["private_net"]]


def attach(
    cloud: Cloud,
    server: Record,
    network: Record,
    *,
    ip: str | None = None,
    aliases: Sequence[str] = (),
    ip_range: str | None = None,
) -> None:
    """Give a server an address in a network. Raises `ApiError`; the host learns of it by `enforce`."""
    _refuse_unfit(cloud, server, network)
    subnets = _subnets(server, network, ip_range)
    address = _free(cloud, network, subnets) if ip is None else ip
    wanted = [address, *aliases]
    if len(set(wanted)) != len(wanted):
        raise invalid("alias_ips", "an address is named more than once")
    for each in wanted:
        _refuse_taken(cloud, network, subnets, each)
    slots = {net["slot"] for net in server["private_net"]}
    slot = next(number for number in range(_MOST_OF_SERVER) if number not in slots)
    digits = f"{server['id'] & 0xFFFFFF:06x}"
    server["private_net"].append(
        {
            "network": network["id"],
            "ip": address,
            "alias_ips": list(aliases),
            # 86:00:00 starts the addresses of Hetzner's private interfaces; it is a local one
            "mac_address": f"86:00:{slot:02x}:{digits[:2]}:{digits[2:4]}:{digits[4:]}",
            "slot": slot,
        }
    )


def change_aliases(cloud: Cloud, server: Record, network: Record, aliases: Sequence[str]) -> None:
    """Give a server other further addresses in a network. Raises `ApiError`."""
    net = attachment(server, network["id"])
    subnets = _subnets(server, network, None)
    if len(set(aliases)) != len(aliases):
        raise invalid("alias_ips", "an address is named more than once")
    for each in aliases:
        if each not in net["alias_ips"]:
            _refuse_taken(cloud, network, subnets, each)
    net["alias_ips"] = list(aliases)


def _refuse_unfit(cloud: Cloud, server: Record, network: Record) -> None:
    whole = IPv4Network(network["ip_range"])
    for net in server["private_net"]:
        if net["network"] == network["id"]:
            raise ApiError("server_already_attached", "server is already attached to the network")
        if IPv4Network(cloud.store.get("networks", net["network"])["ip_range"]).overlaps(whole):
            raise ApiError("networks_overlap", f"{whole} overlaps a network the server is attached to")
    if len(server["private_net"]) >= _MOST_OF_SERVER:
        raise ApiError(
            "resource_limit_exceeded", f"server {server['name']} is in {_MOST_OF_SERVER} networks already"
        )


def _subnets(server: Record, network: Record, ip_range: str | None) -> list[IPv4Network]:
    """Return the subnets a server may be in: those of its zone, or the one it is to be in."""
    zone = catalog.location(server["location"])["network_zone"]
    found = [
        IPv4Network(subnet["ip_range"])
        for subnet in network["subnets"]
        if subnet["network_zone"] == zone and ip_range in {None, subnet["ip_range"]}
    ]
    if not found:
        raise ApiError("no_subnet_available", f"network {network['name']} has no fitting subnet in {zone}")
    return found


def _taken(cloud: Cloud, network: Record) -> set[str]:
    taken = {gateway(network)}
    for server in cloud.store.all("servers"):
        for net in server["private_net"]:
            if net["network"] == network["id"]:
                taken |= {net["ip"], *net["alias_ips"]}
    return taken


def _free(cloud: Cloud, network: Record, subnets: Sequence[IPv4Network]) -> str:
    taken = _taken(cloud, network)
    for subnet in subnets:
        for address in subnet.hosts():
            if str(address) not in taken:
                return str(address)
    raise ApiError("no_subnet_available", f"no address is left in network {network['name']}")


def _refuse_taken(cloud: Cloud, network: Record, subnets: Sequence[IPv4Network], text: str) -> None:
    address = IPv4Address(text)
    usable = any(
        address in subnet and address not in {subnet[0], subnet.broadcast_address} for subnet in subnets
    )
    if not usable or text in _taken(cloud, network):
        raise ApiError("ip_not_available", f"{text} is not available in network {network['name']}")


def interfaces(cloud: Cloud, server: Record) -> list[Interface]:
    """Return what a server's host has for its private networks."""
    return list(_interfaces(cloud, server))


def _interfaces(cloud: Cloud, server: Record) -> Iterator[Interface]:
    for net in server["private_net"]:
        network = cloud.store.get("networks", net["network"])
        yield Interface(
            network=str(network["id"]),
            name=_INTERFACES[net["slot"]],
            mac=net["mac_address"],
            address=net["ip"],
            aliases=tuple(net["alias_ips"]),
            ip_range=network["ip_range"],
            gateway=gateway(network),
        )


async def enforce(cloud: Cloud, server: Record) -> None:
    """Let a server's host have the interfaces it should have by now."""
    async with cloud.enforcing:
        if server["host"] and cloud.store.find("servers", server["id"]) is not None:
            for net in server["private_net"]:
                await _set_network(cloud, cloud.store.get("networks", net["network"]))
            await cloud.hosts.set_interfaces(str(server["id"]), interfaces(cloud, server))


async def enforce_network(cloud: Cloud, network: Record) -> None:
    """Let a network's routes be what they should be by now."""
    async with cloud.enforcing:
        if cloud.store.find("networks", network["id"]) is not None:
            await _set_network(cloud, network)


async def _set_network(cloud: Cloud, network: Record) -> None:
    routes = tuple((route["destination"], route["gateway"]) for route in network["routes"])
    await cloud.hosts.set_network(str(network["id"]), PrivateNetwork(gateway=gateway(network), routes=routes))
