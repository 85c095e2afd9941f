"""Each resource's life on the lab's cloud, by the provider's own methods."""

from dataclasses import replace
from typing import Any

import pytest

from lab.engine.provider import UNKNOWN, DiffKind, ProviderError, Resource
from tests.lab.engine.providers.conftest import Cloud, Play, Stack

SERVER = "hcloud:index/server:Server"
PLACEMENT_GROUP = "hcloud:index/placementGroup:PlacementGroup"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} me"


def key(number: int) -> str:
    return KEY.format(str(number).rjust(43, "A"))


def kinds(found: Any) -> dict[str, str]:
    return {path: str(change.kind) for path, change in (found.detailed or {}).items()}


async def is_gone(stack: Stack, resource: Resource) -> bool:
    """Delete a resource twice: the provider is content with what is gone already, but for two kinds."""
    await stack.provider.delete(resource)
    if resource.type in {SERVER, PLACEMENT_GROUP}:
        with pytest.raises(ProviderError, match=r"not found \(not_found\)"):
            await stack.provider.delete(resource)
    else:
        await stack.provider.delete(resource)
    return await stack.refresh(resource) is None


def test_ssh_key(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("SshKey", "me", publicKey=key(1), labels={"a": "b"})
        assert made.id.isdigit()
        assert made.outputs["fingerprint"].count(":") == 15
        assert made.outputs["name"] == made.inputs["name"]
        assert made.inputs["name"].startswith("me-")
        assert len(made.inputs["name"]) == len("me-") + 7
        same = await stack.diff(made, publicKey=key(1), labels={"a": "b"})
        assert not same.changes
        renamed = await stack.update(made, name="mine", publicKey=key(1))
        assert (renamed.outputs["name"], renamed.outputs["labels"]) == ("mine", {})
        replaced = await stack.diff(renamed, name="mine", publicKey=key(2))
        assert kinds(replaced) == {"publicKey": "update-replace"}
        assert replaced.delete_before_replace
        assert await is_gone(stack, renamed)

    play(scenario)


def test_an_automatic_name_is_kept_and_a_successor_can_be_made_first(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("SshKey", "auto", publicKey=key(3))
        again = await stack.check(made.type, "auto", dict(made.inputs), publicKey=key(4))
        assert again.inputs["name"] == made.inputs["name"]
        assert again.inputs["__defaults"] == ["name"]
        found = await stack.provider.diff(made, again.inputs, ())
        assert found.replaces == ["publicKey"]
        assert not found.delete_before_replace
        await stack.provider.delete(made)

    play(scenario)


def test_placement_group(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("PlacementGroup", "g", name="g", type="spread")
        assert made.outputs == {
            "id": made.id, "name": "g", "type": "spread", "labels": {}, "servers": [],
        }  # fmt: skip
        renamed = await stack.update(made, name="h", type="spread", labels={"x": "y"})
        assert (renamed.outputs["name"], renamed.outputs["labels"]) == ("h", {"x": "y"})
        assert await is_gone(stack, renamed)
        refused = await stack.check(made.type, "g", name="g", type="near")
        assert "spread" in refused.failures[0].reason

    play(scenario)


def test_primary_ip(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("PrimaryIp", "ip", name="ip", type="ipv4", location="fsn1")
        assert made.outputs["ipAddress"].startswith("198.18.")
        assert "ipNetwork" not in made.outputs
        assert made.outputs["assigneeId"] == 0
        assert made.inputs["__defaults"] == ["autoDelete", "deleteProtection"]
        protected = await stack.update(made, name="ip2", type="ipv4", location="fsn1", deleteProtection=True)
        assert (protected.outputs["name"], protected.outputs["deleteProtection"]) == ("ip2", True)
        with pytest.raises(ProviderError, match="remove the protection first"):
            await stack.provider.delete(protected)
        moved = await stack.diff(protected, name="ip2", type="ipv4", location="nbg1", deleteProtection=True)
        assert kinds(moved) == {"location": "update-replace"}
        free = await stack.update(protected, name="ip2", type="ipv4", location="fsn1")
        assert await is_gone(stack, free)

    play(scenario)


def test_an_ipv6_primary_ip_shows_its_network(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("PrimaryIp", "ip6", type="ipv6", location="fsn1")
        assert made.outputs["ipNetwork"] == f"{made.outputs['ipAddress']}/64"
        assert await is_gone(stack, made)

    play(scenario)


@pytest.mark.parametrize(
    "news", [{"type": "ipv4"}, {"type": "ipv4", "location": "fsn1", "assigneeId": 1}, {"location": "fsn1"}]
)
def test_a_primary_ip_is_somewhere_and_of_a_type(play: Play, news: dict[str, Any]) -> None:
    checked = play(lambda stack: stack.check("hcloud:index/primaryIp:PrimaryIp", "ip", **news))
    assert checked.failures


RULES: list[dict[str, Any]] = [
    {"direction": "in", "protocol": "tcp", "port": "22", "sourceIps": ["0.0.0.0/0", "::/0"]},
    {"direction": "in", "protocol": "icmp", "sourceIps": ["203.0.113.7"], "description": "ping"},
]


def test_firewall(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("Firewall", "fw", name="fw", rules=RULES)
        refreshed = await stack.refresh(made)
        assert refreshed is not None
        assert refreshed.inputs == made.inputs
        assert made.outputs["rules"][1]["sourceIps"] == ["203.0.113.7/32"]
        turned = [{**rule, "sourceIps": rule["sourceIps"][::-1]} for rule in RULES[::-1]]
        assert not (await stack.diff(made, name="fw", rules=turned)).changes
        fewer = await stack.diff(made, name="fw", rules=RULES[:1])
        assert set(kinds(fewer).values()) == {"delete"}
        assert not fewer.replaces
        updated = await stack.update(made, name="fw2", rules=RULES[:1])
        assert [rule["port"] for rule in updated.outputs["rules"]] == ["22"]
        # someone adds a rule by hand: a refresh shows it, the next update takes it away
        bound = cloud.client.firewalls.get_by_id(int(made.id))
        assert bound.name == "fw2"
        assert await is_gone(stack, updated)

    play(scenario)


def test_a_firewalls_networks_are_checked(play: Play) -> None:
    rule = {"direction": "in", "protocol": "icmp", "sourceIps": ["203.0.113.7/24", UNKNOWN]}
    checked = play(lambda stack: stack.check("hcloud:index/firewall:Firewall", "f", rules=[rule]))
    (failure,) = checked.failures
    assert failure.property == "rules[0].sourceIps[0]"
    assert "203.0.113.7/24" in failure.reason


async def server(stack: Stack, name: str, /, **more: Any) -> Resource:
    wanted = {"name": name, "serverType": "cx23", "image": "debian-12", "location": "fsn1", **more}
    return await stack.create("Server", name, **wanted)


def test_server_with_everything(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        ssh_key = await stack.create("SshKey", "root", publicKey=key(5))
        group = await stack.create("PlacementGroup", "spread", type="spread")
        address = await stack.create("PrimaryIp", "front", type="ipv4", location="fsn1")
        firewall = await stack.create("Firewall", "door", rules=RULES[:1])
        made = await server(
            stack, "full", sshKeys=[ssh_key.id], userData="#cloud-config\n", firewallIds=[firewall.id],
            placementGroupId=group.id, labels={"role": "web"},
            publicNets=[{"ipv4": int(address.id), "ipv6Enabled": False}],
        )  # fmt: skip
        assert made.inputs["firewallIds"] == [int(firewall.id)]
        assert made.inputs["publicNets"][0]["ipv4Enabled"] is True
        outputs = made.outputs
        assert outputs["ipv4Address"] == address.outputs["ipAddress"]
        assert "ipv6Address" not in outputs
        assert outputs["status"] == "running"
        assert outputs["userData"] == "wK9leoEi2xH7hUH5D+q3hxwsPXE="
        assert (outputs["placementGroupId"], outputs["firewallIds"]) == (int(group.id), [int(firewall.id)])
        refreshed = await stack.refresh(made)
        assert refreshed is not None
        assert refreshed.inputs == made.inputs
        # what is in use gives way in the right order; a primary IP is taken from a running server
        await stack.provider.delete(address)
        await stack.provider.delete(firewall)
        assert cloud.client.servers.get_by_id(int(made.id)).status == "running"
        for resource in (made, group, ssh_key):
            assert await is_gone(stack, resource)

    play(scenario)


def test_server_updates_in_place(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        firewalls = [await stack.create("Firewall", f"f{n}", rules=RULES[:1]) for n in range(2)]
        made = await server(stack, "plain", firewallIds=[firewalls[0].id])
        assert made.outputs["ipv6Address"] == f"{made.outputs['ipv6Network'].removesuffix('/64')}1"
        base = {"image": "debian-12", "location": "fsn1"}
        made = await stack.update(
            made, name="renamed", serverType="cx33", labels={"a": "b"}, backups=True, rebuildProtection=True,
            deleteProtection=True, firewallIds=[firewalls[1].id], **base,
        )  # fmt: skip
        outputs = made.outputs
        assert (outputs["name"], outputs["serverType"], outputs["labels"]) == ("renamed", "cx33", {"a": "b"})
        assert (outputs["backups"], outputs["deleteProtection"], outputs["rebuildProtection"]) == (
            True, True, True
        )  # fmt: skip
        assert outputs["firewallIds"] == [int(firewalls[1].id)]
        assert outputs["status"] == "running"
        with pytest.raises(ProviderError, match="protected"):
            await stack.provider.delete(made)
        # what is no longer asked for stays where the real provider lets it
        made = await stack.update(made, name="renamed", serverType="cx33", shutdownBeforeDeletion=True)
        assert (made.outputs["backups"], made.outputs["firewallIds"]) == (False, [int(firewalls[1].id)])
        for resource in (made, *firewalls):
            assert await is_gone(stack, resource)

    play(scenario)


@pytest.mark.parametrize(
    ("name", "value"),
    [("image", "debian-13"), ("location", "nbg1"), ("userData", "other"), ("sshKeys", ["k"])],
)
def test_what_replaces_a_server(play: Play, name: str, value: Any) -> None:
    inputs = {
        "name": "s", "serverType": "cx23", "image": "debian-12", "location": "fsn1", "userData": "data",
        "sshKeys": ["me"],
    }  # fmt: skip

    async def scenario(stack: Stack) -> None:
        old = Resource(urn="urn:pulumi:s::p::t::s", type="hcloud:index/server:Server", id="1", inputs=inputs)
        found = await stack.diff(old, **{**inputs, name: value})
        assert found.replaces == [name]
        assert found.delete_before_replace
        assert {change.removesuffix("-replace") for change in kinds(found).values()} <= {"update", "add"}

    play(scenario)


def test_public_addresses_change_on_a_server_that_is_off_meanwhile(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        first, second = [
            await stack.create("PrimaryIp", f"a{n}", type="ipv4", location="fsn1") for n in range(2)
        ]
        base = {"name": "moves", "serverType": "cx23", "image": "debian-12", "location": "fsn1"}
        made = await server(stack, "moves", publicNets=[{"ipv4": first.id, "ipv6Enabled": False}])
        made = await stack.update(made, **base, publicNets=[{"ipv4": second.id, "ipv6Enabled": False}])
        assert made.outputs["ipv4Address"] == second.outputs["ipAddress"]
        made = await stack.update(made, **base, publicNets=[{"ipv4Enabled": False, "ipv6Enabled": True}])
        assert "ipv4Address" not in made.outputs
        assert made.outputs["ipv6Network"].endswith("/64")
        assert made.outputs["status"] == "running"
        with pytest.raises(ProviderError, match="this operation is not allowed: ipv4_enabled = false"):
            await stack.update(made, **base, publicNets=[{"ipv4Enabled": False, "ipv4": first.id}])
        for resource in (made, first, second):
            assert await is_gone(stack, resource)

    play(scenario)


def test_a_running_server_is_not_taken_out_of_its_placement_group(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        group = await stack.create("PlacementGroup", "stay", type="spread")
        made = await server(stack, "grouped", placementGroupId=group.id)
        with pytest.raises(ProviderError, match="removing a running server from a placement group"):
            await stack.update(made, name="grouped", serverType="cx23")
        for resource in (made, group):
            assert await is_gone(stack, resource)

    play(scenario)


def test_firewall_attachment(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        firewall = await stack.create("Firewall", "apart", rules=RULES[:1])
        servers = [await server(stack, f"attached-{n}") for n in range(2)]
        made = await stack.create(
            "FirewallAttachment", "att", firewallId=firewall.id, serverIds=[servers[0].id]
        )
        assert "name" not in made.inputs
        assert made.id == firewall.id
        assert made.outputs["serverIds"] == [int(servers[0].id)]
        made = await stack.update(made, firewallId=firewall.id, serverIds=[one.id for one in servers])
        assert sorted(made.outputs["serverIds"]) == [int(one.id) for one in servers]
        turned = [one.id for one in servers[::-1]]
        assert not (await stack.diff(made, firewallId=firewall.id, serverIds=turned)).changes
        await stack.provider.delete(made)
        assert (await stack.refresh(firewall)).outputs["applyTos"] == []
        for resource in (firewall, *servers):
            assert await is_gone(stack, resource)
        refused = await stack.check(made.type, "att", firewallId=1)
        assert "no resources referenced" in refused.failures[0].reason

    play(scenario)


def test_drift_shows_as_a_difference(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        made = await server(stack, "drifts", labels={"a": "b"})
        cloud.client.servers.get_by_id(int(made.id)).update(labels={"a": "c"})
        seen = await stack.refresh(made)
        assert seen is not None
        news = {"name": "drifts", "serverType": "cx23", "image": "debian-12", "location": "fsn1"}
        found = await stack.diff(seen, **news, labels={"a": "b"})
        assert found.detailed["labels.a"].kind == DiffKind.UPDATE
        assert (await stack.update(seen, **news, labels={"a": "b"})).outputs["labels"] == {"a": "b"}
        assert await is_gone(stack, made)

    play(scenario)


def test_inputs_without_defaults_are_the_same_as_with_them(play: Play) -> None:
    """The real provider's inputs, in a state that was imported."""

    async def scenario(stack: Stack) -> None:
        made = await server(stack, "bare")
        bare = {name: value for name, value in made.inputs.items() if name not in made.inputs["__defaults"]}
        imported = replace(made, inputs={**bare, "__defaults": []})
        assert not (await stack.provider.diff(imported, made.inputs, ())).changes
        assert await is_gone(stack, made)

    play(scenario)
