"""A server that is off is switched on again: somebody did it, or a change of it that failed half way.

The hcloud provider reads whether a server runs on a refresh only, and does nothing about it. So each run asks
the cloud once which servers are off. So that a preview can show what will be done, the node of a server that
is off gets a small resource that says so, and keeps it; a hook switches the server on before that resource
comes to say that it is off, and the node's commands come after it.
"""

import asyncio
import json
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Any, Final

import pulumi
import pulumi_hcloud as hcloud

from mesh.names import STASH, MeshNames
from mesh.program.machines.hetzner.api import DEFAULT_ENDPOINT, STACK_LABEL, CloudAccess
from mesh.program.machines.hetzner.records import server_record
from mesh.program.previous import Previous

__all__ = [
    "POWER",
    "POWER_PART",
    "Power",
    "declare_power",
    "find_power",
    "power_hooks",
    "switch_on",
]

POWER: Final = "wireguard-mesh-power"
POWER_PART: Final = "power"
"""`NODE-power` says how a server was found, of a node whose server was off once."""
_SUFFIX: Final = f"-{POWER_PART}"
_RUNNING: Final = "running"
_OFF: Final = "off: will be started"
# Found off in two runs one after the other: a hook only runs before a change.
_OFF_AGAIN: Final = "off again: will be started"
_TO_START: Final = frozenset({_OFF, _OFF_AGAIN})
_LEFT_ALONE: Final = "left as it is"
# Threads of our own: the SDK's all wait for registrations, and those for these hooks.
_THREADS: Final = ThreadPoolExecutor(max_workers=8, thread_name_prefix="power")
_ANSWER_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 10.0
_MOST_PER_PAGE: Final = 50  # Hetzner Cloud API, Pagination
# From the start of a server until its sshd listens. Whoever dials after that says what is wrong.
_BOOT_SECONDS: Final = 150.0
_KNOCK_SECONDS: Final = 3.0


@dataclass(frozen=True, kw_only=True)
class Power:
    """How servers were found, by node, and the hooks that switch on those that are off."""

    found: Mapping[str, str]
    hooks: pulumi.ResourceHookBinding

    def is_off(self, node: str) -> bool:
        """Whether the node's server was found off."""
        return self.found.get(node) in _TO_START


def find_power(access: CloudAccess, stack: str, names: MeshNames, previous: Previous) -> dict[str, str]:
    """Ask the cloud how the servers are that the state has; nothing where it does not say."""
    off = _servers_off(access, stack) if previous.nodes else None
    if off is None:
        return {}
    found = {}
    for node in previous.nodes:
        # a server has its former name until a run has renamed it
        called = {server_record(previous, node).get("name"), names.in_cloud(stack, node)}
        before = previous.part(STASH, node, POWER_PART).get("input")
        if called & off:
            found[node] = _OFF_AGAIN if before == _OFF else _OFF
        else:
            # that it was off once and was started is no change that is worth a preview
            found[node] = str(before) if before in _TO_START else _RUNNING
    return found


def _servers_off(access: CloudAccess, stack: str) -> frozenset[str] | None:
    if access.token is None:
        return None
    found: set[str] = set()
    page: int | None = 1
    while page is not None:
        query = {
            "label_selector": f"{STACK_LABEL}={stack}",
            "status": "off",
            "page": page,
            "per_page": _MOST_PER_PAGE,
        }
        try:
            answer = _ask(access, f"servers?{urllib.parse.urlencode(query)}")
            found |= {str(server["name"]) for server in answer["servers"]}
            page = answer["meta"]["pagination"]["next_page"]
        except (OSError, ValueError, LookupError, TypeError):
            return None  # the provider will say why
    return frozenset(found)


def _ask(access: CloudAccess, path: str) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310 - the endpoint is the operator's own setting
        f"{access.endpoint or DEFAULT_ENDPOINT}/{path}", headers={"Authorization": f"Bearer {access.token}"}
    )
    with urllib.request.urlopen(request, timeout=_LOOK_SECONDS) as answer:  # noqa: S310 - likewise
        value: dict[str, Any] = json.load(answer)
    return value


def power_hooks(stack: str, names: MeshNames, ssh_ports: Mapping[str, int]) -> pulumi.ResourceHookBinding:
    """Return the hooks that power resources need, for the servers of this mesh; `ssh_ports` is by node."""
    ports = {names.of(node): port for node, port in ssh_ports.items()}
    start = switch_on(CloudAccess.configured(), stack=stack, ssh_ports=ports)
    hook = pulumi.ResourceHook(names.of(POWER), start)
    return pulumi.ResourceHookBinding(before_create=[hook], before_update=[hook])


def declare_power(
    name: str,
    server: hcloud.Server,
    *,
    found: str | None,
    hooks: pulumi.ResourceHookBinding,
    keep: bool,
    parent: pulumi.Resource,
    aliases: Sequence[pulumi.Alias] = (),
) -> pulumi.Stash:
    """Declare how a node's server was found: off, or running, which is everything else it can be.

    `name` is the node's, with its mesh's before it. Where the cloud could not be asked, the state has to do.
    With `keep` nothing is started. `aliases` are the names that the resource had before.
    """
    known: pulumi.Input[str] = (
        found
        if found is not None
        else server.status.apply(lambda status: _OFF if status == "off" else _RUNNING)
    )
    return pulumi.Stash(
        f"{name}{_SUFFIX}",
        input=_LEFT_ALONE if keep else known,
        opts=pulumi.ResourceOptions(parent=parent, deleted_with=server, hooks=hooks, aliases=list(aliases)),
    )


def switch_on(
    access: CloudAccess, *, stack: str, ssh_ports: Mapping[str, int]
) -> Callable[[pulumi.ResourceHookArgs], Awaitable[None]]:
    """Return the hook that switches a node's server on when it was found off, until its sshd listens.

    `ssh_ports` says where that is, by the node's name with its mesh's before it.
    """

    async def before(args: pulumi.ResourceHookArgs) -> None:
        if (args.new_inputs or {}).get("input") in _TO_START:
            node = args.name.removesuffix(_SUFFIX)
            await asyncio.get_running_loop().run_in_executor(
                _THREADS, _switch_on, access, f"{stack}-{node}", ssh_ports[node]
            )

    return before


def _switch_on(access: CloudAccess, server: str, ssh_port: int) -> None:
    """Have the cloud start a server; returns when its sshd listens, or after `_BOOT_SECONDS`.

    Raises:
        pulumi.RunError: names the server, what the cloud said, and what helps.

    """
    # The client takes as long to import as the rest of the program, and is hardly ever needed.
    from hcloud import Client, HCloudException  # noqa: PLC0415
    from requests import RequestException  # noqa: PLC0415

    helps = "start the server in the cloud's console, or set `enabled: false` for the node, and run up again"
    if access.token is None:
        raise pulumi.RunError(
            f"{server} is off, and hcloud:token is missing, so the program cannot start the server: {helps}"
        )
    client = Client(
        access.token,
        access.endpoint or DEFAULT_ENDPOINT,
        application_name="wireguard-mesh",
        timeout=_ANSWER_SECONDS,
    )
    try:
        found = client.servers.get_by_name(server)
        if found is not None and found.status == "off":
            pulumi.log.info(f"{server} is off: starting the server")
            found.power_on().wait_until_finished()
            address = _address(found.public_net)
            if address is not None:
                _await_port(address, ssh_port)
    except (HCloudException, RequestException) as error:
        raise pulumi.RunError(
            f"{server} is off, and the cloud does not start the server ({error}): {helps}"
        ) from error


def _address(net: Any) -> str | None:
    """Return the address that a server is dialled at: IPv4 where it has that, else the first of its /64."""
    if net is None or (net.ipv4 is None and net.ipv6 is None):
        return None
    return str(net.ipv4.ip if net.ipv4 is not None else IPv6Network(net.ipv6.ip)[1])


def _await_port(address: str, port: int) -> None:
    end = time.monotonic() + _BOOT_SECONDS
    while time.monotonic() < end:
        try:
            socket.create_connection((address, port), timeout=_KNOCK_SECONDS).close()
        except OSError:
            time.sleep(1)
        else:
            return
