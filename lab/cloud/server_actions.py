"""/servers/{id}/actions/...: power, rebuild, type, protection, backups, placement."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from lab.cloud import catalog, firewalls, placement_groups
from lab.cloud.errors import ApiError
from lab.cloud.requests import AddToPlacementGroup, ChangeProtection, ChangeType, Rebuild, parse
from lab.cloud.servers import begin, spec_of
from lab.cloud.state import Cloud
from lab.cloud.store import Record

__all__ = ["ACTIONS"]

Handler = Callable[[Cloud, Record, Any], Awaitable[dict[str, Any]]]


def _power(command: str, *, off: bool, on: bool, graceful: bool) -> Handler:
    """Make the handler of a power action: switched off, on, or both."""

    async def handle(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
        key = str(record["id"])

        async def work() -> None:
            if off:
                record["status"] = "stopping"
                await cloud.hosts.stop(key, graceful=graceful)
                record["status"] = "off"
            if on:
                record["status"] = "starting"
                await cloud.hosts.start(key)
                record["status"] = "running"

        return {"action": begin(cloud, record, command, work)}

    return handle


async def _rebuild(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(Rebuild, body)
    if record["protection"]["rebuild"]:
        raise ApiError("protected", f"server {record['name']} is rebuild protected")
    record["image"] = catalog.image(request.image)["name"]

    async def work() -> None:
        record["status"] = "rebuilding"
        await cloud.hosts.destroy(str(record["id"]))
        await cloud.hosts.create(spec_of(cloud, record))
        await firewalls.enforce(cloud, record)
        record["status"] = "running"

    return {"action": begin(cloud, record, "rebuild_server", work), "root_password": None}


async def _change_type(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeType, body)
    kind = catalog.server_type(request.server_type)
    if record["status"] != "off":
        raise ApiError("server_not_stopped", f"server {record['name']} must be powered off")

    async def work() -> None:
        record["status"] = "migrating"
        record["server_type"] = kind["name"]
        if request.upgrade_disk:
            record["primary_disk_size"] = kind["disk"]
        # the API starts it again by itself, and the real provider relies on that
        await cloud.hosts.start(str(record["id"]))
        record["status"] = "running"

    return {"action": begin(cloud, record, "change_server_type", work)}


async def _change_protection(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(ChangeProtection, body)
    asked = {name: value for name in ("delete", "rebuild") if (value := getattr(request, name)) is not None}

    async def work() -> None:
        record["protection"] = {**record["protection"], **asked}

    return {"action": begin(cloud, record, "change_protection", work)}


async def _enable_backup(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
    async def work() -> None:
        record["backup_window"] = "22-02"

    return {"action": begin(cloud, record, "enable_backup", work)}


async def _disable_backup(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
    async def work() -> None:
        record["backup_window"] = None

    return {"action": begin(cloud, record, "disable_backup", work)}


async def _add_to_group(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    number = parse(AddToPlacementGroup, body).placement_group
    cloud.store.get("placement_groups", number)
    placement_groups.refuse_full(cloud, number)
    if record["status"] != "off":
        raise ApiError("server_not_stopped", f"server {record['name']} must be powered off")

    async def work() -> None:
        record["placement_group"] = number

    return {"action": begin(cloud, record, "add_to_placement_group", work)}


async def _remove_from_group(cloud: Cloud, record: Record, _body: Any) -> dict[str, Any]:
    async def work() -> None:
        record["placement_group"] = None

    return {"action": begin(cloud, record, "remove_from_placement_group", work)}


ACTIONS: Final[dict[str, Handler]] = {
    "poweron": _power("start_server", off=False, on=True, graceful=False),
    "poweroff": _power("stop_server", off=True, on=False, graceful=False),
    "shutdown": _power("shutdown_server", off=True, on=False, graceful=True),
    "reboot": _power("reboot_server", off=True, on=True, graceful=True),
    "reset": _power("reset_server", off=True, on=True, graceful=False),
    "rebuild": _rebuild,
    "change_type": _change_type,
    "change_protection": _change_protection,
    "enable_backup": _enable_backup,
    "disable_backup": _disable_backup,
    "add_to_placement_group": _add_to_group,
    "remove_from_placement_group": _remove_from_group,
}
