import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pulumi
import pytest

from mesh.names import MeshNames
from mesh.program.machines.hetzner.api import CloudAccess
from mesh.program.machines.hetzner.power import find_power, switch_on
from mesh.program.previous import Previous
from tests.unit.program.off import cloud_with_servers_off

MESH = MeshNames("mesh")
NOWHERE = CloudAccess(token="t" * 64, endpoint="http://127.0.0.1:9/v1")


def _before(access: CloudAccess, wanted: str) -> None:
    args = pulumi.ResourceHookArgs(
        urn="urn:pulumi:prod::p::t::web-1-power",
        id="",
        name="web-1-power",
        type="pulumi:index:Stash",
        new_inputs={"input": wanted},
    )

    async def run() -> None:
        await switch_on(access, stack="prod", ssh_ports={"web-1": 22})(args)

    asyncio.run(run())


def test_nobody_is_asked_about_a_server_that_runs() -> None:
    _before(NOWHERE, "running")


def test_without_a_token_the_server_is_named_and_what_helps() -> None:
    with pytest.raises(pulumi.RunError, match=r"prod-web-1 is off, and hcloud:token is missing.*: start"):
        _before(CloudAccess(token=None, endpoint=None), "off: will be started")


def test_a_cloud_that_does_not_answer_is_told_without_the_token() -> None:
    with pytest.raises(
        pulumi.RunError, match="prod-web-1 is off, and the cloud does not start the server"
    ) as caught:
        _before(NOWHERE, "off: will be started")
    assert NOWHERE.token is not None
    assert NOWHERE.token not in str(caught.value)
    assert "enabled: false" in str(caught.value)


def test_the_start_does_not_wait_for_the_threads_that_wait_for_it() -> None:
    """The SDK's own threads are all taken where many resources are under way."""
    done = threading.Event()
    args = pulumi.ResourceHookArgs(
        urn="urn:pulumi:prod::p::t::web-1-power",
        id="",
        name="web-1-power",
        type="pulumi:index:Stash",
        new_inputs={"input": "off: will be started"},
    )

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        taken = loop.run_in_executor(None, done.wait)
        hook = switch_on(CloudAccess(token=None, endpoint=None), stack="prod", ssh_ports={"web-1": 22})
        try:
            await asyncio.wait_for(hook(args), 20)
        finally:
            done.set()
            await taken

    with pytest.raises(pulumi.RunError, match="prod-web-1 is off"):
        asyncio.run(run())


def _previous(**power: str) -> Previous:
    records = {("pulumi:index:Stash", f"{node}-power"): {"input": said} for node, said in power.items()}
    nodes: dict[str, dict[str, str]] = {node: {} for node in power}
    return Previous(nodes=nodes, records=records)


_RENAMED = {
    ("pulumi:index:Stash", "web-1-power"): {"input": "off: will be started"},
    ("hcloud:index/server:Server", "web-1-server"): {"name": "prod-web-1"},
}


def test_each_run_asks_once_who_is_off_and_a_second_time_counts() -> None:
    off, again = "off: will be started", "off again: will be started"
    with cloud_with_servers_off("prod-web-1", "prod-web-2") as access:
        before = {"web-1": "running", "web-2": off, "db-1": "running", "db-2": off}
        found = find_power(access, "prod", MESH, _previous(**before))
        renamed = Previous(
            nodes={"front": {}, "web-2": {}}, former={"front": ["www", "web-1"]}, records=_RENAMED
        )
        found_renamed = find_power(access, "prod", MESH, renamed)
    assert found == {"web-1": off, "web-2": again, "db-1": "running", "db-2": off}
    assert found_renamed == {"front": again, "web-2": off}, "the cloud has the former name until `up`"


def test_a_cloud_that_does_not_say_leaves_it_to_the_state() -> None:
    assert find_power(NOWHERE, "prod", MESH, _previous(a="running")) == {}
    assert find_power(CloudAccess(token=None, endpoint=None), "prod", MESH, _previous(a="running")) == {}
