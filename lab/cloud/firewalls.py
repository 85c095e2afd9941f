"""/firewalls: rules, and the servers they hold for."""

from collections.abc import Sequence
from typing import Any

from lab.cloud.errors import ApiError, invalid
from lab.cloud.requests import (
    ApplyTo,
    CreateFirewall,
    FirewallResource,
    FirewallRule,
    RemoveFrom,
    Rename,
    SetRules,
    parse,
)
from lab.cloud.ssh_keys import rename
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now
from lab.hosts import Rule

__all__ = ["ACTIONS", "create", "delete", "enforce", "rules_of", "update", "view"]


def view(cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a firewall as the API shows it."""
    return {
        **record,
        "applied_to": [
            {"type": "server", "server": {"id": number}} for number in _servers(cloud, record["id"])
        ],
    }


def _servers(cloud: Cloud, number: int) -> list[int]:
    return [server["id"] for server in cloud.store.all("servers") if number in server["firewalls"]]


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Make a firewall, applied to servers if asked."""
    request = parse(CreateFirewall, body)
    cloud.store.refuse_taken("firewalls", request.name)
    _check(request.rules)
    numbers = _numbers(cloud, request.apply_to)
    record = cloud.store.add(
        "firewalls",
        {
            "name": request.name,
            "labels": request.labels,
            "created": now(),
            "rules": [rule.model_dump() for rule in request.rules],
        },
    )
    actions = _set_applied(cloud, record, numbers, applied=True)
    return {"firewall": view(cloud, record), "actions": actions}


def _check(rules: Sequence[FirewallRule]) -> None:
    for index, rule in enumerate(rules):
        field = f"rules.{index}"
        if rule.protocol in {"tcp", "udp"} and not rule.port:
            raise invalid(f"{field}.port", "port is required for tcp and udp")
        if rule.port and rule.port != "any" and not _is_range(rule.port):
            raise invalid(f"{field}.port", f"{rule.port!r} is no port, range or 'any'")
        if not (rule.source_ips if rule.direction == "in" else rule.destination_ips):
            raise invalid(f"{field}.{'source' if rule.direction == 'in' else 'destination'}_ips", "is empty")


def _is_range(text: str) -> bool:
    first, _, last = text.partition("-")
    numbers = (first, last or first)
    return all(number.isascii() and number.isdigit() for number in numbers) and (
        1 <= int(numbers[0]) <= int(numbers[1]) <= 65535
    )


def rules_of(cloud: Cloud, server: Record) -> list[Rule] | None:
    """Return what a server's firewalls let through; None when it has none."""
    if not server["firewalls"]:
        return None
    return [
        Rule(
            direction=rule["direction"],
            protocol=rule["protocol"],
            port=None if rule["port"] in {None, "any"} else rule["port"],
            networks=tuple(rule["source_ips"] if rule["direction"] == "in" else rule["destination_ips"]),
        )
        for number in server["firewalls"]
        for rule in cloud.store.get("firewalls", number)["rules"]
    ]


async def enforce(cloud: Cloud, server: Record) -> None:
    """Put a server's firewalls in force."""
    if server["host"]:
        await cloud.hosts.set_firewall(str(server["id"]), rules_of(cloud, server))


def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name and labels."""
    rename(cloud, "firewalls", record, parse(Rename, body))


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Forget a firewall that is applied to nothing."""
    if _servers(cloud, record["id"]):
        raise ApiError("resource_in_use", "firewall is still in use")
    cloud.store.remove("firewalls", record["id"])
    return None


async def _set_rules(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(SetRules, body)
    _check(request.rules)
    record["rules"] = [rule.model_dump() for rule in request.rules]
    cloud.store.save()

    async def work() -> None:
        for number in _servers(cloud, record["id"]):
            await enforce(cloud, cloud.store.get("servers", number))

    return {"actions": [cloud.actions.start("set_firewall_rules", [("firewall", record["id"])], work)]}


def _numbers(cloud: Cloud, resources: Sequence[FirewallResource]) -> list[int]:
    found = []
    for resource in resources:
        if resource.type != "server" or resource.server is None:
            raise ApiError("unsupported_error", "the lab applies firewalls to servers by id only")
        found.append(cloud.store.get("servers", resource.server.id)["id"])
    return found


def _set_applied(cloud: Cloud, record: Record, numbers: list[int], *, applied: bool) -> list[Record]:
    actions = []
    for number in numbers:
        server = cloud.store.get("servers", number)
        rest = [other for other in server["firewalls"] if other != record["id"]]
        server["firewalls"] = [*rest, record["id"]] if applied else rest

        async def work(server: Record = server) -> None:
            await enforce(cloud, server)

        command = "apply_firewall" if applied else "remove_firewall"
        actions.append(cloud.actions.start(command, [("server", number), ("firewall", record["id"])], work))
    cloud.store.save()
    return actions


async def _apply(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    numbers = _numbers(cloud, parse(ApplyTo, body).apply_to)
    taken = [number for number in numbers if number in _servers(cloud, record["id"])]
    if taken:
        raise ApiError("conflict", f"firewall is already applied to server {taken[0]}")
    return {"actions": _set_applied(cloud, record, numbers, applied=True)}


async def _remove(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    numbers = _numbers(cloud, parse(RemoveFrom, body).remove_from)
    return {"actions": _set_applied(cloud, record, numbers, applied=False)}


ACTIONS = {"set_rules": _set_rules, "apply_to_resources": _apply, "remove_from_resources": _remove}
