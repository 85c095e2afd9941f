"""An edit: the new text, proved to say what was meant and nothing else."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.nodes import MappingNode

from mesh.edit.document import Document, Entry, entries, entry, fresh, parse
from mesh.edit.errors import EditError
from mesh.edit.splice import by_hand

__all__ = ["Check", "Edit", "edited", "inside", "node_entry", "nodes_of", "require_valid"]

Check = Callable[[Mapping[Any, Any]], str | None]
"""Reads the value of a mesh, and returns its mistakes in words; None when there is none."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """The file after an edit, the mesh in it, and what its author should know."""

    before: Document
    after: Document
    remarks: tuple[str, ...] = ()


def require_valid(document: Document, check: Check) -> None:
    """Raise `EditError` for a mesh that has mistakes before it is edited."""
    mistakes = check(document.value)
    if mistakes is not None:
        raise EditError(f"nothing was changed, because {mistakes}\nCorrect the file first.")


def edited(
    document: Document,
    text: str,
    change: Callable[[dict[Any, Any]], None],
    check: Check,
    remarks: Iterable[str] = (),
) -> Edit:
    """Return the edit to a new text, whose values must be those that `change` makes of the former ones.

    Raises `EditError` for an edit that `check` refuses, and for a text that comes to anything else.
    """
    wanted = fresh(document.whole)
    change(wanted["config"][document.key])
    mistakes = check(wanted["config"][document.key])
    if mistakes is not None:
        raise EditError(f"nothing was changed, because after this edit {mistakes}")
    try:
        after = parse(text, key=document.key)
    except EditError:
        raise by_hand(document.mesh.key) from None
    if repr(after.whole) != repr(wanted):  # with the order of the keys
        raise EditError(
            "the layout of the mesh is not edited here, perhaps because of an anchor or of `<<`: edit "
            "it by hand"
        )
    return Edit(before=document, after=after, remarks=tuple(remarks))


def nodes_of(document: Document) -> MappingNode:
    """Return the mapping of nodes, which must stand in the mesh itself. Raises `EditError`."""
    found = entry(document.mesh.value, "nodes")
    if found is None or not isinstance(found.value, MappingNode):
        raise EditError(f"config.{document.key} has no mapping `nodes:` of its own: edit the file by hand")
    nodes: MappingNode = inside(found)
    return nodes


def inside(found: Entry) -> Any:
    """Return the value of an entry, if the value is written there. Raises `EditError` for an alias."""
    if found.value.start_mark.index < found.key.end_mark.index:
        raise EditError(
            f"line {found.key.start_mark.line + 1}: {found.key.value} is an alias (`*name`), and a "
            f"change of it would change another place, too: edit the file by hand"
        )
    return found.value


def node_entry(document: Document, name: str) -> Entry:
    """Return a node's entry. Raises `EditError` for a node that there is not, or that is merged in."""
    nodes = nodes_of(document)
    found = entry(nodes, name)
    if found is None:
        known = ", ".join(str(each.key.value) for each in entries(nodes))
        raise EditError(f"{name!r} is not a node of this mesh; it has {known}")
    return found
