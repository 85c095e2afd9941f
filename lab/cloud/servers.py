"""/servers: their life from creation to deletion, and what each has to do with the others."""

import asyncio
import base64
import secrets
from typing import Any

from lab.cloud import attachments, catalog, firewalls, placement_groups, primary_ips
from lab.cloud.actions import Work
from lab.cloud.errors import ApiError, invalid
from lab.cloud.names import rename
from lab.cloud.requests import CreateServer, RenameServer, parse
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now
from lab.hosts import HostSpec

__all__ = ["begin", "create", "delete", "reconcile", "refresh", "spec_of", "update", "view"]


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
        "private_net": attachments.view(record),
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
    for kind in found:
        address = primary_ips.of_server(cloud, record["id"], kind)
        if address is not None:
            pointers = primary_ips.view(cloud, address)["dns_ptr"]
            found[kind] = {
                "id": address["id"], "ip": address["ip"], "blocked": False,
                "dns_ptr": pointers[0]["dns_ptr"] if kind == "ipv4" else pointers,
            }  # fmt: skip
    applied = [{"id": number, "status": "applied"} for number in firewalls.of_server(cloud, record)]
    return {**found, "floating_ips": [], "firewalls": applied}


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Check everything, then make the server; it boots while its actions run."""
    request = parse(CreateServer, body)
    cloud.store.refuse_taken("servers", request.name)
    kind, image = catalog.server_type(request.server_type), catalog.image(request.image)
    if kind["architecture"] != image["architecture"]:
        raise invalid("image", f"image {image['name']} does not run on {kind['architecture']}")
    keys = [_ssh_key(cloud, wanted) for wanted in request.ssh_keys]
    place = _place(cloud, request)
    catalog.refuse_unsold(kind, place)
    if image["disk_size"] > kind["disk"]:
        raise invalid("image", f"image {image['name']} does not fit on the disk of {kind['name']}")
    for applied in request.firewalls:
        cloud.store.get("firewalls", applied.firewall)
    if request.placement_group is not None:
        placement_groups.refuse_full(cloud, request.placement_group)
    draft = {
        "name": request.name, "status": "initializing", "created": now(), "locked": True,
        "labels": request.labels, "protection": {"delete": False, "rebuild": False},
        "backup_window": None, "server_type": kind["name"], "image": image["name"], "location": place,
        "placement_group": request.placement_group, "primary_disk_size": kind["disk"],
        "firewalls": [applied.firewall for applied in request.firewalls],
        "ssh_keys": keys, "host": False, "private_net": [],
        # kept for a rebuild, as the real cloud does; encoded, as it is nobody's to read
        "user_data": base64.b64encode(request.user_data.encode()).decode(),
    }  # fmt: skip
    networks = [cloud.store.get("networks", number) for number in request.networks]
    tried: Record = {**draft, "id": 0, "private_net": []}
    for network in networks:  # refused before anything is kept
        attachments.attach(cloud, tried, network)
    cloud.faults.refuse_sold_out(kind["name"], place)
    cloud.faults.refuse_create(place)
    if request.public_net.enable_ipv4 and request.public_net.ipv4 is None:
        cloud.next_address()
    record = cloud.store.add("servers", draft)
    for network in networks:
        attachments.attach(cloud, record, network)
    _assign_addresses(cloud, record, request)
    return _boot(cloud, record, start=request.start_after_create)


def _boot(cloud: Cloud, record: Record, *, start: bool) -> dict[str, Any]:
    """Start the actions that make a new server's host, and boot it."""
    resources, made = [("server", record["id"])], asyncio.Event()

    def free() -> None:
        record["locked"] = False
        if record["status"] in {"initializing", "starting"}:
            record["status"] = "off"

    async def make() -> None:
        await cloud.hosts.create(spec_of(cloud, record))
        record["host"] = True
        await cloud.actions.advance(50)
        await firewalls.enforce(cloud, record)
        await attachments.enforce(cloud, record)

    def after() -> None:
        made.set()
        if not start:
            free()

    async def boot() -> None:
        await made.wait()
        if not record["host"]:
            raise ApiError("server_error", f"server {record['name']} was not made")
        record["status"] = "starting"
        await cloud.hosts.start(str(record["id"]))
        record["status"] = "running"

    action = cloud.actions.start("create_server", resources, make, after)
    return {
        "server": view(cloud, record),
        "action": action,
        "next_actions": [cloud.actions.start("start_server", resources, boot, free)] if start else [],
        "root_password": root_password(record),
    }


def root_password(record: Record) -> str | None:
    """Return a password where there is no key to log in with; hosts take keys only."""
    return None if record["ssh_keys"] else secrets.token_urlsafe(12)


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
        address = cloud.store.find("primary_ips", number)
        if address is None:
            raise ApiError("not_found", f"primary_ip with ID '{number}' not found")
        if address["type"] != kind:
            raise ApiError("primary_ip_version_mismatch", f"primary IP {number} is {address['type']}")
        if address["assignee_id"] is not None:
            raise ApiError("primary_ip_assigned", f"primary IP {number} is already assigned")
        if place not in {None, address["location"]}:
            raise ApiError(
                "primary_ip_datacenter_mismatch",
                f"primary IP {number} is in {address['location']}, not in {place}",
            )
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
        address=primary_ips.address_of(cloud, record, "ipv4"),
        network6=primary_ips.address_of(cloud, record, "ipv6"),
        user_data=base64.b64decode(record["user_data"]).decode(),
        public_keys=record["ssh_keys"],
        instance_id=str(record["id"]),
        image=record["image"],
    )


async def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name and labels; firewalls follow the labels."""
    request = parse(RenameServer, body)
    rename(cloud.store, "servers", record, request)
    if request.labels is not None:
        await firewalls.enforce(cloud, record)


def begin(cloud: Cloud, record: Record, command: str, work: Work) -> dict[str, Any]:
    """Start an action on a server, which is locked meanwhile. Raises `ApiError` when it is already."""
    if record["locked"]:
        raise ApiError("locked", f"server {record['name']} is locked by another action")
    record["locked"] = True

    def unlock() -> None:
        record["locked"] = False

    return cloud.actions.start(command, [("server", record["id"])], work, unlock)


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Delete a server and its host; its addresses stay unless they were made along with it."""
    if record["protection"]["delete"]:
        raise ApiError("protected", f"server {record['name']} is delete protected")

    async def work() -> None:
        record["status"] = "deleting"
        cloud.store.save()
        await _remove(cloud, record)

    return {"action": begin(cloud, record, "delete_server", work)}


async def _remove(cloud: Cloud, record: Record) -> None:
    await cloud.hosts.destroy(str(record["id"]))
    with cloud.store.batch():
        primary_ips.release(cloud, record)
        cloud.store.remove("servers", record["id"])


async def refresh(cloud: Cloud) -> None:
    """Let servers that nothing is done to show what their hosts really do."""
    name = cloud.faults.vanishing()
    if name is not None:
        for record in cloud.store.all("servers"):
            if record["name"] == name:
                await _remove(cloud, record)
    idle = [record for record in cloud.store.all("servers") if not record["locked"]]
    if idle:
        states = await cloud.hosts.states()
        for record in idle:
            if not record["locked"] and record["status"] in {"running", "off"}:
                record["status"] = states.get(str(record["id"]), "off")


async def reconcile(cloud: Cloud) -> None:
    """After a restart: what really runs counts; what was being made or deleted is settled."""
    states = await cloud.hosts.states()
    for record in cloud.store.all("servers"):
        key = str(record["id"])
        unfinished = record["status"] == "initializing" and not record["host"]
        if record["status"] == "deleting" or unfinished:
            await _remove(cloud, record)
            continue
        if key not in states and record["host"]:  # its rebuild was cut short, or its disk was removed
            await cloud.hosts.create(spec_of(cloud, record))
        record["locked"] = False
        record["status"] = states.get(key, "off")
        await firewalls.enforce(cloud, record)
        await attachments.enforce(cloud, record)
    known = {str(record["id"]) for record in cloud.store.all("servers")}
    for key in states.keys() - known:
        await cloud.hosts.destroy(key)
    cloud.store.save()
