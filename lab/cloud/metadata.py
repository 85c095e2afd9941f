"""The metadata service: what a server may ask about itself at 169.254.169.254.

https://docs.hetzner.cloud, section Server Metadata. Who asks is told by the address the request comes
from: an answer reaches the host that has this address, and no other.
"""

import base64
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import yaml
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from lab.cloud import attachments, catalog, primary_ips
from lab.cloud.state import Cloud
from lab.cloud.store import Record

__all__ = ["metadata_application"]


def metadata_application(cloud: Cloud) -> Starlette:
    """Return the service."""

    async def summary(request: Request) -> PlainTextResponse:
        server = _asking(cloud, request)
        if server is None:
            return PlainTextResponse("not found", 404)
        names = ("availability-zone", "hostname", "instance-id", "public-ipv4", "region")
        return _yaml({name: _FACTS[name](cloud, server) for name in names})

    async def fact(request: Request) -> PlainTextResponse:
        server, asked = _asking(cloud, request), _FACTS.get(request.path_params["name"])
        if server is None or asked is None:
            return PlainTextResponse("not found", 404)
        value = asked(cloud, server)
        return PlainTextResponse(str(value)) if isinstance(value, str | int) else _yaml(value)

    async def user_data(request: Request) -> PlainTextResponse:
        server = _asking(cloud, request)
        if server is None:
            return PlainTextResponse("not found", 404)
        return PlainTextResponse(base64.b64decode(server["user_data"]).decode())

    base = "/hetzner/v1"
    return Starlette(
        routes=[
            Route(f"{base}/metadata", summary),
            Route(f"{base}/metadata/{{name}}", fact),
            Route(f"{base}/userdata", user_data),
        ]
    )


def _yaml(value: Any) -> PlainTextResponse:
    return PlainTextResponse(yaml.safe_dump(value, sort_keys=False))


def _asking(cloud: Cloud, request: Request) -> Record | None:
    address = request.client.host if request.client is not None else None
    for record in cloud.store.all("primary_ips"):
        if record["ip"] == address:
            return cloud.server_of_ip(record)
    return None


def _public_ipv4(cloud: Cloud, server: Record) -> str:
    return primary_ips.address_of(cloud, server, "ipv4") or ""


def _private_networks(cloud: Cloud, server: Record) -> list[dict[str, Any]]:
    found = []
    for number, net in enumerate(server["private_net"], start=1):
        network = cloud.store.get("networks", net["network"])
        ranges = [subnet["ip_range"] for subnet in network["subnets"]]
        found.append(
            {
                "ip": net["ip"],
                "alias_ips": net["alias_ips"],
                "interface_num": number,
                "mac_address": net["mac_address"],
                "network_id": network["id"],
                "network_name": network["name"],
                "network": network["ip_range"],
                "subnet": next(text for text in ranges if IPv4Address(net["ip"]) in IPv4Network(text)),
                "gateway": attachments.gateway(network),
            }
        )
    return found


_FACTS: dict[str, Callable[[Cloud, Record], Any]] = {
    "hostname": lambda _, server: server["name"],
    "instance-id": lambda _, server: server["id"],
    "public-ipv4": _public_ipv4,
    "private-networks": _private_networks,
    "availability-zone": lambda _, server: f"{server['location']}-dc1",
    "region": lambda _, server: catalog.location(server["location"])["network_zone"],
    "public-keys": lambda _, server: server["ssh_keys"],
}
