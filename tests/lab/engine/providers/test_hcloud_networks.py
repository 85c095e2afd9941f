"""Private networks: the life of a network, its subnets, and a server in them."""

import asyncio
from typing import Any

import pytest

from lab.engine.provider import ProviderError, Resource
from lab.engine.providers.hcloud.network import parse_subnet
from lab.engine.providers.hcloud.server_net import change_networks, shown_networks
from tests.lab.engine.providers.conftest import Cloud, Play, Stack


async def a_network(stack: Stack) -> tuple[Resource, Resource]:
    network = await stack.create("Network", "net", ipRange="10.0.0.0/16")
    subnet = await stack.create(
        "NetworkSubnet",
        "sub",
        networkId=network.id,
        type="cloud",
        networkZone="eu-central",
        ipRange="10.0.1.0/24",
    )
    return network, subnet


async def a_server(stack: Stack, **wanted: Any) -> Resource:
    return await stack.create("Server", "s", serverType="cx23", image="debian-12", **wanted)


def test_network(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create(
            "Network", "n", name="n", ipRange="10.0.0.0/16", labels={"a": "b"}, deleteProtection=True
        )
        assert made.outputs == {
            "id": made.id, "name": "n", "ipRange": "10.0.0.0/16", "labels": {"a": "b"},
            "deleteProtection": True, "exposeRoutesToVswitch": False,
        }  # fmt: skip
        made = await stack.update(made, name="m", ipRange="10.0.0.0/16", exposeRoutesToVswitch=True)
        assert (made.outputs["name"], made.outputs["labels"]) == ("m", {})
        assert (made.outputs["exposeRoutesToVswitch"], made.outputs["deleteProtection"]) == (True, False)
        found = await stack.diff(made, name="m", ipRange="10.1.0.0/16", exposeRoutesToVswitch=True)
        assert (found.replaces, found.delete_before_replace) == (["ipRange"], True)
        await stack.provider.delete(made)
        assert await stack.refresh(made) is None

    play(scenario)


def test_subnet(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        network, made = await a_network(stack)
        assert made.id == f"{network.id}-10.0.1.0/24"
        assert made.outputs["gateway"] == "10.0.0.1"
        assert "name" not in made.inputs
        refreshed = await stack.refresh(made)
        assert refreshed is not None
        assert refreshed.inputs == made.inputs
        await stack.provider.delete(made)
        assert await stack.refresh(made) is None
        refused = await stack.check(
            made.type, "sub", networkId=1, type="odd", networkZone="eu-central", ipRange="10.0.1.0/24"
        )
        assert "cloud, server, vswitch" in refused.failures[0].reason

    play(scenario)


def test_a_server_in_a_network(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        network, _ = await a_network(stack)
        server = await a_server(stack)
        number = int(server.id)
        made = await stack.create("ServerNetwork", "in", serverId=server.id, networkId=network.id)
        assert made.id == f"{server.id}-{network.id}"
        outputs = dict(made.outputs)
        assert outputs.pop("macAddress").startswith("86:00:")
        assert outputs == {
            "id": made.id, "serverId": number, "networkId": int(network.id), "ip": "10.0.1.1",
            "aliasIps": [],
        }  # fmt: skip
        both = ["10.0.1.9", "10.0.1.8"]
        made = await stack.update(made, serverId=server.id, networkId=network.id, aliasIps=both)
        assert made.outputs["aliasIps"] == both
        turned = await stack.diff(made, serverId=number, networkId=network.id, aliasIps=both[::-1])
        assert not turned.changes
        moved = await stack.diff(made, serverId=number, networkId=network.id, ip="10.0.1.77")
        assert moved.replaces == ["ip"]
        await stack.provider.delete(made)
        await stack.provider.delete(made)
        assert await stack.refresh(made) is None

    play(scenario)


def test_a_server_in_a_subnet(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        network, subnet = await a_network(stack)
        server = await a_server(stack)
        made = await stack.create(
            "ServerNetwork", "in", serverId=int(server.id), subnetId=subnet.id, ip="10.0.1.5"
        )
        assert (made.id, made.outputs["ip"]) == (f"{server.id}-{network.id}", "10.0.1.5")
        assert made.outputs["subnetId"] == subnet.id

    play(scenario)


def test_what_is_busy_is_tried_again(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        network, _ = await a_network(stack)
        server = await a_server(stack)
        number = int(server.id)
        cloud.fault(slow=3)
        cloud.client.servers.get_by_id(number).reboot()
        cloud.fault()
        made = await stack.create("ServerNetwork", "in", serverId=number, networkId=network.id)
        assert made.outputs["ip"] == "10.0.1.1"
        path = f"POST /v1/servers/{number}/actions/attach_to_network"
        asked = [line.rpartition(" ")[2] for line in cloud.requests() if line.startswith(path)]
        assert asked[0] == "423"
        assert asked[-1] == "201"
        other = await stack.create("Server", "t", serverType="cx23", image="debian-12")
        with pytest.raises(ProviderError, match="ip_not_available"):
            await stack.create("ServerNetwork", "in", serverId=other.id, networkId=network.id, ip="10.0.1.1")

    play(scenario)


@pytest.mark.parametrize("news", [{}, {"networkId": 1, "subnetId": "1-10.0.0.0/24"}])
def test_a_network_is_named_in_one_way(play: Play, news: dict[str, Any]) -> None:
    async def scenario(stack: Stack) -> Any:
        return await stack.check("hcloud:index/serverNetwork:ServerNetwork", "in", serverId=7, **news)

    assert "exactly one of" in play(scenario).failures[0].reason


@pytest.mark.parametrize("identifier", ["", "10.0.0.0/24", "1-", "1-10.0.0.7/24", "x-10.0.0.0/24"])
def test_subnet_ids_that_are_none(identifier: str) -> None:
    with pytest.raises(ProviderError, match=r"expected '\$NETWORK_ID-\$SUBNET_IP_RANGE'"):
        parse_subnet(identifier)


def test_inline_networks_of_a_server_follow_what_is_asked(play: Play, cloud: Cloud) -> None:
    """Attached, moved to another address, given aliases, detached."""

    async def scenario(stack: Stack) -> None:
        network, subnet = await a_network(stack)
        number, made = int(network.id), await a_server(stack)

        def apply(*nets: dict[str, Any]) -> list[dict[str, Any]]:
            server = cloud.client.servers.get_by_id(int(made.id))
            change_networks(server, nets)
            return shown_networks(cloud.client.servers.get_by_id(int(made.id)), nets)

        def work() -> None:
            (shown,) = apply({"networkId": number})
            mac = {"macAddress": shown["macAddress"]}
            assert shown == {"networkId": number, "ip": "10.0.1.1", "aliasIps": [], **mac}
            (shown,) = apply({"subnetId": subnet.id, "ip": "10.0.1.5"})
            assert shown == {"subnetId": subnet.id, "ip": "10.0.1.5", "aliasIps": [], **mac}
            (shown,) = apply({"networkId": number, "aliasIps": ["10.0.1.9"]})
            assert shown["aliasIps"] == ["10.0.1.9"]
            assert apply() == []

        await asyncio.to_thread(work)

    play(scenario)


def test_a_server_is_made_with_inline_networks(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        network, _ = await a_network(stack)
        nets = [{"networkId": int(network.id), "ip": "10.0.1.5"}]
        made = await a_server(stack, networks=nets)
        (shown,) = made.outputs["networks"]
        assert (shown["networkId"], shown["ip"]) == (int(network.id), "10.0.1.5")
        same = await stack.diff(made, serverType="cx23", image="debian-12", networks=nets)
        assert not same.changes

    play(scenario)
