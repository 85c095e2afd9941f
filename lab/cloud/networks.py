"""/networks: private networks, their subnets and routes."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from lab.cloud import attachments, catalog
from lab.cloud.actions import Work
from lab.cloud.errors import ApiError, invalid
from lab.cloud.names import rename
from lab.cloud.requests import (
    ChangeProtection,
    ChangeRange,
    CreateNetwork,
    CreateSubnet,
    DeleteSubnet,
    NetworkRoute,
    UpdateNetwork,
    parse,
)
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now

__all__ = ["ACTIONS", "create", "delete", "update", "view"]

_SMALLEST_SUBNET: Final = 30  # Hetzner Cloud documentation, networks


def view(cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a network as the API shows it."""
    return {**record, "servers": attachments.servers_in(cloud, record["id"]), "load_balancers": []}


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Make a network, with subnets and routes if asked."""
    request = parse(CreateNetwork, body)
    cloud.store.refuse_taken("networks", request.name)
    draft: Record = {
        "name": request.name,
        "ip_range": request.ip_range,
        "subnets": [],
        "routes": [],
        "protection": {"delete": False},
        "labels": request.labels,
        "created": now(),
        "expose_routes_to_vswitch": request.expose_routes_to_vswitch,
    }
    for subnet in request.subnets:
        draft["subnets"].append(_subnet(draft, subnet))
    for route in request.routes:
        draft["routes"].append(_route(draft, route))
    return {"network": view(cloud, cloud.store.add("networks", draft))}


def _subnet(record: Record, request: CreateSubnet) -> dict[str, Any]:
    """Return a new subnet of a network. Raises `ApiError` where it does not fit in."""
    if request.type == "vswitch":
        raise ApiError("unsupported_error", "the lab has no vSwitches")
    zones = sorted({place["network_zone"] for place in catalog.LOCATIONS})
    if request.network_zone not in zones:
        raise invalid("network_zone", f"{request.network_zone!r} is not one of {', '.join(zones)}")
    whole = IPv4Network(record["ip_range"])
    taken = [IPv4Network(subnet["ip_range"]) for subnet in record["subnets"]]
    given = whole if request.ip_range is None else IPv4Network(request.ip_range)
    if request.ip_range is None:
        given = _first_free(whole, taken)
    elif not given.subnet_of(whole) or given.prefixlen > _SMALLEST_SUBNET:
        raise invalid("ip_range", f"{given} is not a /{_SMALLEST_SUBNET} or larger part of {whole}")
    if any(given.overlaps(other) for other in taken):
        raise invalid("ip_range", f"{given} overlaps another subnet")
    return {
        "type": request.type, "ip_range": str(given), "network_zone": request.network_zone,
        "gateway": attachments.gateway(record), "vswitch_id": None,
    }  # fmt: skip


def _first_free(whole: IPv4Network, taken: Iterable[IPv4Network]) -> IPv4Network:
    for candidate in whole.subnets(new_prefix=24):
        if not any(candidate.overlaps(other) for other in taken):
            return candidate
    raise invalid("ip_range", f"no /24 of {whole} is free")


def _route(record: Record, request: NetworkRoute) -> dict[str, str]:
    """Return a new route of a network. Raises `ApiError` where it does not fit in."""
    whole = IPv4Network(record["ip_range"])
    if request.gateway == attachments.gateway(record) or IPv4Address(request.gateway) not in whole:
        raise invalid("gateway", f"{request.gateway} is not an address of a server in {whole}")
    destination = IPv4Network(request.destination)
    if any(destination.subnet_of(IPv4Network(subnet["ip_range"])) for subnet in record["subnets"]):
        raise invalid("destination", f"{destination} is in a subnet")
    if any(route["destination"] == request.destination for route in record["routes"]):
        raise invalid("destination", f"there is a route to {destination} already")
    return {"destination": request.destination, "gateway": request.gateway}


async def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name, labels, and whether a vSwitch learns the routes."""
    request = parse(UpdateNetwork, body)
    _refuse_busy(cloud, record)
    rename(cloud.store, "networks", record, request)
    if request.expose_routes_to_vswitch is not None:
        record["expose_routes_to_vswitch"] = request.expose_routes_to_vswitch
        cloud.store.save()


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Detach every server and forget the network."""
    if record["protection"]["delete"]:
        raise ApiError("protected", "network is delete protected")
    _refuse_busy(cloud, record)
    servers = [cloud.store.get("servers", number) for number in attachments.servers_in(cloud, record["id"])]
    with cloud.store.batch():
        for server in servers:
            server["private_net"] = [net for net in server["private_net"] if net["network"] != record["id"]]
        cloud.store.remove("networks", record["id"])
    for server in servers:
        await attachments.enforce(cloud, server)
    await cloud.hosts.set_network(str(record["id"]), None)
    return None


def _refuse_busy(cloud: Cloud, record: Record) -> None:
    """One change of a network at a time. Raises `ApiError`."""
    commands = {"add_subnet", "delete_subnet", "add_route", "delete_route", "change_ip_range"}
    for action in cloud.store.all("actions"):
        of_network = {"id": record["id"], "type": "network"} in action["resources"]
        if of_network and action["status"] == "running" and action["command"] in commands:
            raise ApiError("conflict", f"network {record['name']} is being changed, please retry")


def _act(cloud: Cloud, record: Record, command: str) -> dict[str, Any]:
    """Put in force what a network is by now, as an action."""
    cloud.store.save()

    async def work() -> None:
        await attachments.enforce_network(cloud, record)

    return _started(cloud, record, command, work)


def _started(cloud: Cloud, record: Record, command: str, work: Work) -> dict[str, Any]:
    return {"action": cloud.actions.start(command, [("network", record["id"])], work)}


async def _add_subnet(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(CreateSubnet, body)
    _refuse_busy(cloud, record)
    record["subnets"].append(_subnet(record, request))
    return _act(cloud, record, "add_subnet")


async def _delete_subnet(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    text = parse(DeleteSubnet, body).ip_range
    _refuse_busy(cloud, record)
    if text not in {subnet["ip_range"] for subnet in record["subnets"]}:
        raise ApiError("not_found", f"network has no subnet {text}")
    for number in attachments.servers_in(cloud, record["id"]):
        net = attachments.attachment(cloud.store.get("servers", number), record["id"])
        if any(IPv4Address(address) in IPv4Network(text) for address in (net["ip"], *net["alias_ips"])):
            raise ApiError(
                "service_error", "cannot remove subnet because servers are attached to it", status=422
            )
    record["subnets"] = [subnet for subnet in record["subnets"] if subnet["ip_range"] != text]
    return _act(cloud, record, "delete_subnet")


async def _add_route(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(NetworkRoute, body)
    _refuse_busy(cloud, record)
    record["routes"].append(_route(record, request))
    return _act(cloud, record, "add_route")


async def _delete_route(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(NetworkRoute, body)
    _refuse_busy(cloud, record)
    route = {"destination": request.destination, "gateway": request.gateway}
    if route not in record["routes"]:
        raise ApiError("not_found", f"network has no route to {request.destination} via {request.gateway}")
    record["routes"].remove(route)
    return _act(cloud, record, "delete_route")


async def _change_range(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    wanted, present = IPv4Network(parse(ChangeRange, body).ip_range), IPv4Network(record["ip_range"])
    _refuse_busy(cloud, record)
    if wanted[0] != present[0] or not present.subnet_of(wanted):
        raise invalid("ip_range", f"{wanted} does not extend {present}: only a shorter netmask does")
    record["ip_range"] = str(wanted)
    return _act(cloud, record, "change_ip_range")


async def _change_protection(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeProtection, body)
    if request.delete is not None:
        record["protection"] = {"delete": request.delete}
    cloud.store.save()
    return {"action": cloud.actions.start("change_protection", [("network", record["id"])])}


ACTIONS = {
    "add_subnet": _add_subnet,
    "delete_subnet": _delete_subnet,
    "add_route": _add_route,
    "delete_route": _delete_route,
    "change_ip_range": _change_range,
    "change_protection": _change_protection,
}
