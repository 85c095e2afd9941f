"""What the cloud has on offer: locations, server types, images, with fields as the API gives them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.cloud.errors import invalid
from lab.hosts.image import RELEASES

__all__ = [
    "IMAGES",
    "LOCATIONS",
    "SERVER_TYPES",
    "image",
    "in_stock",
    "location",
    "refuse_unsold",
    "server_type",
]


def _location(number: int, name: str, place: tuple[str, str, float, float], zone: str) -> dict[str, Any]:
    city, country, latitude, longitude = place
    return {
        "id": number, "name": name, "description": f"{city} DC Park 1", "country": country, "city": city,
        "latitude": latitude, "longitude": longitude, "network_zone": zone,
    }  # fmt: skip


LOCATIONS: Final = [
    _location(1, "fsn1", ("Falkenstein", "DE", 50.47612, 12.370071), "eu-central"),
    _location(2, "nbg1", ("Nuremberg", "DE", 49.452102, 11.076665), "eu-central"),
    _location(3, "hel1", ("Helsinki", "FI", 60.169855, 24.938379), "eu-central"),
    _location(4, "ash", ("Ashburn, VA", "US", 39.045821, -77.487073), "us-east"),
    _location(5, "hil", ("Hillsboro, OR", "US", 45.54222, -122.951924), "us-west"),
    _location(6, "sin", ("Singapore", "SG", 1.283333, 103.833333), "ap-southeast"),
]


_RETIRED: Final = {"announced": "2025-06-01T00:00:00+00:00", "unavailable_after": "2025-12-01T00:00:00+00:00"}


def _price(net: str) -> dict[str, str]:
    return {"net": net, "gross": f"{float(net) * 1.19:.10f}"}


# Where those types are sold that are not sold everywhere.
_EUROPE: Final = ("fsn1", "nbg1", "hel1")
_OVERSEAS: Final = ("ash", "hil", "sin")
_EVERYWHERE: Final = (*_EUROPE, *_OVERSEAS)


def _type(
    number: int,
    name: str,
    size: tuple[int, float, int],
    architecture: str = "x86",
    *,
    sold: Sequence[str] = _EVERYWHERE,
    retired: Sequence[str] = (),
) -> dict[str, Any]:
    """Return a type; `retired` are the locations in which no new server of it can be had any more."""
    cores, memory, disk = size
    places = [place for place in LOCATIONS if place["name"] in {*sold, *retired}]
    return {
        "id": number, "name": name, "description": name.upper(),
        "cores": cores, "memory": memory, "disk": disk,
        "deprecated": False, "deprecation": None, "category": "Cost Optimized", "storage_type": "local",
        "cpu_type": "shared", "architecture": architecture,
        "prices": [
            {
                "location": place["name"], "price_hourly": _price("0.0056000000"),
                "price_monthly": _price("3.4900000000"), "included_traffic": 21990232555520,
                "price_per_tb_traffic": _price("1.0000000000"),
            }
            for place in places
        ],
        "locations": [
            {
                "id": place["id"], "name": place["name"],
                "deprecation": _RETIRED if place["name"] in retired else None,
                "recommended": place["name"] not in retired, "available": place["name"] not in retired,
            }
            for place in places
        ],
    }  # fmt: skip


SERVER_TYPES: Final = [
    _type(114, "cx23", (2, 4.0, 40)),
    _type(115, "cx33", (4, 8.0, 80)),
    _type(116, "cx43", (8, 16.0, 160)),
    _type(117, "cx53", (16, 32.0, 320)),
    _type(109, "cpx22", (2, 4.0, 80)),
    _type(110, "cpx32", (4, 8.0, 160)),
    _type(22, "cpx11", (2, 2.0, 40), sold=_OVERSEAS, retired=_EUROPE),
    _type(45, "cax11", (2, 4.0, 40), "arm", sold=_EUROPE),
    _type(93, "cax21", (4, 8.0, 80), "arm", sold=_EUROPE),
]


def _image(number: int, name: str, os_version: str) -> dict[str, Any]:
    return {
        "id": number, "type": "system", "status": "available", "name": name,
        "description": f"Debian {os_version}", "image_size": None, "disk_size": 5,
        "created": "2023-06-13T06:00:00+00:00", "created_from": None, "bound_to": None, "os_flavor": "debian",
        "os_version": os_version, "rapid_deploy": True, "protection": {"delete": False}, "deprecated": None,
        "deleted": None, "labels": {}, "architecture": "x86",
    }  # fmt: skip


IMAGES: Final = [
    _image(114690387 + index, name, name.removeprefix("debian-"))
    for index, name in enumerate(sorted(RELEASES))
]


def in_stock(items: list[dict[str, Any]], sold_out: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return what is on offer, with the types that are sold out somewhere shown as that."""
    if not sold_out:
        return items
    return [_without(item, sold_out.get(item["name"], ())) for item in items]


def _without(item: dict[str, Any], places: Sequence[str]) -> dict[str, Any]:
    if not places:
        return item
    found = [
        {**each, "available": each["available"] and each["name"] not in places} for each in item["locations"]
    ]
    return {**item, "locations": found}


def refuse_unsold(kind: Mapping[str, Any], place: str) -> None:
    """A type is had only where it is sold, and not where it is retired. Raises `ApiError`."""
    found = next((each for each in kind["locations"] if each["name"] == place), None)
    if found is None:
        raise invalid("server_type", f"unsupported location for server type {kind['name']}")
    if found["deprecation"] is not None:
        raise invalid("server_type", f"server type {kind['name']} is deprecated in {place}")


def _find(items: list[dict[str, Any]], wanted: str | int, field: str, what: str) -> dict[str, Any]:
    for item in items:
        if str(wanted) in {str(item["id"]), item["name"]}:
            return item
    names = ", ".join(item["name"] for item in items)
    raise invalid(field, f"{what} {wanted!r} not found; the lab has {names}")


def location(wanted: str | int) -> dict[str, Any]:
    """Return a location by name or number. Raises `ApiError`."""
    return _find(LOCATIONS, wanted, "location", "location")


def server_type(wanted: str | int) -> dict[str, Any]:
    """Return a server type by name or number. Raises `ApiError`."""
    return _find(SERVER_TYPES, wanted, "server_type", "server type")


def image(wanted: str | int) -> dict[str, Any]:
    """Return an image by name or number. Raises `ApiError`."""
    return _find(IMAGES, wanted, "image", "image")
