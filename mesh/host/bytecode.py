"""The agent's modules as bytecode, all in one piece: Python's own way reads and decodes each module twice.

`install` adds the piece to the file. Where this Python made none, as before `install` and after an upgrade of
the host, all modules are compiled at the start.
"""

from __future__ import annotations

import functools
import gc
import marshal
import sys
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import ModuleType
    from typing import Optional
    from zipimport import zipimporter

    Modules = dict[str, tuple[bool, bytes]]
else:
    Loader = object

__all__ = ["ENTRY", "compiled", "use_bytecode"]

ENTRY = f"bytecode-{MAGIC_NUMBER.hex()}"
"""The piece's name within the file, another one for each version of Python's bytecode."""

# All modules, packed: bzip2 of a JSON object of their paths and texts.
_SOURCES = "sources"
# Without docstrings and asserts: nobody reads those of an agent that runs.
_OPTIMIZE = 2


class _Importer(Loader):
    """Finds modules among those of one archive: by name, whether it is a package, and its code."""

    def __init__(self, archive: str, modules: Modules) -> None:
        self._archive = archive
        self._modules = modules

    def find_spec(
        self, name: str, _path: Optional[Sequence[str]] = None, _target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        if name not in self._modules:
            return None
        is_package, _code = self._modules[name]
        spec = ModuleSpec(name, self, origin=_file(self._archive, name), is_package=is_package)
        spec.has_location = True
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _is_package, code = self._modules[module.__name__]
        exec(marshal.loads(code), module.__dict__)  # noqa: S102, S302 - as Python does with what it imports


def _file(archive: str, name: str) -> str:
    return f"{archive}/{name.replace('.', '/')}.py"


def use_bytecode(loader: zipimporter) -> None:
    """Have all modules of the archive that this loader belongs to imported from its bytecode.

    No garbage is looked for meanwhile: nothing that imports make becomes any, and a command ends soon.
    """
    gc.disable()
    try:
        modules = marshal.loads(loader.get_data(ENTRY))  # noqa: S302 - of the very file that runs
    except OSError:
        modules = compiled(loader.archive)
    sys.meta_path.insert(0, _Importer(loader.archive, modules))


@functools.lru_cache(maxsize=1)
def compiled(archive: str) -> Modules:
    """Compile all modules of a zipapp; returns them by name: whether it is a package, and its code."""
    try:
        import bz2
        import json
        from zipimport import zipimporter
    except ImportError as error:
        raise SystemExit(
            f"{sys.executable}: {error}: the agent needs Python's standard library (the package python3)"
        ) from None
    modules = {}
    texts: dict[str, str] = json.loads(bz2.decompress(zipimporter(archive).get_data(_SOURCES)))
    for path, text in texts.items():
        code = compile(text, path, "exec", dont_inherit=True, optimize=_OPTIMIZE)
        name, package, _ = path[: -len(".py")].partition("/__init__")
        modules[name.replace("/", ".")] = (bool(package), marshal.dumps(code))
    return modules
