"""/servers: their life from creation to deletion, and what each has to do with the others."""

import base64
import secrets
from typing import Any

from lab.cloud import catalog, firewalls, placement_groups, primary_ips
from lab.cloud.actions import Work
from lab.cloud.errors import ApiError, invalid
from lab.cloud.requests import CreateServer, RenameServer, parse
from lab.cloud.ssh_keys import rename
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now
from lab.hosts import HostSpec

__all__ = ["begin", "create", "delete", "reconcile", "spec_of", "update", "view"]


def view(cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a server as the API shows it."""
    kept = {
        name: record[name]
        for name in ("id", "name", "status", "created", "locked", "labels", "protection", "backup_window")
    }
    group = cloud.store.find("placement_groups", record["placement_group"])
    return {
        **kept,
        "server_type": catalog.server_type(record["server_type"]),
        "image": catalog.image(record["image"]),
        "location": catalog.location(record["location"]),
        "placement_group": None if group is None else placement_groups.view(cloud, group),
        "primary_disk_size": record["primary_disk_size"],
        "public_net": _public_net(cloud, record),
        "private_net": [],
        "iso": None,
        "rescue_enabled": False,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": 21990232555520,
        "volumes": [],
        "load_balancers": [],
    }


def _public_net(cloud: Cloud, record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {"ipv4": None, "ipv6": None}
    for address in cloud.store.all("primary_ips"):
        if address["assignee_id"] == record["id"]:
            shown = primary_ips.view(cloud, address)
            pointer = shown["dns_ptr"] if address["type"] == "ipv6" else shown["dns_ptr"][0]["dns_ptr"]
            found[address["type"]] = {
                "id": address["id"], "ip": address["ip"], "blocked": False,
                "dns_ptr": [] if address["type"] == "ipv6" else pointer,
            }  # fmt: skip
    applied = [{"id": number, "status": "applied"} for number in record["firewalls"]]
    return {**found, "floating_ips": [], "firewalls": applied}


def address_of(cloud: Cloud, record: Record) -> str | None:
    """Return a server's public IPv4 address."""
    for address in cloud.store.all("primary_ips"):
        if address["assignee_id"] == record["id"] and address["type"] == "ipv4":
            return str(address["ip"])
    return None


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Check everything, then make the server; it boots while its action runs."""
    request = parse(CreateServer, body)
    cloud.store.refuse_taken("servers", request.name)
    kind, image = catalog.server_type(request.server_type), catalog.image(request.image)
    if kind["architecture"] != image["architecture"]:
        raise invalid("image", f"image {image['name']} does not run on {kind['architecture']}")
    keys = [_ssh_key(cloud, wanted) for wanted in request.ssh_keys]
    place = _place(cloud, request)
    for applied in request.firewalls:
        cloud.store.get("firewalls", applied.firewall)
    if request.placement_group is not None:
        cloud.store.get("placement_groups", request.placement_group)
        placement_groups.refuse_full(cloud, request.placement_group)
    cloud.faults.refuse_create()
    record = cloud.store.add(
        "servers",
        {
            "name": request.name, "status": "initializing", "created": now(), "locked": True,
            "labels": request.labels, "protection": {"delete": False, "rebuild": False},
            "backup_window": None, "server_type": kind["name"], "image": image["name"], "location": place,
            "placement_group": request.placement_group, "primary_disk_size": kind["disk"],
            "firewalls": [applied.firewall for applied in request.firewalls],
            "ssh_keys": keys, "host": False,
            # kept for a rebuild, as the real cloud does; encoded, as it is nobody's to read
            "user_data": base64.b64encode(request.user_data.encode()).decode(),
        },
    )  # fmt: skip
    _assign_addresses(cloud, record, request)

    async def work() -> None:
        try:
            await cloud.hosts.create(spec_of(cloud, record))
            record["host"] = True
            await firewalls.enforce(cloud, record)
            if not request.start_after_create:
                await cloud.hosts.stop(str(record["id"]), graceful=False)
            record["status"] = "running" if request.start_after_create else "off"
        finally:
            record["locked"] = False
            cloud.store.save()

    action = cloud.actions.start("create_server", [("server", record["id"])], work)
    following = [cloud.actions.start("start_server", [("server", record["id"])])]
    password = None if keys else secrets.token_urlsafe(12)
    return {
        "server": view(cloud, record),
        "action": action,
        "next_actions": following if request.start_after_create else [],
        "root_password": password,
    }


def _ssh_key(cloud: Cloud, wanted: str | int) -> str:
    for record in cloud.store.all("ssh_keys"):
        if str(wanted) in {str(record["id"]), record["name"]}:
            return str(record["public_key"])
    raise invalid("ssh_keys", f"SSH key {wanted!r} not found")


def _place(cloud: Cloud, request: CreateServer) -> str:
    """Return the server's location: where it is asked for, and where its addresses are."""
    place = catalog.location(request.location)["name"] if request.location is not None else None
    for number, kind in ((request.public_net.ipv4, "ipv4"), (request.public_net.ipv6, "ipv6")):
        if number is None:
            continue
        address = cloud.store.get("primary_ips", number)
        if address["type"] != kind:
            raise invalid(f"public_net.{kind}", f"primary IP {number} is {address['type']}")
        if address["assignee_id"] is not None:
            raise ApiError("primary_ip_already_assigned", f"primary IP {number} is already assigned")
        if place not in {None, address["location"]}:
            raise invalid("location", f"primary IP {number} is in {address['location']}, not in {place}")
        place = address["location"]
    return str(place or catalog.LOCATIONS[0]["name"])


def _assign_addresses(cloud: Cloud, record: Record, request: CreateServer) -> None:
    net = request.public_net
    for kind, enabled, number in (("ipv4", net.enable_ipv4, net.ipv4), ("ipv6", net.enable_ipv6, net.ipv6)):
        if not enabled:
            continue
        if number is not None:
            cloud.store.get("primary_ips", number)["assignee_id"] = record["id"]
            continue
        primary_ips.reserve(
            cloud, name=f"primary_ip-{record['id']}-{kind}", kind=kind, place=record["location"], labels={},
            server=record, auto_delete=True,
        )  # fmt: skip
    cloud.store.save()


def spec_of(cloud: Cloud, record: Record) -> HostSpec:
    """Return what the server's host is made from."""
    return HostSpec(
        key=str(record["id"]),
        hostname=record["name"],
        address=address_of(cloud, record),
        user_data=base64.b64decode(record["user_data"]).decode(),
        public_keys=record["ssh_keys"],
        instance_id=str(record["id"]),
        image=record["image"],
    )


def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name and labels."""
    rename(cloud, "servers", record, parse(RenameServer, body))


def begin(cloud: Cloud, record: Record, command: str, work: Work) -> dict[str, Any]:
    """Start an action on a server, which is locked meanwhile. Raises `ApiError` when it is already."""
    if record["locked"]:
        raise ApiError("locked", f"server {record['name']} is locked by another action")
    record["locked"] = True
    cloud.store.save()

    async def locked() -> None:
        try:
            await work()
        finally:
            record["locked"] = False
            cloud.store.save()

    return cloud.actions.start(command, [("server", record["id"])], locked)


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Delete a server and its host; its addresses stay unless they were made along with it."""
    if record["protection"]["delete"]:
        raise ApiError("protected", f"server {record['name']} is delete protected")

    async def work() -> None:
        record["status"] = "deleting"
        await cloud.hosts.destroy(str(record["id"]))
        primary_ips.release(cloud, record)
        cloud.store.remove("servers", record["id"])

    return {"action": begin(cloud, record, "delete_server", work)}


async def reconcile(cloud: Cloud) -> None:
    """After a restart: what really runs counts; what was being made or deleted is settled."""
    running = await cloud.hosts.running()
    for record in cloud.store.all("servers"):
        record["locked"] = False
        if record["status"] == "deleting":
            await cloud.hosts.destroy(str(record["id"]))
            primary_ips.release(cloud, record)
            cloud.store.remove("servers", record["id"])
            continue
        record["host"] = record["host"] or str(record["id"]) in running
        record["status"] = "running" if str(record["id"]) in running else "off"
    cloud.store.save()
