"""Providers as the engine handles them: resources with an id, and the code behind them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from lab.engine.deploy.builtin import BuiltinProvider
from lab.engine.deploy.request import DeployError
from lab.engine.project import Config
from lab.engine.provider import Provider, ProviderError
from lab.engine.providers import PROVIDERS
from lab.engine.state.model import PROVIDER_PREFIX, ResourceState
from lab.engine.values import Secret, contains_unknown, plain

__all__ = ["FindProvider", "Providers", "default_name", "reference"]

_INTERNAL: Final = "__internal"
FindProvider = Callable[[ResourceState], Awaitable[Provider | None]]


def reference(state: ResourceState) -> str:
    """Return how a resource names its provider."""
    return f"{state.urn}::{state.id}"


def default_name(version: str) -> str:
    """Return the name of a package's default provider."""
    return f"default_{version.replace('.', '_')}" if version else "default"


class Providers:
    """Finds, configures and closes the code behind provider resources."""

    def __init__(
        self,
        config: Config,
        stack_outputs: Callable[[str], Mapping[str, Any]],
        records: Iterable[ResourceState],
    ) -> None:
        self._config = config
        self._records = {reference(record): record for record in records if record.is_provider}
        self._stack_outputs = stack_outputs
        self._instances: dict[str, Provider] = {}
        self._lock = asyncio.Lock()

    def inputs(self, package: str, version: str) -> dict[str, Any]:
        """Return the inputs of a package's default provider: what the stack's configuration says."""
        found: dict[str, Any] = {}
        for key, value in self._config.values.items():
            namespace, _, name = key.partition(":")
            if namespace == package and package != "pulumi":
                found[name] = Secret(value) if key in self._config.secret_keys else value
        if version:
            found["version"] = version
        return self.check(package, found)

    def check(self, package: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Fill in what a provider of this package always has. Raises `DeployError` for an unknown one."""
        return {**self._make(package).config_defaults, **inputs}

    @staticmethod
    def outputs(inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return a provider resource's outputs."""
        return {name: value for name, value in inputs.items() if name != _INTERNAL}

    def _make(self, package: str) -> Provider:
        if package == "pulumi":
            return BuiltinProvider(self._stack_outputs)
        if package not in PROVIDERS:
            known = ", ".join(sorted(PROVIDERS))
            raise DeployError(f"this engine has no provider for the package {package!r}; it has {known}")
        return PROVIDERS[package]()

    def remember(self, record: ResourceState) -> None:
        """Know a provider resource by its reference from now on."""
        self._records[reference(record)] = record

    async def named(self, name: str) -> Provider:
        """Return the configured code behind a reference to a provider. Raises `DeployError`."""
        if name not in self._records:
            raise DeployError(f"unknown provider '{name}'")
        return await self._get(self._records[name])

    async def of(self, state: ResourceState) -> Provider | None:
        """Return the configured code behind a resource; None for components and providers themselves."""
        if not state.custom or state.is_provider:
            return None
        found = self._records.get(state.provider)
        if found is None:
            raise ProviderError(f"unknown provider {state.provider!r} for resource {state.urn}")
        return await self._get(found)

    async def _get(self, state: ResourceState) -> Provider:
        key = reference(state)
        async with self._lock:
            if key not in self._instances:
                provider = self._make(state.type.removeprefix(PROVIDER_PREFIX))
                config = {
                    n: v for n, v in plain(state.inputs).items() if not n.startswith("__") and n != "version"
                }
                if not contains_unknown(config):
                    await provider.configure(config)
                self._instances[key] = provider
            return self._instances[key]

    async def close(self) -> None:
        """Let all of them go."""
        for provider in self._instances.values():
            await provider.close()
