"""What goes wrong, what a preview knows, and what is refused."""

import asyncio
from typing import Any

import pytest

from lab.engine.provider import UNKNOWN, PartialFailureError, ProviderError, Resource
from lab.engine.providers import PROVIDERS
from lab.engine.providers.hcloud.provider import HcloudProvider
from tests.lab.engine.providers.conftest import TOKEN, Cloud, Play, Stack
from tests.lab.engine.providers.test_hcloud_life import RULES, key, server


def test_a_server_that_does_not_come_up_is_recorded(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        cloud.fault(action="create_server")
        with pytest.raises(
            PartialFailureError, match=r"could not create server broken: .*create_server"
        ) as caught:
            await server(stack, "broken", userData="#cloud-config\n")
        found = cloud.client.servers.get_by_name("broken")
        assert found is not None
        assert caught.value.id == str(found.id)
        assert caught.value.outputs["name"] == "broken"
        assert caught.value.outputs["userData"] == "wK9leoEi2xH7hUH5D+q3hxwsPXE="

    play(scenario)


def test_errors_say_what_was_asked_the_code_and_what_to_do(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        made = await stack.create("SshKey", "twice", name="twice", publicKey=key(6))
        with pytest.raises(ProviderError, match=r"could not create SSH key twice: .*\(uniqueness_error\)"):
            await stack.create("SshKey", "twice", name="twice", publicKey=key(7))
        await stack.provider.delete(made)
        cloud.fault(create="resource_unavailable")
        with pytest.raises(ProviderError, match=r"resource_unavailable.*another location") as caught:
            await server(stack, "nowhere")
        assert not isinstance(caught.value, PartialFailureError)
        assert TOKEN not in str(caught.value)
        with pytest.raises(ProviderError, match="could not update SSH key"):
            await stack.update(made, name="thrice", publicKey=key(6))

    play(scenario)


def test_a_wrong_token_and_a_silent_endpoint_are_explained(cloud: Cloud) -> None:
    async def look(**config: str) -> str:
        provider = PROVIDERS["hcloud"]()
        try:
            await provider.configure(config)
            await provider.invoke("hcloud:index/getLocation:getLocation", {"name": "fsn1"})
        except ProviderError as error:
            return str(error)
        finally:
            await provider.close()
        return "no error"

    wrong = asyncio.run(look(token="w" * 64, endpoint=cloud.endpoint))
    assert "check hcloud:token" in wrong
    assert "w" * 64 not in wrong
    assert "has 3 characters, but a token has 64" in asyncio.run(look(token="abc"))
    silent = asyncio.run(look(token=TOKEN, endpoint="http://127.0.0.1:1/v1"))
    assert "no answer from http://127.0.0.1:1/v1" in silent


def test_configuration_comes_from_the_environment_too(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HCLOUD_TOKEN", TOKEN)
    monkeypatch.setenv("HCLOUD_ENDPOINT", cloud.endpoint)

    async def look() -> Any:
        provider = PROVIDERS["hcloud"]()
        await provider.configure({})
        return await provider.invoke("hcloud:index/getLocation:getLocation", {"name": "fsn1"})

    assert asyncio.run(look())["networkZone"] == "eu-central"


def test_previews_ask_the_cloud_nothing() -> None:
    """Not even a configuration is needed: what is computed is unknown."""

    async def preview() -> tuple[str, dict[str, Any], dict[str, Any]]:
        provider = PROVIDERS["hcloud"]()
        type_ = "hcloud:index/server:Server"
        inputs = {"name": "s", "serverType": "cx23", "userData": "#cloud-config\n", "firewallIds": [UNKNOWN]}
        identifier, outputs = await provider.create("urn:pulumi:s::p::t::s", type_, inputs, preview=True)
        old = Resource(
            urn="u::s", type=type_, id="1", inputs=inputs, outputs={**inputs, "ipv4Address": "1.2.3.4"}
        )
        updated = await provider.update(old, {**inputs, "name": "t"}, preview=True)
        return identifier, dict(outputs), dict(updated)

    identifier, outputs, updated = asyncio.run(preview())
    assert identifier == ""
    assert outputs["ipv4Address"] is UNKNOWN
    assert outputs["image"] is UNKNOWN
    assert outputs["firewallIds"] == [UNKNOWN]
    assert outputs["userData"] == "wK9leoEi2xH7hUH5D+q3hxwsPXE="
    assert (updated["name"], updated["ipv4Address"]) == ("t", "1.2.3.4")


def test_unknown_inputs_and_resources_are_refused_by_name(play: Play) -> None:
    async def scenario(stack: Stack) -> None:
        checked = await stack.check("hcloud:index/server:Server", "s", serverType="cx23", iso="x")
        assert [failure.property for failure in checked.failures] == ["iso"]
        with pytest.raises(ProviderError, match="hcloud:index/volume:Volume"):
            await stack.check("hcloud:index/volume:Volume", "v")
        with pytest.raises(ProviderError, match="getVolume"):
            await stack.provider.invoke("hcloud:index/getVolume:getVolume", {})
        with pytest.raises(ProviderError, match="location 'moon' does not exist"):
            await stack.provider.invoke("hcloud:index/getLocation:getLocation", {"name": "moon"})
        with pytest.raises(ProviderError, match="by id or by name"):
            await stack.provider.invoke("hcloud:index/getLocation:getLocation", {})

    play(scenario)


def test_a_state_written_by_pulumi_shows_no_difference(play: Play) -> None:
    """Pulumi marks the defaults of nested objects too."""
    inputs = {
        "__defaults": [], "name": "fw", "labels": {},
        "rules": [{"__defaults": [], **rule} for rule in RULES],
    }  # fmt: skip
    old = Resource(urn="u::fw", type="hcloud:index/firewall:Firewall", id="1", inputs=inputs)
    assert not play(lambda stack: stack.diff(old, name="fw", rules=RULES)).changes


def test_closing_ends_the_waiting(play: Play, cloud: Cloud) -> None:
    async def scenario(stack: Stack) -> None:
        cloud.fault(slow=30)
        task = asyncio.create_task(server(stack, "slow"))
        while cloud.client.servers.get_by_name("slow") is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await stack.provider.close()
        with pytest.raises(PartialFailureError, match="the operation was stopped"):
            await task

    play(scenario)
    cloud.fault()


def test_closing_between_the_clouds_answer_and_its_work_keeps_what_was_made(
    play: Play, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(stack: Stack) -> None:
        assert isinstance(stack.provider, HcloudProvider)
        call = stack.provider._call

        async def closed_after_the_first(*words: Any) -> Any:
            answer = await call(*words)
            await stack.provider.close()
            return answer

        monkeypatch.setattr(stack.provider, "_call", closed_after_the_first)
        with pytest.raises(PartialFailureError, match="the operation was stopped") as failed:
            await server(stack, "begun")
        begun = cloud.client.servers.get_by_name("begun")
        assert begun is not None
        assert failed.value.id == str(begun.id)

    play(scenario)
