"""/primary_ips."""

from typing import Any

from lab.cloud import catalog
from lab.cloud.errors import ApiError, invalid
from lab.cloud.requests import Assign, ChangeProtection, CreatePrimaryIp, UpdatePrimaryIp, parse
from lab.cloud.ssh_keys import rename
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now

__all__ = ["ACTIONS", "create", "delete", "release", "update", "view"]


def view(_cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a primary IP as the API shows it."""
    host = ".".join(reversed(record["ip"].split("."))) if record["type"] == "ipv4" else record["ip"]
    return {
        **record,
        "location": catalog.location(record["location"]),
        "blocked": False,
        "dns_ptr": [{"ip": record["ip"], "dns_ptr": f"static.{host}.clients.your-server.de"}],
    }


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Reserve an address, for a server or for later."""
    request = parse(CreatePrimaryIp, body)
    cloud.store.refuse_taken("primary_ips", request.name)
    server = None
    if request.assignee_id is not None:
        server = cloud.store.get("servers", request.assignee_id)
        refuse_running(server)
    elif request.location is None:
        raise invalid("location", "either location or assignee_id is required")
    place = server["location"] if server is not None else catalog.location(request.location or "")["name"]
    record = reserve(
        cloud, name=request.name, kind=request.type, place=place, labels=request.labels, server=server,
        auto_delete=request.auto_delete,
    )  # fmt: skip
    answer: dict[str, Any] = {"primary_ip": view(cloud, record)}
    if server is not None:
        answer["action"] = cloud.actions.start("assign_primary_ip", [("primary_ip", record["id"])])
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
    """Keep a new address. Raises `ApiError`."""
    # RFC 3849: documentation addresses, as the lab's hosts speak IPv4 only
    address = (
        cloud.next_address() if kind == "ipv4" else f"2001:db8:{len(cloud.store.all('primary_ips')):x}::/64"
    )
    return cloud.store.add(
        "primary_ips",
        {
            "name": name,
            "labels": labels,
            "created": now(),
            "ip": address,
            "type": kind,
            "location": place,
            "auto_delete": auto_delete,
            "assignee_type": "server",
            "assignee_id": server["id"] if server is not None else None,
            "protection": {"delete": False},
        },
    )


def refuse_running(server: Record) -> None:
    """An address changes hands only while its server is off. Raises `ApiError`."""
    if server["status"] != "off":
        raise ApiError("server_not_stopped", f"server {server['name']} must be powered off")


def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name, labels, auto_delete."""
    request = parse(UpdatePrimaryIp, body)
    rename(cloud, "primary_ips", record, request)
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
    cloud.store.save()


async def _assign(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(Assign, body)
    server = cloud.store.get("servers", request.assignee_id)
    if record["assignee_id"] is not None:
        raise ApiError("primary_ip_already_assigned", "primary IP is already assigned")
    refuse_running(server)
    if any(
        other["assignee_id"] == server["id"] and other["type"] == record["type"]
        for other in cloud.store.all("primary_ips")
    ):
        raise ApiError("server_has_ipv4", f"server already has a primary {record['type']}")
    record["assignee_id"] = server["id"]
    if record["type"] == "ipv4":
        await cloud.hosts.readdress(str(server["id"]), record["ip"])
    cloud.store.save()
    return _action(cloud, "assign_primary_ip", record, server)


async def _unassign(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
    server = cloud.server_of_ip(record)
    if server is None:
        raise ApiError("conflict", "primary IP is not assigned")
    refuse_running(server)
    record["assignee_id"] = None
    if record["type"] == "ipv4":
        await cloud.hosts.readdress(str(server["id"]), None)
    cloud.store.save()
    return _action(cloud, "unassign_primary_ip", record, server)


async def _change_protection(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeProtection, body)
    if request.delete is not None:
        record["protection"] = {"delete": request.delete}
        cloud.store.save()
    return {"action": cloud.actions.start("change_protection", [("primary_ip", record["id"])])}


def _action(cloud: Cloud, command: str, record: Record, server: Record) -> dict[str, Any]:
    resources = [("primary_ip", record["id"]), ("server", server["id"])]
    return {"action": cloud.actions.start(command, resources)}


ACTIONS = {"assign": _assign, "unassign": _unassign, "change_protection": _change_protection}
