"""Private networks: the life of a network, its subnets, and a server in them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hcloud import Client

from lab.engine.provider import ProviderError, Resource
from lab.engine.providers import PROVIDERS
from lab.engine.providers.hcloud.network import parse_subnet
from lab.engine.providers.hcloud.server_net import change_networks, shown_networks
from tests.lab.engine.providers.conftest import TOKEN, Stack
from tests.lab.engine.providers.networks_api import NetworksApi, networks_api

Scenario = Callable[[Stack, NetworksApi], Awaitable[Any]]
Play = Callable[[Scenario], Any]


@pytest.fixture
def play() -> Iterator[Play]:
    with networks_api() as api:

        def run(scenario: Scenario) -> Any:
            async def main() -> Any:
                provider = PROVIDERS["hcloud"]()
                await provider.configure({"token": TOKEN, "endpoint": api.endpoint})
                try:
                    return await scenario(Stack(provider), api)
                finally:
                    await provider.close()

            return asyncio.run(main())

        yield run


async def a_network(stack: Stack) -> tuple[Resource, Resource]:
    network = await stack.create("Network", "net", name="net", ipRange="10.0.0.0/16")
    subnet = await stack.create(
        "NetworkSubnet",
        "sub",
        networkId=network.id,
        type="cloud",
        networkZone="eu-central",
        ipRange="10.0.1.0/24",
    )
    return network, subnet


def test_network(play: Play) -> None:
    async def scenario(stack: Stack, api: NetworksApi) -> None:
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
    async def scenario(stack: Stack, api: NetworksApi) -> None:
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
    async def scenario(stack: Stack, api: NetworksApi) -> None:
        network, _ = await a_network(stack)
        made = await stack.create("ServerNetwork", "in", serverId="7", networkId=network.id)
        assert made.id == f"7-{network.id}"
        assert made.outputs == {
            "id": made.id, "serverId": 7, "networkId": int(network.id), "ip": "10.0.1.2", "aliasIps": [],
            "macAddress": "86:00:00:00:00:01",
        }  # fmt: skip
        made = await stack.update(made, serverId="7", networkId=network.id, aliasIps=["10.0.1.9", "10.0.1.8"])
        assert made.outputs["aliasIps"] == ["10.0.1.9", "10.0.1.8"]
        turned = await stack.diff(made, serverId=7, networkId=network.id, aliasIps=["10.0.1.8", "10.0.1.9"])
        assert not turned.changes
        moved = await stack.diff(made, serverId=7, networkId=network.id, ip="10.0.1.77")
        assert moved.replaces == ["ip"]
        await stack.provider.delete(made)
        await stack.provider.delete(made)
        assert await stack.refresh(made) is None

    play(scenario)


def test_a_server_in_a_subnet(play: Play) -> None:
    async def scenario(stack: Stack, api: NetworksApi) -> None:
        network, subnet = await a_network(stack)
        made = await stack.create("ServerNetwork", "in", serverId=7, subnetId=subnet.id, ip="10.0.1.5")
        assert (made.id, made.outputs["ip"]) == (f"7-{network.id}", "10.0.1.5")
        assert made.outputs["subnetId"] == subnet.id

    play(scenario)


def test_what_is_busy_is_tried_again(play: Play) -> None:
    async def scenario(stack: Stack, api: NetworksApi) -> None:
        network, _ = await a_network(stack)
        api.refuse = [("locked", 423)]
        made = await stack.create("ServerNetwork", "in", serverId=7, networkId=network.id)
        assert made.outputs["ip"] == "10.0.1.2"
        assert sum(call.endswith("attach_to_network") for call in api.calls) == 2
        api.refuse = [("ip_not_available", 422)]
        with pytest.raises(ProviderError, match="ip_not_available"):
            await stack.create("ServerNetwork", "in", serverId=7, networkId=network.id, ip="10.0.1.2")

    play(scenario)


@pytest.mark.parametrize("news", [{}, {"networkId": 1, "subnetId": "1-10.0.0.0/24"}])
def test_a_network_is_named_in_one_way(play: Play, news: dict[str, Any]) -> None:
    async def scenario(stack: Stack, api: NetworksApi) -> Any:
        return await stack.check("hcloud:index/serverNetwork:ServerNetwork", "in", serverId=7, **news)

    assert "exactly one of" in play(scenario).failures[0].reason


@pytest.mark.parametrize("identifier", ["", "10.0.0.0/24", "1-", "1-10.0.0.7/24", "x-10.0.0.0/24"])
def test_subnet_ids_that_are_none(identifier: str) -> None:
    with pytest.raises(ProviderError, match=r"expected '\$NETWORK_ID-\$SUBNET_IP_RANGE'"):
        parse_subnet(identifier)


def test_inline_networks_of_a_server_follow_what_is_asked(play: Play) -> None:
    """Attached, moved to another address, given aliases, detached."""

    async def scenario(stack: Stack, api: NetworksApi) -> None:
        network, subnet = await a_network(stack)
        number = int(network.id)

        def apply(*nets: dict[str, Any]) -> list[dict[str, Any]]:
            client = Client(token=TOKEN, api_endpoint=api.endpoint, poll_interval=0.01)
            server = client.servers.get_by_id(7)
            change_networks(server, nets)
            return shown_networks(client.servers.get_by_id(7), nets)

        def work() -> None:
            mac = {"macAddress": "86:00:00:00:00:01"}
            (shown,) = apply({"networkId": number})
            assert shown == {"networkId": number, "ip": "10.0.1.2", "aliasIps": [], **mac}
            (shown,) = apply({"subnetId": subnet.id, "ip": "10.0.1.5"})
            assert shown == {"subnetId": subnet.id, "ip": "10.0.1.5", "aliasIps": [], **mac}
            (shown,) = apply({"networkId": number, "aliasIps": ["10.0.1.9"]})
            assert shown["aliasIps"] == ["10.0.1.9"]
            assert apply() == []

        await asyncio.to_thread(work)

    play(scenario)
