import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pulumi
import pytest

from mesh.program.power import CloudAccess, switch_on

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
        await switch_on(access, stack="prod", ssh_port=22)(args)

    asyncio.run(run())


def test_nobody_is_asked_about_a_server_that_runs() -> None:
    _before(NOWHERE, "running")


def test_without_a_token_the_server_is_named_and_what_helps() -> None:
    with pytest.raises(pulumi.RunError, match=r"prod-web-1 is off, and there is no hcloud:token .*: start"):
        _before(CloudAccess(token=None, endpoint=None), "off: will be started")


def test_a_cloud_that_does_not_answer_is_told_without_the_token() -> None:
    with pytest.raises(pulumi.RunError, match="prod-web-1 is off, and the cloud does not start it") as caught:
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
        hook = switch_on(CloudAccess(token=None, endpoint=None), stack="prod", ssh_port=22)
        try:
            await asyncio.wait_for(hook(args), 20)
        finally:
            done.set()
            await taken

    with pytest.raises(pulumi.RunError, match="prod-web-1 is off"):
        asyncio.run(run())
