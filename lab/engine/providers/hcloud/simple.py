"""SSH keys, placement groups, primary IPs, firewalls."""

from collections.abc import Mapping, Sequence
from typing import Any

from hcloud import Client
from hcloud.firewalls import Firewall as CloudFirewall
from hcloud.firewalls import FirewallRule
from hcloud.locations import Location

from lab.engine.providers.hcloud.resource import Kind, changed

__all__ = ["Firewall", "PlacementGroup", "PrimaryIp", "SshKey"]


class SshKey(Kind):
    """hcloud:index/sshKey:SshKey."""

    token = "hcloud:index/sshKey:SshKey"  # noqa: S105
    noun = "SSH key"
    required = ("publicKey",)
    known = frozenset({"name", "publicKey", "labels"})
    replaces = frozenset({"publicKey"})

    def create(self, client: Client, inputs: Mapping[str, Any]) -> str:
        """Make it."""
        made = client.ssh_keys.create(
            name=inputs["name"], public_key=inputs["publicKey"], labels=dict(inputs.get("labels") or {})
        )
        return str(made.id)

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found = client.ssh_keys.get_by_id(int(identifier))
        return {
            "name": found.name,
            "publicKey": found.public_key,
            "fingerprint": found.fingerprint,
            "labels": dict(found.labels or {}),
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name and labels."""
        if changed(old, new, "name", "labels"):
            client.ssh_keys.get_by_id(int(identifier)).update(
                name=new["name"], labels=dict(new.get("labels") or {})
            )

    def delete(self, client: Client, identifier: str) -> None:
        """Remove it."""
        client.ssh_keys.get_by_id(int(identifier)).delete()


class PlacementGroup(Kind):
    """hcloud:index/placementGroup:PlacementGroup."""

    token = "hcloud:index/placementGroup:PlacementGroup"  # noqa: S105
    noun = "placement group"
    required = ("type",)
    known = frozenset({"name", "type", "labels"})
    replaces = frozenset({"type"})

    def create(self, client: Client, inputs: Mapping[str, Any]) -> str:
        """Make it."""
        made = client.placement_groups.create(
            name=inputs["name"], type=inputs["type"], labels=dict(inputs.get("labels") or {})
        )
        if made.action is not None:
            made.action.wait_until_finished()
        return str(made.placement_group.id)

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found = client.placement_groups.get_by_id(int(identifier))
        return {
            "name": found.name,
            "type": found.type,
            "labels": dict(found.labels or {}),
            "servers": list(found.servers or []),
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name and labels."""
        if changed(old, new, "name", "labels"):
            client.placement_groups.get_by_id(int(identifier)).update(
                name=new["name"], labels=dict(new.get("labels") or {})
            )

    def delete(self, client: Client, identifier: str) -> None:
        """Remove it."""
        client.placement_groups.get_by_id(int(identifier)).delete()


class PrimaryIp(Kind):
    """hcloud:index/primaryIp:PrimaryIp."""

    token = "hcloud:index/primaryIp:PrimaryIp"  # noqa: S105
    noun = "primary IP"
    required = ("type",)
    known = frozenset(
        {"name", "type", "assigneeType", "assigneeId", "autoDelete", "location", "labels", "deleteProtection"}
    )
    replaces = frozenset({"type", "location", "assigneeType"})
    defaults = {"deleteProtection": False, "autoDelete": False}  # noqa: RUF012 - declared as a class variable

    def create(self, client: Client, inputs: Mapping[str, Any]) -> str:
        """Reserve an address."""
        place = inputs.get("location")
        made = client.primary_ips.create(
            type=inputs["type"],
            name=inputs["name"],
            location=Location(name=place) if place else None,
            assignee_type=inputs.get("assigneeType", "server"),
            assignee_id=inputs.get("assigneeId"),
            auto_delete=inputs["autoDelete"],
            labels=dict(inputs.get("labels") or {}),
        )
        if made.action is not None:
            made.action.wait_until_finished()
        if inputs["deleteProtection"]:
            made.primary_ip.change_protection(delete=True).wait_until_finished()
        return str(made.primary_ip.id)

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found = client.primary_ips.get_by_id(int(identifier))
        return {
            "name": found.name,
            "type": found.type,
            "ipAddress": found.ip,
            "ipNetwork": "" if found.type == "ipv4" else found.ip,
            "assigneeType": found.assignee_type,
            "assigneeId": found.assignee_id or 0,
            "autoDelete": found.auto_delete,
            "location": found.location.name if found.location else "",
            "labels": dict(found.labels or {}),
            "deleteProtection": bool((found.protection or {}).get("delete")),
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name, labels, auto_delete, protection."""
        address = client.primary_ips.get_by_id(int(identifier))
        if changed(old, new, "name", "labels", "autoDelete"):
            address.update(
                name=new["name"], labels=dict(new.get("labels") or {}), auto_delete=new["autoDelete"]
            )
        if changed(old, new, "deleteProtection"):
            address.change_protection(delete=new["deleteProtection"]).wait_until_finished()

    def delete(self, client: Client, identifier: str) -> None:
        """Give the address back, unassigned first as the API wants it."""
        address = client.primary_ips.get_by_id(int(identifier))
        if address.assignee_id:
            server = client.servers.get_by_id(address.assignee_id)
            was_on = server.status != "off"
            if was_on:
                server.power_off().wait_until_finished()
            address.unassign().wait_until_finished()
            if was_on:
                server.power_on().wait_until_finished()
        address.delete()


class Firewall(Kind):
    """hcloud:index/firewall:Firewall."""

    token = "hcloud:index/firewall:Firewall"  # noqa: S105
    noun = "firewall"
    known = frozenset({"name", "labels", "rules", "applyTos"})

    def create(self, client: Client, inputs: Mapping[str, Any]) -> str:
        """Make it."""
        made = client.firewalls.create(
            name=inputs["name"],
            labels=dict(inputs.get("labels") or {}),
            rules=_rules(inputs.get("rules") or []),
        )
        for action in made.actions or []:
            action.wait_until_finished()
        return str(made.firewall.id)

    def read(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up; rules keep the order they were given in."""
        found: CloudFirewall = client.firewalls.get_by_id(int(identifier))
        return {
            "name": found.name,
            "labels": dict(found.labels or {}),
            "rules": _in_order([_shown(rule) for rule in found.rules or []], inputs.get("rules") or []),
            "applyTos": [
                {"server": target.server.id, "labelSelector": ""} for target in found.applied_to or []
            ],
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name, labels, rules."""
        firewall = client.firewalls.get_by_id(int(identifier))
        if changed(old, new, "name", "labels"):
            firewall.update(name=new["name"], labels=dict(new.get("labels") or {}))
        if changed(old, new, "rules"):
            for action in firewall.set_rules(_rules(new.get("rules") or [])):
                action.wait_until_finished()

    def delete(self, client: Client, identifier: str) -> None:
        """Remove it."""
        client.firewalls.get_by_id(int(identifier)).delete()


def _rules(rules: Sequence[Mapping[str, Any]]) -> list[FirewallRule]:
    return [
        FirewallRule(
            direction=rule["direction"],
            protocol=rule["protocol"],
            port=rule.get("port"),
            source_ips=list(rule.get("sourceIps") or []),
            destination_ips=list(rule.get("destinationIps") or []),
            description=rule.get("description"),
        )
        for rule in rules
    ]


def _shown(rule: FirewallRule) -> dict[str, Any]:
    shown: dict[str, Any] = {"direction": rule.direction, "protocol": rule.protocol}
    for name, value in (
        ("port", rule.port),
        ("sourceIps", rule.source_ips),
        ("destinationIps", rule.destination_ips),
        ("description", rule.description),
    ):
        if value:
            shown[name] = value
    return shown


def _in_order(rules: list[dict[str, Any]], asked: Sequence[Any]) -> list[dict[str, Any]]:
    """A firewall's rules are a set; show those that were asked for where they were asked for."""
    wanted = [_without_defaults(rule) for rule in asked]
    kept = [rule for rule in wanted if rule in rules]
    return kept + [rule for rule in rules if rule not in wanted]


def _without_defaults(rule: Any) -> dict[str, Any]:
    return {name: value for name, value in rule.items() if value and not name.startswith("__")}
