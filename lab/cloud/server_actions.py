"""/servers/{id}/actions/...: power, rebuild, type, protection, backups, placement, private networks."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

from lab.cloud import attachments, catalog, firewalls, placement_groups
from lab.cloud.errors import ApiError, invalid
from lab.cloud.requests import (
    AddToPlacementGroup,
    Attach,
    ChangeAliases,
    ChangeProtection,
    ChangeType,
    Detach,
    Rebuild,
    parse,
)
from lab.cloud.servers import begin, root_password, spec_of
from lab.cloud.state import Cloud
from lab.cloud.store import Record

__all__ = ["ACTIONS"]

Handler = Callable[[Cloud, Record, Any], Awaitable[dict[str, Any]]]


def _power(command: str, *, off: bool, on: bool, graceful: bool) -> Handler:
    """Make the handler of a power action: switched off, on, or both."""

    async def handle(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
        async def work() -> None:
            if off:
                record["status"] = "stopping"
                await cloud.hosts.stop(str(record["id"]), graceful=graceful)
                record["status"] = "off"
            if off and on:
                await cloud.actions.advance(50)
            if on:
                await _start(cloud, record)

        return {"action": begin(cloud, record, command, work)}

    return handle


async def _start(cloud: Cloud, record: Record) -> None:
    record["status"] = "starting"
    try:
        await cloud.hosts.start(str(record["id"]))
    except BaseException:
        record["status"] = "off"
        raise
    record["status"] = "running"


def _refuse_on(record: Record) -> None:
    if record["locked"]:
        raise ApiError("locked", f"server {record['name']} is locked by another action")
    if record["status"] != "off":
        raise ApiError("server_not_stopped", f"server {record['name']} must be powered off")


async def _rebuild(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(Rebuild, body)
    if record["protection"]["rebuild"]:
        raise ApiError("protected", f"server {record['name']} is rebuild protected")
    image = catalog.image(request.image)
    if image["architecture"] != catalog.server_type(record["server_type"])["architecture"]:
        raise invalid("image", f"image {image['name']} does not run on this server")

    async def work() -> None:
        before = {name: record[name] for name in ("status", "image", "user_data")}
        record["image"], record["status"] = image["name"], "rebuilding"
        if request.user_data is not None:
            record["user_data"] = base64.b64encode(request.user_data.encode()).decode()
        try:
            cloud.hosts.refuse_image(image["name"])
        except BaseException:
            record.update(before)
            raise
        cloud.store.save()
        await cloud.hosts.destroy(str(record["id"]))
        await cloud.hosts.create(spec_of(cloud, record))
        record["host"] = True
        await cloud.actions.advance(50)
        await firewalls.enforce(cloud, record)
        await attachments.enforce(cloud, record)
        await _start(cloud, record)

    return {
        "action": begin(cloud, record, "rebuild_server", work),
        "root_password": root_password(record),
    }


async def _change_type(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeType, body)
    kind, present = catalog.server_type(request.server_type), catalog.server_type(record["server_type"])
    _refuse_on(record)
    if kind["disk"] < record["primary_disk_size"] or kind["architecture"] != present["architecture"]:
        raise ApiError("invalid_server_type", f"server type {kind['name']} does not fit the server")
    catalog.refuse_unsold(kind, record["location"])
    cloud.faults.refuse_sold_out(kind["name"], record["location"])

    async def work() -> None:
        record["status"] = "migrating"
        record["server_type"] = kind["name"]
        if request.upgrade_disk:
            record["primary_disk_size"] = kind["disk"]
        # the API starts it again by itself, and the real provider relies on that
        await _start(cloud, record)

    return {"action": begin(cloud, record, "change_server_type", work)}


async def _change_protection(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeProtection, body)
    asked = {name: value for name in ("delete", "rebuild") if (value := getattr(request, name)) is not None}
    wanted = {**record["protection"], **asked}
    if wanted["delete"] != wanted["rebuild"]:
        raise invalid("rebuild", "delete and rebuild protection have to be the same")

    async def work() -> None:
        record["protection"] = wanted

    return {"action": begin(cloud, record, "change_protection", work)}


def _backups(command: str, window: str | None) -> Handler:
    async def handle(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
        async def work() -> None:
            record["backup_window"] = window

        return {"action": begin(cloud, record, command, work)}

    return handle


async def _add_to_group(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    number = parse(AddToPlacementGroup, body).placement_group
    cloud.store.get("placement_groups", number)
    if record["placement_group"] is not None:
        raise ApiError("already_in_placement_group", "server is already in a placement group")
    placement_groups.refuse_full(cloud, number)
    _refuse_on(record)

    async def work() -> None:
        record["placement_group"] = number

    return {"action": begin(cloud, record, "add_to_placement_group", work)}


async def _remove_from_group(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
    async def work() -> None:
        record["placement_group"] = None

    return {"action": begin(cloud, record, "remove_from_placement_group", work)}


def _in_network(cloud: Cloud, record: Record, command: str, number: int) -> dict[str, Any]:
    """Let the host follow what the server's private networks are by now, as an action."""
    record["locked"] = True

    async def work() -> None:
        await attachments.enforce(cloud, record)

    def unlock() -> None:
        record["locked"] = False

    resources = [("server", record["id"]), ("network", number)]
    return {"action": cloud.actions.start(command, resources, work, unlock)}


def _refuse_locked(record: Record) -> None:
    if record["locked"]:
        raise ApiError("locked", f"server {record['name']} is locked by another action")


async def _attach(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(Attach, body)
    network = cloud.store.get("networks", request.network)
    _refuse_locked(record)
    attachments.attach(
        cloud, record, network, ip=request.ip, aliases=request.alias_ips, ip_range=request.ip_range
    )
    return _in_network(cloud, record, "attach_to_network", network["id"])


async def _change_aliases(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeAliases, body)
    network = cloud.store.get("networks", request.network)
    _refuse_locked(record)
    attachments.change_aliases(cloud, record, network, request.alias_ips)
    return _in_network(cloud, record, "change_alias_ips", network["id"])


async def _detach(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    number = parse(Detach, body).network
    _refuse_locked(record)
    record["private_net"].remove(attachments.attachment(record, number))
    return _in_network(cloud, record, "detach_from_network", number)


ACTIONS: Final[dict[str, Handler]] = {
    "poweron": _power("start_server", off=False, on=True, graceful=False),
    "poweroff": _power("stop_server", off=True, on=False, graceful=False),
    "shutdown": _power("shutdown_server", off=True, on=False, graceful=True),
    "reboot": _power("reboot_server", off=True, on=True, graceful=True),
    "reset": _power("reset_server", off=True, on=True, graceful=False),
    "rebuild": _rebuild,
    "change_type": _change_type,
    "change_protection": _change_protection,
    "enable_backup": _backups("enable_backup", "22-02"),
    "disable_backup": _backups("disable_backup", None),
    "add_to_placement_group": _add_to_group,
    "remove_from_placement_group": _remove_from_group,
    "attach_to_network": _attach,
    "change_alias_ips": _change_aliases,
    "detach_from_network": _detach,
}
