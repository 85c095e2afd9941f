"""Functions: looking up images, locations, server types."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hcloud import APIException, Client

from lab.engine.provider import ProviderError

__all__ = ["FUNCTIONS"]

_Args = Mapping[str, Any]
_IMAGE_ARGUMENTS: Final = {
    *("id", "name", "withArchitecture", "withArchitectures", "withSelector", "selector", "withStatuses"),
    *("includeDeprecated", "mostRecent"),
}


def get_location(client: Client, args: _Args) -> dict[str, Any]:
    """hcloud.get_location."""
    return _location(_one(client.locations, "location", args))


def get_locations(client: Client, _args: _Args) -> dict[str, Any]:
    """hcloud.get_locations."""
    return _listed("location", [_location(place) for place in client.locations.get_all()])


def get_server_type(client: Client, args: _Args) -> dict[str, Any]:
    """hcloud.get_server_type."""
    return _server_type(_one(client.server_types, "server type", args))


def get_server_types(client: Client, _args: _Args) -> dict[str, Any]:
    """hcloud.get_server_types."""
    return _listed("serverType", [_server_type(kind) for kind in client.server_types.get_all()])


def get_network(client: Client, args: _Args) -> dict[str, Any]:
    """hcloud.get_network."""
    found = _one(client.networks, "network", args)
    return {
        **args, "id": found.id, "name": found.name, "ipRange": found.ip_range,
        "labels": dict(found.labels or {}), "deleteProtection": found.protection["delete"],
        "exposeRoutesToVswitch": bool(found.expose_routes_to_vswitch),
    }  # fmt: skip


def get_image(client: Client, args: _Args) -> dict[str, Any]:
    """hcloud.get_image."""
    if args.get("id") is not None:
        return {**args, **_image(_one(client.images, "image", args))}
    found = _images(client, args, [args.get("withArchitecture") or "x86"])
    asked = args.get("name") or args.get("withSelector") or args.get("selector")
    if not found:
        raise ProviderError(f"image {asked!r} does not exist")
    if len(found) > 1 and not args.get("mostRecent") and not args.get("name"):
        raise ProviderError(
            f"{len(found)} images match {asked!r}: set mostRecent, or use a narrower selector"
        )
    return {**args, **found[0]}


def get_images(client: Client, args: _Args) -> dict[str, Any]:
    """hcloud.get_images."""
    found = _images(client, args, args.get("withArchitectures"))
    return {**args, "images": found, "id": _list_id(found)}


def _images(client: Client, args: _Args, architectures: list[str] | None) -> list[dict[str, Any]]:
    unknown = set(args) - _IMAGE_ARGUMENTS
    if unknown:
        raise ProviderError(f"an image has no {', '.join(sorted(unknown))}")
    found: Any = client.images.get_all(
        name=args.get("name"),
        label_selector=args.get("withSelector") or args.get("selector"),
        status=args.get("withStatuses"),
        architecture=architectures,
        sort=["created:desc"] if args.get("mostRecent") else None,
        include_deprecated=args.get("includeDeprecated"),
    )
    return [_image(image) for image in found]


def _one(collection: Any, what: str, args: _Args) -> Any:
    """Look one up by id or name. Raises `ProviderError` when there is none."""
    found = None
    if args.get("id") is not None:
        try:
            found = collection.get_by_id(int(args["id"]))
        except APIException as error:
            if error.code != "not_found":
                raise
    elif args.get("name"):
        found = collection.get_by_name(args["name"])
    else:
        raise ProviderError(f"a {what} is looked up by id or by name: give the id or the name")
    if found is None:
        raise ProviderError(f"{what} {args.get('id') or args.get('name')!r} does not exist")
    return found


def _location(place: Any) -> dict[str, Any]:
    return {
        "id": place.id, "name": place.name, "description": place.description, "country": place.country,
        "city": place.city, "latitude": place.latitude, "longitude": place.longitude,
        "networkZone": place.network_zone,
    }  # fmt: skip


def _server_type(kind: Any) -> dict[str, Any]:
    """Return a server type; one is deprecated when it is so in every location."""
    ends = [place.deprecation for place in kind.locations or []]
    everywhere = ends[0] if ends and all(ends) else None
    return {
        "id": kind.id, "name": kind.name, "description": kind.description, "category": kind.category,
        "cores": kind.cores, "memory": int(kind.memory), "disk": kind.disk, "cpuType": kind.cpu_type,
        "storageType": kind.storage_type, "architecture": kind.architecture,
        "includedTraffic": 0, **_deprecation(everywhere),
        "locations": [
            {
                "id": place.location.id, "name": place.location.name, "available": place.available,
                "recommended": place.recommended, **_deprecation(place.deprecation),
            }
            for place in kind.locations or []
        ],
    }  # fmt: skip


def _image(image: Any) -> dict[str, Any]:
    return {
        "id": image.id, "name": image.name or "", "type": image.type, "description": image.description,
        "created": _time(image.created), "osFlavor": image.os_flavor, "osVersion": image.os_version or "",
        "architecture": image.architecture, "rapidDeploy": bool(image.rapid_deploy),
        "labels": dict(image.labels or {}), **_deprecation(image.deprecation),
        "deprecated": _time(image.deprecation.announced if image.deprecation else None),
    }  # fmt: skip


def _deprecation(found: Any) -> dict[str, Any]:
    return {
        "isDeprecated": found is not None,
        "deprecationAnnounced": _time(found.announced if found else None),
        "unavailableAfter": _time(found.unavailable_after if found else None),
    }


def _time(moment: Any) -> str:
    return "" if moment is None else str(moment.isoformat()).replace("+00:00", "Z")


def _listed(noun: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        f"{noun}Ids": [str(item["id"]) for item in found],
        "names": [item["name"] for item in found],
        "descriptions": [item["description"] for item in found],
        f"{noun}s": list(found),
        "id": _list_id(found),
    }


def _list_id(found: Sequence[Mapping[str, Any]]) -> str:
    """Return an id for a list, as terraform-provider-hcloud makes it (internal/util/datasourceutil)."""
    text = "".join(str(item["id"]) for item in found)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


FUNCTIONS: Final[Mapping[str, Callable[[Client, _Args], dict[str, Any]]]] = {
    "hcloud:index/getLocation:getLocation": get_location,
    "hcloud:index/getLocations:getLocations": get_locations,
    "hcloud:index/getServerType:getServerType": get_server_type,
    "hcloud:index/getServerTypes:getServerTypes": get_server_types,
    "hcloud:index/getImage:getImage": get_image,
    "hcloud:index/getNetwork:getNetwork": get_network,
    "hcloud:index/getImages:getImages": get_images,
}
