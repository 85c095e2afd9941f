"""What the cloud has on offer, and what it has of this stack already: looked up while planning."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mesh.names import MeshNames
from mesh.program.machines.hetzner.api import DEFAULT_ENDPOINT, STACK_LABEL, CloudAccess
from mesh.program.machines.hetzner.connected import CloudNetwork
from mesh.program.machines.hetzner.neighbours import is_of
from mesh.program.machines.hetzner.wishes import ImageOffer, Offers, TypeOffer

if TYPE_CHECKING:
    from hcloud import Client

__all__ = [
    "CatalogError",
    "labels_of",
    "labels_of_servers",
    "read_networks",
    "read_offers",
    "servers_of_mesh",
]

T = TypeVar("T")
_ANSWER_SECONDS: Final = 15.0
_APPLICATION: Final = "wireguard-mesh"


class CatalogError(Exception):
    """The cloud does not say what it has; the message says why. `denied` when it does not take the token."""

    def __init__(self, message: str, *, denied: bool = False) -> None:
        super().__init__(message)
        self.denied = denied


def read_offers(access: CloudAccess, images: Iterable[str]) -> Offers:
    """Ask for locations, server types and these images (names or numbers). Raises `CatalogError`."""
    return _asked(access, lambda client: _offers(client, sorted(set(images))))


def servers_of_mesh(access: CloudAccess, stack: str, names: MeshNames) -> tuple[str, ...]:
    """Return the names of the servers that carry the labels of a mesh of a stack. Raises `CatalogError`."""
    found = _asked(access, lambda client: client.servers.get_all(label_selector=f"{STACK_LABEL}={stack}"))
    return tuple(sorted(str(server.name) for server in found if is_of(server.labels or {}, stack, names)))


def labels_of_servers(access: CloudAccess) -> dict[str, dict[str, str]]:
    """Return the labels of every server in the project, by its name. Raises `CatalogError`."""
    found = _asked(access, lambda client: client.servers.get_all())
    return {str(server.name): dict(server.labels or {}) for server in found}


def labels_of(access: CloudAccess, collection: str, name: str) -> dict[str, str] | None:
    """Return the labels of something in the cloud, None when it is not there. Raises `CatalogError`.

    `collection` is the client's word for its kind, such as `primary_ips`.
    """
    found = _asked(access, lambda client: getattr(client, collection).get_by_name(name))
    return None if found is None else dict(found.labels or {})


def read_networks(access: CloudAccess, names: Iterable[str]) -> dict[str, CloudNetwork | None]:
    """Return these networks of the project, None of one that it does not have. Raises `CatalogError`."""
    return _asked(access, lambda client: {name: _network(client, name) for name in names})


def _network(client: "Client", name: str) -> CloudNetwork | None:
    found: Any = client.networks.get_by_name(name)
    if found is None:
        return None
    subnets = tuple(str(subnet.ip_range) for subnet in found.subnets or [])
    return CloudNetwork(ip_range=str(found.ip_range), subnets=subnets)


def _asked(access: CloudAccess, ask: "Callable[[Client], T]") -> T:
    # The client takes as long to import as the rest of the program, and unchanged runs do without.
    from hcloud import APIException, Client, HCloudException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    endpoint = access.endpoint or DEFAULT_ENDPOINT
    client = Client(
        access.token or "",
        endpoint,
        application_name=_APPLICATION,
        timeout=_ANSWER_SECONDS,
        poll_max_retries=3,
    )
    try:
        return ask(client)
    except APIException as error:
        denied = error.code in {"unauthorized", "forbidden"}
        raise CatalogError(f"{error.message} ({error.code})", denied=denied) from None
    except (HCloudException, RequestException, ValueError) as error:
        raise CatalogError(f"no answer from {endpoint} ({type(error).__name__})") from None


def _offers(client: "Client", images: Iterable[str]) -> Offers:
    wanted = {name: _image(client, name) for name in images}
    missing = [name for name, found in wanted.items() if found is None]
    return Offers(
        locations=tuple(str(place.name) for place in client.locations.get_all()),
        types={str(kind.name): _type(kind) for kind in client.server_types.get_all()},
        images={name: found for name, found in wanted.items() if found is not None},
        image_names=_image_names(client) if missing else (),
    )


def _type(kind: Any) -> TypeOffer:
    places = {str(place.location.name): place for place in kind.locations or ()}
    sold = {name for name, place in places.items() if not _is_over(place.deprecation)}
    return TypeOffer(
        architecture=str(kind.architecture),
        disk=int(kind.disk),
        sold=frozenset(sold),
        in_stock=frozenset(name for name in sold if places[name].available is not False),
        until={
            name: _day(places[name].deprecation.unavailable_after)
            for name in sold
            if places[name].deprecation is not None
        },
    )


def _image(client: "Client", wanted: str) -> ImageOffer | None:
    """Look an image up by number, or by name for every architecture that it exists for."""
    from hcloud import APIException  # noqa: PLC0415 - see above

    if wanted.isdigit():
        try:
            found: list[Any] = [client.images.get_by_id(int(wanted))]
        except APIException as error:
            if error.code != "not_found":
                raise
            found = []
    else:
        found = list(client.images.get_all(name=wanted, include_deprecated=True))
    usable = [image for image in found if image.status == "available" and not _is_over(image.deprecation)]
    if not found:
        return None
    ends = [image.deprecation for image in usable if image.deprecation is not None]
    return ImageOffer(
        architectures=frozenset(str(image.architecture) for image in found),
        disk=max(int(float(image.disk_size or 0)) for image in found),
        usable=bool(usable),
        until=_day(ends[0].unavailable_after) if ends else None,
    )


def _image_names(client: "Client") -> tuple[str, ...]:
    return tuple(sorted({str(image.name) for image in client.images.get_all(type=["system"]) if image.name}))


def _is_over(deprecation: Any) -> bool:
    return deprecation is not None and _time(deprecation.unavailable_after) <= datetime.now(UTC)


def _day(moment: Any) -> str:
    return f"{_time(moment):%Y-%m-%d}"


def _time(moment: Any) -> datetime:
    found = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
