"""Functions: looking up images, locations, server types."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from hcloud import Client
from hcloud.core import BoundModelBase

from lab.engine.provider import ProviderError

__all__ = ["FUNCTIONS"]


def _find(found: Any, what: str, args: Mapping[str, Any]) -> Any:
    if found is None:
        raise ProviderError(f"there is no {what} {args.get('name', args.get('id'))!r}")
    return found


def _by(collection: Any, args: Mapping[str, Any]) -> BoundModelBase[Any] | None:
    if args.get("id") is not None:
        found: BoundModelBase[Any] | None = collection.get_by_id(int(args["id"]))
    else:
        found = collection.get_by_name(args["name"])
    return found


def get_location(client: Client, args: Mapping[str, Any]) -> dict[str, Any]:
    """hcloud.get_location."""
    place = _find(_by(client.locations, args), "location", args)
    return {
        "id": place.id, "name": place.name, "description": place.description, "country": place.country,
        "city": place.city, "latitude": place.latitude, "longitude": place.longitude,
        "networkZone": place.network_zone,
    }  # fmt: skip


def get_server_type(client: Client, args: Mapping[str, Any]) -> dict[str, Any]:
    """hcloud.get_server_type."""
    kind = _find(_by(client.server_types, args), "server type", args)
    return {
        "id": kind.id, "name": kind.name, "description": kind.description, "cores": kind.cores,
        "memory": int(kind.memory), "disk": kind.disk, "architecture": kind.architecture,
        "cpuType": kind.cpu_type, "storageType": kind.storage_type,
    }  # fmt: skip


def get_image(client: Client, args: Mapping[str, Any]) -> dict[str, Any]:
    """hcloud.get_image."""
    if args.get("id") is not None:
        image = client.images.get_by_id(int(args["id"]))
    else:
        architecture = args.get("withArchitecture", "x86")
        image = _find(client.images.get_by_name_and_architecture(args["name"], architecture), "image", args)
    return {
        "id": image.id, "name": image.name, "type": image.type, "description": image.description,
        "osFlavor": image.os_flavor, "osVersion": image.os_version, "architecture": image.architecture,
        "rapidDeploy": bool(image.rapid_deploy), "labels": dict(image.labels or {}),
    }  # fmt: skip


FUNCTIONS: Final[Mapping[str, Callable[[Client, Mapping[str, Any]], dict[str, Any]]]] = {
    "hcloud:index/getLocation:getLocation": get_location,
    "hcloud:index/getServerType:getServerType": get_server_type,
    "hcloud:index/getImage:getImage": get_image,
}
