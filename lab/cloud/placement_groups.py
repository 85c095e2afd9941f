"""/placement_groups."""

from typing import Any, Final

from lab.cloud.errors import ApiError
from lab.cloud.names import rename
from lab.cloud.requests import CreatePlacementGroup, Rename, parse
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now

__all__ = ["create", "delete", "refuse_full", "update", "view"]

_MOST_SERVERS: Final = 10  # Hetzner Cloud documentation, placement groups


def view(cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a placement group as the API shows it."""
    return {**record, "servers": _servers(cloud, record["id"])}


def _servers(cloud: Cloud, number: int) -> list[int]:
    return [server["id"] for server in cloud.store.all("servers") if server["placement_group"] == number]


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Make a group."""
    request = parse(CreatePlacementGroup, body)
    cloud.store.refuse_taken("placement_groups", request.name)
    record = cloud.store.add(
        "placement_groups",
        {"name": request.name, "type": request.type, "labels": request.labels, "created": now()},
    )
    return {"placement_group": view(cloud, record), "action": None}


def refuse_full(cloud: Cloud, number: int) -> None:
    """A spread group has at most ten servers. Raises `ApiError`."""
    cloud.store.get("placement_groups", number)
    if len(_servers(cloud, number)) >= _MOST_SERVERS:
        # the words of the real cloud, as users report them; the official document has no such code
        raise ApiError(
            "placement_group_member_limit_reached",
            f"placement group with ID {number} contains already {_MOST_SERVERS} servers",
        )


async def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name and labels."""
    rename(cloud.store, "placement_groups", record, parse(Rename, body))


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Forget a group without servers."""
    if _servers(cloud, record["id"]):
        raise ApiError("resource_in_use", "placement group is still in use")
    cloud.store.remove("placement_groups", record["id"])
    return None
