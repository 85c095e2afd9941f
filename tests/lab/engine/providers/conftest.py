"""A cloud without hosts, and the provider on it."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hcloud import Client

from lab.cloud.process import Process
from lab.engine.provider import CheckResult, Provider, Resource
from lab.engine.providers import PROVIDERS

TOKEN = "t" * 64


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """A lab cloud that simulates its hosts."""

    endpoint: str
    state: Path

    @property
    def client(self) -> Client:
        """The official client, to look at the cloud from aside."""
        return Client(token=TOKEN, api_endpoint=self.endpoint, poll_interval=0.05)

    def fault(self, **wanted: Any) -> None:
        (self.state / "faults.json").write_text(json.dumps(wanted))

    def requests(self) -> list[str]:
        """Every request so far: method, path, status."""
        return next(iter(self.state.glob("*access*"))).read_text().splitlines()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state = tmp_path_factory.mktemp("cloud")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = Process(state=state, port=port, token=TOKEN, images=None)
    process.start()
    try:
        yield Cloud(endpoint=f"http://127.0.0.1:{port}/v1", state=state)
    finally:
        process.stop()


class Stack:
    """Resources as an engine would keep them, by the provider's methods."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    async def check(
        self, type_: str, urn_name: str, olds: dict[str, Any] | None = None, /, **news: Any
    ) -> CheckResult:
        return await self.provider.check(f"urn:pulumi:s::p::{type_}::{urn_name}", type_, olds, news)

    async def create(self, kind: str, urn_name: str, /, **news: Any) -> Resource:
        type_ = f"hcloud:index/{kind[0].lower()}{kind[1:]}:{kind}"
        checked = await self.check(type_, urn_name, **news)
        assert not checked.failures, checked.failures
        urn = f"urn:pulumi:s::p::{type_}::{urn_name}"
        identifier, outputs = await self.provider.create(urn, type_, checked.inputs, preview=False)
        return Resource(urn=urn, type=type_, id=identifier, inputs=checked.inputs, outputs=outputs)

    async def update(self, old: Resource, /, **news: Any) -> Resource:
        checked = await self.provider.check(old.urn, old.type, old.inputs, news)
        assert not checked.failures, checked.failures
        outputs = await self.provider.update(old, checked.inputs, preview=False)
        return Resource(urn=old.urn, type=old.type, id=old.id, inputs=checked.inputs, outputs=outputs)

    async def refresh(self, old: Resource) -> Resource | None:
        found = await self.provider.read(old)
        if found is None:
            return None
        return Resource(urn=old.urn, type=old.type, id=found.id, inputs=found.inputs, outputs=found.outputs)

    async def diff(self, old: Resource, /, **news: Any) -> Any:
        checked = await self.provider.check(old.urn, old.type, old.inputs, news)
        return await self.provider.diff(old, checked.inputs, ())


Play = Callable[[Callable[[Stack], Awaitable[Any]]], Any]


@pytest.fixture
def play(cloud: Cloud) -> Play:
    """Run a scenario with a provider of its own, closed at the end."""

    def run(scenario: Callable[[Stack], Awaitable[Any]]) -> Any:
        async def main() -> Any:
            provider = PROVIDERS["hcloud"]()
            await provider.configure({"token": TOKEN, "endpoint": cloud.endpoint})
            try:
                return await scenario(Stack(provider))
            finally:
                await provider.close()

        return asyncio.run(main())

    return run
