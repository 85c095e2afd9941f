"""The stack files that there are, and edits of them."""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mesh.edit.adding import add_node
from mesh.edit.checking import checker
from mesh.edit.document import parse
from mesh.edit.edit import Check
from mesh.edit.removing import remove_node
from mesh.settings import Model, SettingsError, parse_settings
from mesh.settings.machines import MachineKind

__all__ = [
    "CHECK",
    "LAYOUTS",
    "add",
    "added_lines",
    "check_of",
    "nodes",
    "remove",
    "right",
    "text_of",
    "wrong",
]

_ROOT: Final = Path(__file__).parents[3]
LAYOUTS: Final = sorted((Path(__file__).parent / "layouts").glob("*.yaml"))
_SHARED: Final = Path(os.environ.get("WGMESH_SHARED", _ROOT.parent / "shared"))
CHECK: Final = checker(None)


def right() -> list[Path]:
    """Every stack file of this repository."""
    found = [
        path
        for folder in (
            _ROOT / "stacks",
            *(_ROOT / "examples").iterdir(),
            _ROOT / "tests" / "system" / "older",
        )
        for path in sorted(folder.glob("Pulumi.*.yaml"))
    ]
    assert len(found) >= 6
    return [*found, *LAYOUTS]


def wrong() -> list[Path]:
    """Stack files that people got wrong, where they are at hand."""
    return sorted((_SHARED / "data" / "wrong-stack-files").glob("*.yaml"))


def text_of(path: Path) -> str:
    return path.read_bytes().decode()


def check_of(path: Path) -> Check:
    """The check of a program; one of the examples brings a provider of its own."""
    return _basement if "basement" in path.parts else CHECK


def _basement(mesh: Mapping[Any, Any]) -> str | None:
    class Machine(Model):
        image: str = "debian-12"

    try:
        parse_settings(mesh, kinds={"basement": MachineKind(model=Machine)})
    except SettingsError as error:
        return str(error)
    return None


def nodes(text: str) -> dict[str, Any]:
    return dict(parse(text).value["nodes"])


def add(text: str, name: str, check: Check = CHECK, like: str | None = None, **settings: Any) -> str:
    return add_node(parse(text), name, settings, check, like).after.text


def remove(text: str, name: str, check: Check = CHECK) -> str:
    return remove_node(parse(text), name, check).after.text


def added_lines(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that are new, and those that are gone."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found = list(_changes(difflib.ndiff(old, new)))
    return [text for sign, text in found if sign == "+"], [text for sign, text in found if sign == "-"]


def _changes(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if line[0] in "+-":
            yield line[0], line[2:]
