"""Taking the cloud's protection off what a rehearsal ends with: a rehearsal must be over with one command."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lab.overlay import CloudAddress

__all__ = ["lift", "protected"]

_SERVER: Final = "hcloud:index/server:Server"
_OTHERS: Final = {
    "hcloud:index/primaryIp:PrimaryIp": "primary_ips",
    "hcloud:index/network:Network": "networks",
}


def protected(resources: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the resources of a state that the engine or the cloud protects."""
    return [each for each in resources if each.get("protect") or _by_the_cloud(each)]


def _by_the_cloud(resource: Mapping[str, Any]) -> bool:
    return (resource.get("outputs") or {}).get("deleteProtection") is True


def lift(resources: Iterable[Mapping[str, Any]], cloud: CloudAddress) -> None:
    """Have the lab's cloud protect none of these any more; what is gone is passed over.

    Raises what the cloud's client raises when the cloud refuses.
    """
    # the client takes long to import, and is hardly ever needed
    from hcloud import APIException, Client  # noqa: PLC0415

    client = Client(cloud.token, cloud.url)
    for each in filter(_by_the_cloud, resources):
        number, kind = int(each["id"]), each["type"]
        try:
            if kind == _SERVER:
                server = client.servers.get_by_id(number)
                server.change_protection(delete=False, rebuild=False).wait_until_finished()
            elif kind in _OTHERS:
                found = getattr(client, _OTHERS[kind]).get_by_id(number)
                found.change_protection(delete=False).wait_until_finished()
        except APIException as error:
            if error.code != "not_found":
                raise
