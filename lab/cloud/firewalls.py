"""/firewalls: rules, and the servers they hold for."""

from collections.abc import Sequence
from typing import Any, Final

from lab.cloud.errors import ApiError, invalid
from lab.cloud.listing import check_selector, selector_matches
from lab.cloud.names import rename
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
from lab.cloud.state import Cloud
from lab.cloud.store import Record, now
from lab.hosts import Rule

__all__ = ["ACTIONS", "create", "delete", "enforce", "of_server", "update", "view"]

_MOST_OF_SERVER: Final = 5  # Hetzner Cloud documentation, firewalls, limits
Target = int | str
"""A server's number, or a label selector."""


def view(cloud: Cloud, record: Record) -> dict[str, Any]:
    """Return a firewall as the API shows it."""
    shown = {name: record[name] for name in ("id", "name", "labels", "created", "rules")}
    applied: list[dict[str, Any]] = [_server(number) for number in _explicit(cloud, record["id"])]
    applied += [
        {
            "type": "label_selector",
            "label_selector": {"selector": selector},
            "applied_to_resources": [_server(number) for number in _matching(cloud, selector)],
        }
        for selector in record["selectors"]
    ]
    return {**shown, "applied_to": applied}


def _server(number: int) -> dict[str, Any]:
    return {"type": "server", "server": {"id": number}}


def _explicit(cloud: Cloud, number: int) -> list[int]:
    return [server["id"] for server in cloud.store.all("servers") if number in server["firewalls"]]


def _matching(cloud: Cloud, selector: str) -> list[int]:
    servers = cloud.store.all("servers")
    return [server["id"] for server in servers if selector_matches(selector, server["labels"])]


def _servers(cloud: Cloud, record: Record) -> list[int]:
    """Return every server a firewall holds for."""
    found = set(_explicit(cloud, record["id"]))
    return sorted(found.union(*(_matching(cloud, selector) for selector in record["selectors"])))


def of_server(cloud: Cloud, server: Record) -> list[int]:
    """Return the firewalls that hold for a server: those applied to it, and those that follow its labels."""
    found = list(server["firewalls"])
    for record in cloud.store.all("firewalls"):
        if record["id"] not in found and any(
            selector_matches(selector, server["labels"]) for selector in record["selectors"]
        ):
            found.append(record["id"])
    return found


def create(cloud: Cloud, body: Any) -> dict[str, Any]:
    """Make a firewall, applied to servers if asked."""
    request = parse(CreateFirewall, body)
    cloud.store.refuse_taken("firewalls", request.name)
    _check(request.rules)
    targets = _targets(cloud, request.apply_to)
    if len(set(targets)) != len(targets):
        raise ApiError("server_already_added", "a resource is named more than once")
    _refuse_unfit(cloud, targets)
    record = cloud.store.add(
        "firewalls",
        {
            "name": request.name,
            "labels": request.labels,
            "created": now(),
            "rules": [rule.model_dump() for rule in request.rules],
            "selectors": [],
        },
    )
    actions = _set_applied(cloud, record, targets, applied=True)
    return {"firewall": view(cloud, record), "actions": actions}


def _check(rules: Sequence[FirewallRule]) -> None:
    for index, rule in enumerate(rules):
        field, with_port = f"rules.{index}", rule.protocol in {"tcp", "udp"}
        if with_port and not rule.port:
            raise invalid(f"{field}.port", "port is required for tcp and udp")
        if rule.port is not None and not with_port:
            raise invalid(f"{field}.port", f"{rule.protocol} has no ports")
        if rule.port and rule.port != "any" and not _is_range(rule.port):
            raise invalid(f"{field}.port", f"{rule.port!r} is no port, range or 'any'")
        if not (rule.source_ips if rule.direction == "in" else rule.destination_ips):
            raise invalid(f"{field}.{'source' if rule.direction == 'in' else 'destination'}_ips", "is empty")


def _is_range(text: str) -> bool:
    first, _, last = text.partition("-")
    numbers = (first, last or first)
    return all(number.isascii() and number.isdigit() and len(number) <= 5 for number in numbers) and (
        1 <= int(numbers[0]) <= int(numbers[1]) <= 65535
    )


def _rules(cloud: Cloud, server: Record) -> list[Rule] | None:
    """Return what a server's firewalls let through; None when it has none."""
    numbers = of_server(cloud, server)
    if not numbers:
        return None
    return [
        Rule(
            direction=rule["direction"],
            protocol=rule["protocol"],
            port=None if rule["port"] in {None, "any"} else rule["port"],
            networks=tuple(rule["source_ips"] if rule["direction"] == "in" else rule["destination_ips"]),
        )
        for number in numbers
        for rule in cloud.store.get("firewalls", number)["rules"]
    ]


async def enforce(cloud: Cloud, server: Record) -> None:
    """Put a server's firewalls in force, one server at a time: the rules told last are the ones that hold."""
    async with cloud.enforcing:
        if server["host"] and cloud.store.find("servers", server["id"]) is not None:
            await cloud.hosts.set_firewall(str(server["id"]), _rules(cloud, server))


async def update(cloud: Cloud, record: Record, body: Any) -> None:
    """Change name and labels."""
    rename(cloud.store, "firewalls", record, parse(Rename, body))


async def delete(cloud: Cloud, record: Record) -> dict[str, Any] | None:
    """Forget a firewall that is applied to nothing."""
    if _explicit(cloud, record["id"]) or record["selectors"]:
        raise ApiError("resource_in_use", "firewall is still in use")
    cloud.store.remove("firewalls", record["id"])
    return None


async def _set_rules(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    request = parse(SetRules, body)
    _check(request.rules)
    record["rules"] = [rule.model_dump() for rule in request.rules]
    cloud.store.save()

    async def work() -> None:
        for number in _servers(cloud, record):
            server = cloud.store.find("servers", number)
            if server is not None:
                await enforce(cloud, server)

    return {"actions": [cloud.actions.start("set_firewall_rules", [("firewall", record["id"])], work)]}


def _targets(cloud: Cloud, resources: Sequence[FirewallResource]) -> list[Target]:
    found: list[Target] = []
    for resource in resources:
        if resource.type == "label_selector":
            if resource.label_selector is None:
                raise invalid("apply_to.label_selector", "is missing")
            check_selector("apply_to.label_selector.selector", resource.label_selector.selector)
            found.append(resource.label_selector.selector)
        elif resource.server is None:
            raise invalid("apply_to.server", "is missing")
        elif cloud.store.find("servers", resource.server.id) is None:
            raise ApiError("firewall_resource_not_found", f"server with ID '{resource.server.id}' not found")
        else:
            found.append(resource.server.id)
    return found


def _refuse_unfit(cloud: Cloud, targets: Sequence[Target]) -> None:
    """Refuse servers that can have no firewall, or no more of them. Raises `ApiError`."""
    for target in targets:
        if isinstance(target, str):
            continue
        server = cloud.store.get("servers", target)
        if all(address["assignee_id"] != target for address in cloud.store.all("primary_ips")):
            raise ApiError("private_net_only_server", f"server {server['name']} has no public interface")
        if len(of_server(cloud, server)) >= _MOST_OF_SERVER:
            raise ApiError(
                "resource_limit_exceeded", f"server {server['name']} has {_MOST_OF_SERVER} firewalls already"
            )


def _set_applied(
    cloud: Cloud, record: Record, targets: Sequence[Target], *, applied: bool
) -> list[dict[str, Any]]:
    touched: set[int] = set()
    for target in targets:
        if isinstance(target, str):
            rest = [selector for selector in record["selectors"] if selector != target]
            record["selectors"] = [*rest, target] if applied else rest
            touched |= set(_matching(cloud, target))
        else:
            server = cloud.store.get("servers", target)
            others = [number for number in server["firewalls"] if number != record["id"]]
            server["firewalls"] = [*others, record["id"]] if applied else others
            touched.add(target)
    command = "apply_firewall" if applied else "remove_firewall"
    cloud.store.save()
    return [_enforcement(cloud, record, number, command) for number in sorted(touched)]


def _enforcement(cloud: Cloud, record: Record, number: int, command: str) -> Record:
    server = cloud.store.get("servers", number)

    async def work() -> None:
        await enforce(cloud, server)

    return cloud.actions.start(command, [("server", number), ("firewall", record["id"])], work)


async def _apply(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    targets = _targets(cloud, parse(ApplyTo, body).apply_to)
    taken = {*_explicit(cloud, record["id"]), *record["selectors"]}.intersection(targets)
    if taken:
        raise ApiError("firewall_already_applied", f"firewall is already applied to {taken.pop()}")
    _refuse_unfit(cloud, targets)
    return {"actions": _set_applied(cloud, record, targets, applied=True)}


async def _remove(cloud: Cloud, record: Record, body: Any) -> dict[str, Any]:
    targets = _targets(cloud, parse(RemoveFrom, body).remove_from)
    explicit = _explicit(cloud, record["id"])
    for target in targets:
        if isinstance(target, int) and target not in explicit and target in _servers(cloud, record):
            raise ApiError(
                "firewall_managed_by_label_selector", f"server {target} is chosen by a label selector"
            )
    return {"actions": _set_applied(cloud, record, targets, applied=False)}


ACTIONS = {"set_rules": _set_rules, "apply_to_resources": _apply, "remove_from_resources": _remove}
