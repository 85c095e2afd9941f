"""A stack file as text and as values: where the mesh stands in it, and where each part of the mesh stands.

The parser (ruamel.yaml) only says where things are. Edits replace parts of the text, because a parser that
writes a file again changes lines that nobody asked it to change: long lines, indentation, quotes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mesh.edit.errors import EditError
from mesh.stackfile.names import MESH

__all__ = [
    "Document",
    "Entry",
    "end_of",
    "end_of_entry",
    "entries",
    "entry",
    "fresh",
    "items",
    "line_of",
    "parse",
]


@dataclass(frozen=True)
class Entry:
    """A key of a mapping with its value, as the parser found them."""

    key: Any
    value: Any


@dataclass(frozen=True, kw_only=True)
class Document:
    """A stack file: its text, the key of the mesh under `config`, the mesh's entry and value."""

    text: str
    key: str
    mesh: Entry
    value: Mapping[Any, Any]
    whole: Any


def parse(text: str, *, project: str | None = None, key: str | None = None) -> Document:
    """Find the mesh in a stack file.

    `project` is the project's name, which the mesh's key begins with; `key` is that key, where it is another
    one. Raises `EditError`.
    """
    yaml = YAML(typ="safe", pure=True)  # YAML 1.2, as Pulumi reads a stack file
    try:
        root = yaml.compose(text)
        whole = fresh(_values(yaml, root))
    except YAMLError as error:
        raise EditError(_not_yaml(error)) from None
    except RecursionError:
        raise EditError("an anchor contains itself (`&name` around `*name`); write the value out") from None
    config = entry(root, "config")
    if config is None or not isinstance(config.value, MappingNode):
        raise EditError("has no mapping `config:`; docs/stack-file.md has an example")
    found = _mesh_key(config.value, project, key)
    mesh = entry(config.value, found)
    value = whole["config"].get(found)
    if mesh is None or not isinstance(value, Mapping) or not isinstance(mesh.value, MappingNode):
        raise EditError(
            f"config.{found} is not a mapping of keys and values; write cidr and nodes below it, as in "
            f"docs/stack-file.md"
        )
    return Document(text=text, key=found, mesh=mesh, value=value, whole=whole)


def _values(yaml: Any, root: Any) -> Any:
    """Return what a parsed file says; the parsed file stays without what `<<` merges into its mappings."""
    own = {id(node): (node, list(node.value)) for node in _collections(root, set())}
    try:
        return yaml.constructor.construct_document(root) if root is not None else None
    finally:
        for node, value in own.values():
            node.value = value


def _collections(node: Any, seen: set[int]) -> Iterator[Any]:
    if isinstance(node, ScalarNode) or node is None or id(node) in seen:
        return
    seen.add(id(node))
    yield node
    for each in node.value:
        for part in each if isinstance(each, tuple) else (each,):
            yield from _collections(part, seen)


def _not_yaml(error: YAMLError) -> str:
    """Say what is wrong and where; the parser's own words show lines of the file, and secrets in them."""
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}: " if mark is not None else ""
    twice = re.match(r'found duplicate key "([^"]*)"', problem or "")
    said = f"the key {twice[1]} is given twice" if twice else problem or "it cannot be read"
    return f"not valid YAML: {place}{said}"


def _mesh_key(config: MappingNode, project: str | None, key: str | None) -> str:
    keys = [str(each.key.value) for each in entries(config)]
    wanted = key or (f"{project}:{MESH}" if project else None)
    if wanted is not None:
        if wanted not in keys:
            known = ", ".join(keys) or "nothing"
            raise EditError(
                f"has no `{wanted}` under `config:`; it has {known}; name the mesh's key with --key"
            )
        return wanted
    found = [each for each in keys if each.endswith(f":{MESH}")]
    if len(found) != 1:
        known = ", ".join(keys) or "nothing"
        raise EditError(f"the mesh's key under `config:` is not known; it has {known}; name it with --key")
    return found[0]


def entries(node: object) -> Iterator[Entry]:
    """Yield what a mapping has, in the order of the file; nothing of what is no mapping."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield Entry(key, value)


def entry(node: object, name: str) -> Entry | None:
    """Return the entry of this name that stands in a mapping itself; None without one."""
    return next((each for each in entries(node) if each.key.value == name), None)


def items(node: object) -> list[Any]:
    """Return the items of a list; an empty list for what is none."""
    return list(node.value) if isinstance(node, SequenceNode) else []


def end_of(text: str, node: Any) -> int:
    """Return where a value ends, without the comments and blank lines that the parser counts to it."""
    if isinstance(node, ScalarNode):
        end = int(node.end_mark.index)
        return len(text[:end].rstrip()) if node.style in {"|", ">"} else end
    if node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    if isinstance(last, tuple):
        return end_of_entry(text, Entry(*last))
    if last.start_mark.index < node.start_mark.index:  # an alias
        return len(text[: node.end_mark.index].rstrip())
    return end_of(text, last)


def end_of_entry(text: str, found: Entry) -> int:
    """Return where an entry of a mapping ends, also one whose value is an alias."""
    end = int(found.key.end_mark.index)
    alias = re.match(r"\s*:\s*\*[^\s,\[\]{}]+", text[end:])
    return end + alias.end() if alias else end_of(text, found.value)


def line_of(node: Node) -> int:
    """Return the number of the line that a value begins on; the first line is 1."""
    return int(node.start_mark.line) + 1


def fresh(value: Any) -> Any:
    """Return a copy in which nothing is shared, as what aliases name is in a parsed file."""
    if isinstance(value, Mapping):
        return {key: fresh(each) for key, each in value.items()}
    if isinstance(value, list):
        return [fresh(each) for each in value]
    return value
