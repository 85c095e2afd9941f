"""Pulumi's protocol as Pulumi's SDK brings it, without the SDK, whose import takes longer than a small run.

A process that has the SDK, or gets it later, has these very modules.
"""

# ruff: noqa: TC004 - for the type checker; `_loaded` has them imported

import importlib
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pulumi.runtime.proto import (
        alias_pb2,
        callback_pb2,
        callback_pb2_grpc,
        engine_pb2,
        engine_pb2_grpc,
        resource_pb2,
        resource_pb2_grpc,
    )

__all__ = [
    "alias_pb2",
    "callback_pb2",
    "callback_pb2_grpc",
    "engine_pb2",
    "engine_pb2_grpc",
    "resource_pb2",
    "resource_pb2_grpc",
]

_PACKAGE: Final = ("pulumi", "runtime", "proto")


def _loaded() -> dict[str, ModuleType]:
    """Import the modules with empty packages around them, unless the packages are there."""
    spec = find_spec(_PACKAGE[0])
    if spec is None or spec.origin is None:
        raise ImportError("Pulumi's SDK is not installed: run `make setup`")
    folder, empty = Path(spec.origin).parent.parent, []
    for depth in range(1, len(_PACKAGE) + 1):
        name = ".".join(_PACKAGE[:depth])
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(folder.joinpath(*_PACKAGE[:depth]))]
            sys.modules[name] = package
            empty.append(name)
    try:
        return {name: importlib.import_module(f"{'.'.join(_PACKAGE)}.{name}") for name in __all__}
    finally:
        for name in empty:
            del sys.modules[name]


if not TYPE_CHECKING:
    globals().update(_loaded())
