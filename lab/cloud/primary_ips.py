"""/primary_ips."""

from typing import Any

from lab.cloud import catalog
from lab.cloud.errors import ApiError, invalid
from lab.cloud.names import rename
from lab.cloud.requests import Assign, ChangeProtection, CreatePrimaryIp, UpdatePrimaryIp, parse
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now

__all__ = ["ACTIONS", "address_of", "create", "delete", "of_server", "release", "reserve", "update", "view"]


def view(_cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a primary IP as the API shows it."""
    pointers = []  # an IPv6 network has none until its owner gives one to an address in it
    if record["type"] == "ipv4":
        host = ".".join(reversed(record["ip"].split(".")))
        pointers = [{"ip": record["ip"], "dns_ptr": f"static.{host}.clients.your-server.de"}]
    return {
        **record,
        "location": catalog.location(record["location"]),
        "blocked": False,
        "dns_ptr": pointers,
    }


def of_server(cloud: Cloud, number: int, kind: str) -> Record | None:
    """Return a server's primary IP of one kind."""
    for record in cloud.store.all("primary_ips"):
        if record["assignee_id"] == number and record["type"] == kind:
            return record
    return None


def address_of(cloud: Cloud, server: Record, kind: str) -> str | None:
    """Return a server's public address or network."""
    record = of_server(cloud, server["id"], kind)
    return None if record is None else str(record["ip"])


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Reserve an address, for a server or for later."""
    request = parse(CreatePrimaryIp, body)
    cloud.store.refuse_taken("primary_ips", request.name)
    server = None
    if request.assignee_id is not None:
        server = cloud.store.get("servers", request.assignee_id)
        _refuse_for(cloud, server, request.type)
    elif request.location is None:
        raise invalid("location", "either location or assignee_id is required")
    place = server["location"] if server is not None else catalog.location(request.location or "")["name"]
    record = reserve(
        cloud, name=request.name, kind=request.type, place=place, labels=request.labels, server=server,
        auto_delete=request.auto_delete,
    )  # fmt: skip
    answer: dict[str, Any] = {"primary_ip": view(cloud, record)}
    if server is not None:
        answer |= _action(cloud, "assign_primary_ip", record, server)
    return answer


def reserve(
    cloud: Cloud,
    *,
    name: str,
    kind: str,
    place: str,
    labels: dict[str, str],
    server: Record | None,
    auto_delete: bool,
) -> Record:
    """Keep a new address. Raises `ApiError` when none is left."""
    return cloud.store.add(
        "primary_ips",
        {
            "name": name,
            "labels": labels,
            "created": now(),
            "ip": cloud.next_address() if kind == "ipv4" else cloud.next_network(),
            "type": kind,
            "location": place,
            "auto_delete": auto_delete,
            "assignee_type": "server",
            "assignee_id": server["id"] if server is not None else None,
            "protection": {"delete": False},
        },
    )


def _refuse_running(server: Record) -> None:
    """An address changes hands only while its server is off. Raises `ApiError`."""
    if server["locked"]:
        raise ApiError("locked", f"server {server['name']} is locked by another action")
    if server["status"] != "off":
        raise ApiError("server_not_stopped", f"server {server['name']} must be powered off")


def _refuse_for(cloud: Cloud, server: Record, kind: str) -> None:
    _refuse_running(server)
    if of_server(cloud, server["id"], kind) is not None:
        raise ApiError(f"server_has_{kind}", f"server {server['name']} has an {kind} address already")


async def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name, labels, auto_delete."""
    request = parse(UpdatePrimaryIp, body)
    rename(cloud.store, "primary_ips", record, request)
    if request.auto_delete is not None:
        record["auto_delete"] = request.auto_delete
        cloud.store.save()


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Give an address back; it must not be assigned."""
    if record["protection"]["delete"]:
        raise ApiError("protected", "primary IP is delete protected")
    if record["assignee_id"] is not None:
        raise ApiError("must_be_unassigned", "primary IP must be unassigned before it is deleted")
    cloud.store.remove("primary_ips", record["id"])
    return None


def release(cloud: Cloud, server: Record) -> None:
    """Unassign a deleted server's addresses; those that go with their server are given back."""
    for record in cloud.store.all("primary_ips"):
        if record["assignee_id"] == server["id"]:
            record["assignee_id"] = None
            if record["auto_delete"]:
                cloud.store.remove("primary_ips", record["id"])


async def _assign(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(Assign, body)
    server = cloud.store.get("servers", request.assignee_id)
    if record["assignee_id"] is not None:
        raise ApiError("primary_ip_already_assigned", "primary IP is already assigned")
    _refuse_for(cloud, server, record["type"])
    if server["location"] != record["location"]:
        raise invalid("assignee_id", f"server {server['name']} is not in {record['location']}")
    record["assignee_id"] = server["id"]
    await readdress(cloud, server)
    cloud.store.save()
    return _action(cloud, "assign_primary_ip", record, server)


async def _unassign(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
    server = cloud.server_of_ip(record)
    if server is None:
        raise ApiError("conflict", "primary IP is not assigned")
    _refuse_running(server)
    record["assignee_id"] = None
    await readdress(cloud, server)
    cloud.store.save()
    return _action(cloud, "unassign_primary_ip", record, server)


async def readdress(cloud: Cloud, server: Record) -> None:
    """Tell a server's host, which is off, what its public addresses are by now."""
    if server["host"]:
        await cloud.hosts.readdress(
            str(server["id"]), address_of(cloud, server, "ipv4"), address_of(cloud, server, "ipv6")
        )


async def _change_protection(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeProtection, body)
    if request.delete is not None:
        if request.delete and record["auto_delete"]:
            raise invalid("delete", "an address with auto_delete cannot be protected")
        record["protection"] = {"delete": request.delete}
        cloud.store.save()
    return {"action": cloud.actions.start("change_protection", [("primary_ip", record["id"])])}


def _action(cloud: Cloud, command: str, record: Record, server: Record) -> dict[str, Any]:
    resources = [("primary_ip", record["id"]), ("server", server["id"])]
    return {"action": cloud.actions.start(command, resources)}


ACTIONS = {"assign": _assign, "unassign": _unassign, "change_protection": _change_protection}
