"""Firewalls, and what they are applied to."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any, Final

from hcloud import APIException, Client
from hcloud.firewalls import Firewall as CloudFirewall
from hcloud.firewalls import FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.servers import Server

from lab.engine.provider import CheckFailure
from lab.engine.providers.hcloud.resource import Kind, Made, changed, patiently, settle

__all__ = ["Firewall", "FirewallAttachment"]

_NOT_APPLIED: Final = "firewall_resource_not_found"
_APPLIED: Final = "firewall_already_applied"
_RULE_LISTS: Final = ("sourceIps", "destinationIps")


class Firewall(Kind):
    """hcloud:index/firewall:Firewall."""

    token = "hcloud:index/firewall:Firewall"  # noqa: S105
    noun = "firewall"
    collection = "firewalls"
    known = frozenset({"name", "labels", "rules", "applyTos"})
    computed = frozenset({"labels", "applyTos"})
    kept = frozenset({"labels", "applyTos"})
    sets = frozenset({"rules", "applyTos"})

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """Networks must be networks: no bits right of the mask."""
        rules = inputs.get("rules")
        return [
            CheckFailure(property=f"rules[{index}].{name}[{place}]", reason=reason)
            for index, rule in enumerate(rules if isinstance(rules, list) else ())
            for name in _RULE_LISTS
            for place, text in enumerate(_list(rule, name))
            if (reason := _refused_network(text))
        ]

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Make it."""
        firewalls: Any = client.firewalls  # its annotation of labels is wrong
        made = firewalls.create(
            name=inputs["name"],
            labels=dict(inputs.get("labels") or {}),
            rules=[_rule(rule) for rule in inputs.get("rules") or []],
            resources=[_resource(target) for target in inputs.get("applyTos") or []] or None,
        )
        return Made(id=str(made.firewall.id), finish=lambda: settle(made.actions or []))

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look it up."""
        found: Any = client.firewalls.get_by_id(int(identifier))
        return {
            "name": found.name,
            "labels": dict(found.labels or {}),
            "rules": [_shown(rule) for rule in found.rules or []],
            "applyTos": [_shown_target(target) for target in found.applied_to or []],
        }

    def update(self, client: Client, identifier: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
        """Change name, labels, rules, and what it is applied to."""
        firewall = client.firewalls.get_by_id(int(identifier))
        if changed(old, new, "name", "labels"):
            firewall.update(name=new["name"], labels=dict(new.get("labels") or {}))
        if changed(old, new, "rules"):
            settle(firewall.set_rules([_rule(rule) for rule in new.get("rules") or []]))
        if changed(old, new, "applyTos"):
            before = [_resource(target) for target in old.get("applyTos") or []]
            after = [_resource(target) for target in new.get("applyTos") or []]
            _apply(client, int(identifier), before, after)

    def delete(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> None:
        """Take it off everything, then remove it."""
        firewall: Any = client.firewalls.get_by_id(int(identifier))
        _apply(client, firewall.id, list(firewall.applied_to or []), [])
        patiently(("conflict", "resource_in_use"), firewall.delete, tries=10)


class FirewallAttachment(Kind):
    """hcloud:index/firewallAttachment:FirewallAttachment; at most one for each firewall."""

    token = "hcloud:index/firewallAttachment:FirewallAttachment"  # noqa: S105
    noun = "firewall attachment"
    required = ("firewallId",)
    known = frozenset({"firewallId", "serverIds", "labelSelectors"})
    replaces = frozenset({"firewallId"})
    sets = frozenset({"serverIds", "labelSelectors"})

    def problems(self, inputs: Mapping[str, Any]) -> Sequence[CheckFailure]:
        """It attaches to something."""
        if inputs.get("serverIds") or inputs.get("labelSelectors"):
            return ()
        reason = "no resources referenced: give serverIds or labelSelectors"
        return [CheckFailure(property="serverIds", reason=reason)]

    def create(self, client: Client, inputs: Mapping[str, Any]) -> Made:
        """Apply the firewall."""
        number = int(inputs["firewallId"])
        try:
            actions = client.firewalls.apply_to_resources(CloudFirewall(id=number), _targets(inputs))
        except APIException as error:
            if error.code != _APPLIED:
                raise
            actions = []
        return Made(id=str(number), finish=lambda: settle(actions))

    def read(self, client: Client, identifier: str, _inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Look up what the firewall is applied to."""
        found: Any = client.firewalls.get_by_id(int(identifier))
        shown = [_shown_target(target) for target in found.applied_to or []]
        servers = [target["server"] for target in shown if "server" in target]
        selectors = [target["labelSelector"] for target in shown if "labelSelector" in target]
        return {"firewallId": found.id, "serverIds": servers, "labelSelectors": selectors}

    def update(
        self,
        client: Client,
        identifier: str,
        old: Mapping[str, Any],  # noqa: ARG002 - what is applied counts, not what was asked
        new: Mapping[str, Any],
    ) -> None:
        """Apply it to what it should be applied to, and to nothing else."""
        found: Any = client.firewalls.get_by_id(int(identifier))
        _apply(client, found.id, list(found.applied_to or []), _targets(new))

    def delete(self, client: Client, identifier: str, inputs: Mapping[str, Any]) -> None:
        """Take the firewall off."""
        _apply(client, int(identifier), _targets(inputs), [])


def _apply(
    client: Client, number: int, before: Sequence[FirewallResource], after: Sequence[FirewallResource]
) -> None:
    """Go from one set of targets to another: off the old ones first, as the real provider does."""
    firewall = CloudFirewall(id=number)
    old, new = ([target.to_payload() for target in targets] for targets in (before, after))
    less = [target for target in before if target.to_payload() not in new]
    more = [target for target in after if target.to_payload() not in old]
    if less:
        try:
            settle(client.firewalls.remove_from_resources(firewall, less))
        except APIException as error:
            if error.code != _NOT_APPLIED:
                raise
    if more:
        settle(client.firewalls.apply_to_resources(firewall, more))


def _targets(inputs: Mapping[str, Any]) -> list[FirewallResource]:
    servers = [_resource({"server": number}) for number in inputs.get("serverIds") or []]
    return servers + [_resource({"labelSelector": text}) for text in inputs.get("labelSelectors") or []]


def _resource(target: Mapping[str, Any]) -> FirewallResource:
    if target.get("labelSelector"):
        selector = FirewallResourceLabelSelector(selector=target["labelSelector"])
        return FirewallResource(type=FirewallResource.TYPE_LABEL_SELECTOR, label_selector=selector)
    return FirewallResource(type=FirewallResource.TYPE_SERVER, server=Server(id=int(target["server"])))


def _shown_target(target: Any) -> dict[str, Any]:
    if target.type == FirewallResource.TYPE_LABEL_SELECTOR:
        return {"labelSelector": target.label_selector.selector}
    return {"server": target.server.id}


def _rule(rule: Mapping[str, Any]) -> FirewallRule:
    return FirewallRule(
        direction=rule["direction"],
        protocol=rule["protocol"],
        port=rule.get("port") or None,
        source_ips=[str(ip_network(text)) for text in _list(rule, "sourceIps")],
        destination_ips=[str(ip_network(text)) for text in _list(rule, "destinationIps")],
        description=rule.get("description") or None,
    )


def _shown(rule: FirewallRule) -> dict[str, Any]:
    shown = {
        "direction": rule.direction, "protocol": rule.protocol, "port": rule.port,
        "sourceIps": rule.source_ips, "destinationIps": rule.destination_ips,
        "description": rule.description,
    }  # fmt: skip
    return {name: value for name, value in shown.items() if value}


def _list(rule: Any, name: str) -> list[Any]:
    value = rule.get(name) if isinstance(rule, Mapping) else None
    return list(value) if isinstance(value, list) else []


def _refused_network(text: Any) -> str | None:
    if not isinstance(text, str):
        return None
    try:
        ip_network(text)
    except ValueError as error:
        return f"{error}; right would be an address with a mask, as 203.0.113.0/24"
    return None
