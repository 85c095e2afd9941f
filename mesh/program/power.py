"""A server that somebody has switched off is switched on again, once a refresh has noticed.

The hcloud provider reads whether a server runs, but does nothing about it. So that a preview can show what
will be done, each node has a small resource that says how its server was found; a hook switches the server on
before that resource comes to say that it is off, and the node's commands come after it.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_hcloud as hcloud

__all__ = ["DEFAULT_ENDPOINT", "POWER", "CloudAccess", "declare_power", "power_hooks", "switch_on"]

POWER: Final = "wireguard-mesh-power"
DEFAULT_ENDPOINT: Final = "https://api.hetzner.cloud/v1"
"""Where the provider asks when it is not told otherwise."""

_SUFFIX: Final = "-power"
_RUNNING: Final = "running"
_OFF: Final = "off: will be started"
_LEFT_ALONE: Final = "left as it is"
# Threads of our own: the SDK's all wait for registrations, and those for these hooks.
_THREADS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="power")
_ANSWER_SECONDS: Final = 30.0
# From the start of a server until its sshd listens. Whoever dials after that says what is wrong.
_BOOT_SECONDS: Final = 150.0
_KNOCK_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class CloudAccess:
    """How to ask the cloud's API: what the hcloud provider is configured with."""

    token: str | None
    endpoint: str | None

    @staticmethod
    def configured() -> "CloudAccess":
        """Read `hcloud:token` and `hcloud:endpoint`, or else the provider's environment variables."""
        config = pulumi.Config("hcloud")
        return CloudAccess(
            token=config.get("token") or os.environ.get("HCLOUD_TOKEN"),
            endpoint=config.get("endpoint") or os.environ.get("HCLOUD_ENDPOINT"),
        )


def power_hooks(stack: str, *, ssh_port: int) -> pulumi.ResourceHookBinding:
    """Return the hooks that power resources need, for the servers of this stack."""
    hook = pulumi.ResourceHook(POWER, switch_on(CloudAccess.configured(), stack=stack, ssh_port=ssh_port))
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def declare_power(
    node: str,
    server: hcloud.Server,
    *,
    hooks: pulumi.ResourceHookBinding,
    keep: bool,
    parent: pulumi.Resource,
) -> pulumi.Stash:
    """Declare how a node's server was found: off, or running, which is everything else it can be.

    With `keep` nobody asks, and nothing is started.
    """
    found: pulumi.Input[str] = server.status.apply(lambda status: _OFF if status == "off" else _RUNNING)
    return pulumi.Stash(
        f"{node}{_SUFFIX}",
        input=_LEFT_ALONE if keep else found,
        opts=pulumi.ResourceOptions(parent=parent, deleted_with=server, hooks=hooks),
    )


def switch_on(
    access: CloudAccess, *, stack: str, ssh_port: int
) -> Callable[[pulumi.ResourceHookArgs], Awaitable[None]]:
    """Return the hook that switches a node's server on when it was found off, until its sshd listens."""

    async def before(args: pulumi.ResourceHookArgs) -> None:
        if (args.new_inputs or {}).get("input") == _OFF:
            server = f"{stack}-{args.name.removesuffix(_SUFFIX)}"
            await asyncio.get_running_loop().run_in_executor(_THREADS, _switch_on, access, server, ssh_port)

    return before


def _switch_on(access: CloudAccess, server: str, ssh_port: int) -> None:
    """Have the cloud start a server; returns when its sshd listens, or after `_BOOT_SECONDS`.

    Raises:
        pulumi.RunError: names the server, what the cloud said, and what helps.

    """
    # The client takes as long to import as the rest of the program, and is hardly ever needed.
    from hcloud import Client, HCloudException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    helps = "start it in the cloud's console, or take the node out with `enabled: false`, and run up again"
    if access.token is None:
        raise pulumi.RunError(f"{server} is off, and there is no hcloud:token to start it with: {helps}")
    client = Client(
        access.token,
        access.endpoint or DEFAULT_ENDPOINT,
        application_name="wireguard-mesh",
        timeout=_ANSWER_SECONDS,
    )
    try:
        found = client.servers.get_by_name(server)
        if found is not None and found.status == "off":
            pulumi.log.info(f"{server} is off: starting it")
            found.power_on().wait_until_finished()
            if found.public_net is not None and found.public_net.ipv4 is not None:
                _await_port(found.public_net.ipv4.ip, ssh_port)
    except (HCloudException, RequestException) as error:
        raise pulumi.RunError(
            f"{server} is off, and the cloud does not start it ({error}): {helps}"
        ) from error


def _await_port(address: str, port: int) -> None:
    end = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection((address, port), timeout=_KNOCK_SECONDS).close()
        except OSError:
            time.sleep(1)
        else:
            return
