"""A server that somebody has switched off is switched on again, once a refresh has noticed.

The hcloud provider reads whether a server runs, but does nothing about it. So that a preview can show what
will be done, each node has a small resource that says how its server was found; a hook switches the server on
before that resource comes to say that it is off, and the node's commands come after it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
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


def power_hooks(stack: str) -> pulumi.ResourceHookBinding:
    """Return the hooks that power resources need, for the servers of this stack."""
    hook = pulumi.ResourceHook(POWER, switch_on(CloudAccess.configured(), stack=stack))
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

    With `keep` the node is left as it is.
    """
    return pulumi.Stash(
        f"{node}{_SUFFIX}",
        input=server.status.apply(lambda status: _OFF if status == "off" else _RUNNING),
        opts=pulumi.ResourceOptions(
            parent=parent,
            deleted_with=server,
            hooks=hooks,
            ignore_changes=["input"] if keep else None,
        ),
    )


def switch_on(access: CloudAccess, *, stack: str) -> Callable[[pulumi.ResourceHookArgs], Awaitable[None]]:
    """Return the hook that switches a node's server on when it was found off."""

    async def before(args: pulumi.ResourceHookArgs) -> None:
        if (args.new_inputs or {}).get("input") == _OFF:
            await asyncio.to_thread(_switch_on, access, f"{stack}-{args.name.removesuffix(_SUFFIX)}")

    return before


def _switch_on(access: CloudAccess, server: str) -> None:
    """Have the cloud start a server, and wait until it says that it runs.

    Raises:
        pulumi.RunError: names the server, what the cloud said, and what helps.

    """
    # The client takes as long to import as the rest of the program, and is hardly ever needed.
    from hcloud import Client, HCloudException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    helps = "start it in the cloud's console, or take the node out with `enabled: false`, and run up again"
    if access.token is None:
        raise pulumi.RunError(f"{server} is off, and there is no hcloud:token to start it with: {helps}")
    client = Client(access.token, access.endpoint or DEFAULT_ENDPOINT, application_name="wireguard-mesh")
    try:
        found = client.servers.get_by_name(server)
        if found is not None and found.status == "off":
            pulumi.log.info(f"{server} is off: starting it")
            found.power_on().wait_until_finished()
    except (HCloudException, RequestException) as error:
        raise pulumi.RunError(
            f"{server} is off, and the cloud does not start it ({error}): {helps}"
        ) from error
