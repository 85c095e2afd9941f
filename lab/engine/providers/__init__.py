"""The resource providers the engine has. Each is imported when a program first uses it, or ahead of that."""

import contextlib
import threading
from collections.abc import Iterable, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Final

from lab.engine.provider import Provider

__all__ = ["PROVIDERS", "load_ahead"]


class _Lazy:
    """Makes a provider; imports its module first.

    `works` are the modules that it imports by itself once it has something to do.
    """

    def __init__(self, module: str, name: str, *, works: Sequence[str] = ()) -> None:
        self.module: Final = module
        self.works: Final = works
        self._name = name

    def __call__(self) -> Provider:
        made: type[Provider] = getattr(import_module(self.module), self._name)
        return made()


PROVIDERS: Final = MappingProxyType(
    {
        "command": _Lazy(
            "lab.engine.providers.command.provider", "CommandProvider",
            works=("lab.engine.providers.command.remote", "lab.engine.providers.command.copy"),
        ),
        "hcloud": _Lazy("lab.engine.providers.hcloud.provider", "HcloudProvider"),
    }
)  # fmt: skip
"""Package name -> what makes its provider."""


def load_ahead(types: Iterable[str], *, works: bool) -> None:
    """Import in a thread what a run is going to use, while its program starts.

    `types` are the types of the resources in the state: their providers are imported. `works` says that
    this run is no preview. Then also import what a package that the state does not have yet would need for
    its work: SSH, for the first commands on new servers.
    """
    packages = {type_.partition(":")[0] for type_ in types} & PROVIDERS.keys()
    names = [PROVIDERS[package].module for package in packages]
    if packages and works:
        names += [name for package in PROVIDERS.keys() - packages for name in PROVIDERS[package].works]
    if names:
        threading.Thread(target=_import, args=(names,), name="load-ahead").start()


def _import(names: Iterable[str]) -> None:
    """Import modules; where that fails, the run does it again once it needs them, and tells why."""
    with contextlib.suppress(Exception):
        for name in names:
            import_module(name)
