"""Firewalls: rules and what they are applied to. That they are enforced, the tests with hosts show."""

from typing import Any

import pytest
from hcloud.firewalls import Firewall, FirewallResource, FirewallResourceLabelSelector, FirewallRule
from hcloud.servers import Server, ServerCreatePublicNetwork

from tests.lab.cloud.world import LabCloud, refused, unique

SSH = FirewallRule(direction="in", protocol="tcp", port="22", source_ips=["0.0.0.0/0", "::/0"])


def at(server: Any) -> FirewallResource:
    return FirewallResource(type="server", server=Server(id=server.id))


def labelled(selector: str) -> FirewallResource:
    return FirewallResource(type="label_selector", label_selector=FirewallResourceLabelSelector(selector))


def settle(actions: Any) -> None:
    for action in actions:
        action.wait_until_finished()


def test_the_life_of_a_firewall(cloud: LabCloud) -> None:
    client, server = cloud.client, cloud.server()
    made = client.firewalls.create(name="web", rules=[SSH], labels={"a": "b"}, resources=[at(server)])  # type: ignore[arg-type]
    settle(made.actions)
    firewall = client.firewalls.get_by_id(made.firewall.id)
    (rule,) = firewall.rules
    assert (rule.direction, rule.protocol, rule.port, rule.source_ips, rule.destination_ips) == (
        "in", "tcp", "22", ["0.0.0.0/0", "::/0"], [],
    )  # fmt: skip
    assert [applied.server.id for applied in firewall.applied_to] == [server.id]
    shown = client.servers.get_by_id(server.id).public_net.firewalls
    assert [(each.firewall.id, each.status) for each in shown] == [(firewall.id, "applied")]
    refused("uniqueness_error", lambda: client.firewalls.create(name="web"))
    settle(firewall.set_rules([]))
    changed = firewall.update(name="other", labels={})
    assert (changed.name, changed.rules, changed.labels) == ("other", [], {})
    refused("resource_in_use", firewall.delete)
    settle(firewall.remove_from_resources([at(server)]))
    assert client.firewalls.get_by_id(firewall.id).applied_to == []
    settle(firewall.apply_to_resources([at(server)]))
    refused("firewall_already_applied", lambda: firewall.apply_to_resources([at(server)]))
    server.delete().wait_until_finished()
    firewall.delete()
    refused("not_found", lambda: client.firewalls.get_by_id(firewall.id))


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ({"protocol": "tcp", "source_ips": ["::/0"]}, "rules.0.port"),
        ({"protocol": "udp", "port": "0", "source_ips": ["::/0"]}, "rules.0.port"),
        ({"protocol": "tcp", "port": "90-80", "source_ips": ["::/0"]}, "rules.0.port"),
        ({"protocol": "tcp", "port": "65536", "source_ips": ["::/0"]}, "rules.0.port"),
        ({"protocol": "icmp", "port": "22", "source_ips": ["::/0"]}, "rules.0.port"),
        ({"protocol": "tcp", "port": "22", "source_ips": []}, "rules.0.source_ips"),
        ({"protocol": "tcp", "port": "22", "source_ips": ["10.0.0.1/8"]}, "rules.0.source_ips.0"),
        ({"protocol": "tcp", "port": "22", "source_ips": ["here"]}, "rules.0.source_ips.0"),
        ({"protocol": "sctp", "source_ips": ["::/0"]}, "rules.0.protocol"),
        ({"direction": "out", "protocol": "icmp", "source_ips": ["::/0"]}, "rules.0.destination_ips"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_field(
    cloud: LabCloud, rule: dict[str, Any], field: str
) -> None:
    body = {"name": unique("fw"), "rules": [{"direction": "in", **rule}]}
    answer = cloud.ask("POST", "/firewalls", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_input")
    assert [found["name"] for found in answer.json()["error"]["details"]["fields"]] == [field]


def test_fifty_rules_at_most(cloud: LabCloud) -> None:
    firewall = cloud.client.firewalls.create(name=unique("fw"), rules=[SSH] * 50).firewall
    refused("invalid_input", lambda: firewall.set_rules([SSH] * 51))


def test_a_server_is_made_with_firewalls(cloud: LabCloud) -> None:
    firewall = cloud.client.firewalls.create(name=unique("fw"), rules=[SSH]).firewall
    server = cloud.server(firewalls=[firewall])
    assert [each.firewall.id for each in server.public_net.firewalls] == [firewall.id]
    refused("not_found", lambda: cloud.create(firewalls=[Firewall(id=999999)]))


def test_what_a_firewall_cannot_be_applied_to(cloud: LabCloud) -> None:
    client = cloud.client
    firewall = client.firewalls.create(name=unique("fw")).firewall
    ghost = Server(id=999999)
    refused("firewall_resource_not_found", lambda: firewall.apply_to_resources([at(ghost)]))
    refused("firewall_resource_not_found", lambda: firewall.remove_from_resources([at(ghost)]))
    refused("firewall_resource_not_found", lambda: client.firewalls.create(name="x", resources=[at(ghost)]))
    server = cloud.off()
    refused(
        "server_already_added",
        lambda: client.firewalls.create(name="x", resources=[at(server), at(server)]),
    )
    inner = cloud.off(public_net=ServerCreatePublicNetwork(enable_ipv4=False, enable_ipv6=False))
    refused("private_net_only_server", lambda: firewall.apply_to_resources([at(inner)]))
    for _ in range(5):
        settle(client.firewalls.create(name=unique("fw"), resources=[at(server)]).actions)
    refused("resource_limit_exceeded", lambda: firewall.apply_to_resources([at(server)]))


def test_a_firewall_follows_labels(cloud: LabCloud) -> None:
    client = cloud.client
    first = cloud.server(labels={"role": "web"})
    made = client.firewalls.create(name=unique("fw"), rules=[SSH], resources=[labelled("role=web")])
    settle(made.actions)
    second = cloud.server(labels={"role": "web"})

    def applied() -> set[int]:
        (resource,) = client.firewalls.get_by_id(made.firewall.id).applied_to
        assert resource.label_selector.selector == "role=web"
        return {each.server.id for each in resource.applied_to_resources}

    assert applied() == {first.id, second.id}
    assert [each.firewall.id for each in second.public_net.firewalls] == [made.firewall.id]
    refused("firewall_managed_by_label_selector", lambda: made.firewall.remove_from_resources([at(second)]))
    second.update(labels={})
    assert applied() == {first.id}
    refused("firewall_already_applied", lambda: made.firewall.apply_to_resources([labelled("role=web")]))
    refused("resource_in_use", made.firewall.delete)
    settle(made.firewall.remove_from_resources([labelled("role=web")]))
    assert client.servers.get_by_id(first.id).public_net.firewalls == []
    refused("invalid_input", lambda: made.firewall.apply_to_resources([labelled("role=(")]))
