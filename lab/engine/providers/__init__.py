"""The resource providers the engine has. Each is imported when a program first uses it."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final

from lab.engine.provider import Provider

__all__ = ["PROVIDERS"]


class _Lazy:
    """Makes a provider; imports its module first."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def _load(self) -> type[Provider]:
        found: type[Provider] = getattr(import_module(self._module), self._name)
        return found

    def __call__(self) -> Provider:
        return self._load()()


PROVIDERS: Final[Mapping[str, Callable[[], Provider]]] = {
    "command": _Lazy("lab.engine.providers.command.provider", "CommandProvider"),
    "hcloud": _Lazy("lab.engine.providers.hcloud.provider", "HcloudProvider"),
}
"""Package name -> what makes its provider."""
