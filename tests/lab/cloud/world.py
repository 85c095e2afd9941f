"""A cloud for tests, and what one asks of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hcloud import APIException, Client
from hcloud.images import Image
from hcloud.locations import Location
from hcloud.server_types import ServerType
from hcloud.servers import BoundServer

from lab.cloud.process import Process
from lab.testing import free_port, wait

TOKEN = "0123456789abcdef" * 4
_NUMBERS = count(1)


@dataclass(kw_only=True)
class LabCloud:
    """A cloud in a process of its own. `images` boots real hosts."""

    state: Path
    images: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    port: int = 0

    def start(self) -> None:
        self.port = self.port or free_port()
        self.process.start()

    @property
    def process(self) -> Process:
        return Process(state=self.state, port=self.port, token=TOKEN, images=self.images, **self.options)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def client(self) -> Client:
        return Client(token=TOKEN, api_endpoint=self.url, poll_interval=0.02)

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Make one request by hand."""
        headers = {"Authorization": f"Bearer {TOKEN}", **options.pop("headers", {})}
        return requests.request(
            method, f"{self.url}{path}", json=body, headers=headers, timeout=30, **options
        )

    def fault(self, **wanted: Any) -> None:
        (self.state / "faults.json").write_text(json.dumps(wanted))

    def server(self, name: str | None = None, **wanted: Any) -> BoundServer:
        """Make a server and wait until all that belongs to its creation is done."""
        made = self.create(name, **wanted)
        made.action.wait_until_finished()
        for action in made.next_actions:
            action.wait_until_finished()
        return self.client.servers.get_by_id(made.server.id)

    def create(self, name: str | None = None, **wanted: Any) -> Any:
        """Begin to make a server."""
        wanted = {"server_type": ServerType(name="cx23"), "image": Image(name="debian-12")} | wanted
        return self.client.servers.create(name=unique("server") if name is None else name, **wanted)

    def off(self, **wanted: Any) -> BoundServer:
        """Make a server that is off."""
        return self.server(start_after_create=False, **wanted)

    def empty(self) -> None:
        """Delete everything there is."""
        self.fault()
        client = self.client
        wait(lambda: not any(server.locked for server in client.servers.get_all()))
        for server in client.servers.get_all():
            if server.protection["delete"]:
                server.change_protection(delete=False, rebuild=False).wait_until_finished()
            server.delete().wait_until_finished()
        for firewall in client.firewalls.get_all():
            if firewall.applied_to:
                firewall.remove_from_resources(firewall.applied_to)
        for network in client.networks.get_all():
            network.change_protection(delete=False)
        for resources in (client.ssh_keys, client.placement_groups, client.firewalls, client.networks):
            for resource in resources.get_all():
                resource.delete()
        for address in client.primary_ips.get_all():
            if address.protection["delete"]:
                address.change_protection(delete=False)
            address.delete()


def unique(word: str) -> str:
    """Return a name that no other test uses."""
    return f"{word}-{next(_NUMBERS)}"


def public_key() -> str:
    """Return a fresh SSH public key."""
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return Ed25519PrivateKey.generate().public_key().public_bytes(encoding, form).decode()


def refused(code: str, work: Callable[[], Any]) -> APIException:
    """Do what the cloud must refuse with this code; returns the refusal."""
    with pytest.raises(APIException) as caught:
        work()
    assert caught.value.code == code, (caught.value, caught.value.details)
    return caught.value


FSN1 = Location(name="fsn1")
