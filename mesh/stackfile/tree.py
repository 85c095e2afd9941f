"""A YAML document with the place of every key and value, read as Pulumi reads it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from mesh.stackfile.scalars import octal, plain_value
from mesh.stackfile.syntax import Mark, NotYamlError, words_for

__all__ = ["Node", "read_yaml"]

_STRING: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "<<"
_MOST_TABS: Final = 200
_MOST: Final = 200_000  # nodes, aliases followed: far more than a stack file has


@dataclass(kw_only=True)
class Node:
    """One value: `kind` is scalar, mapping or sequence.

    Of a mapping, `entries` has key and value in the order of the file, keys as text, and `again` the keys
    that are given more than once. Line and column begin with 1.
    """

    mark: Mark
    kind: str
    scalar: object = None
    is_octal: bool = False
    entries: list[tuple[str, "Node", "Node"]] = field(default_factory=list)
    again: list[tuple[str, "Node", "Node"]] = field(default_factory=list)
    items: list["Node"] = field(default_factory=list)
    size: int = 1

    def value(self) -> Any:
        """Return the plain value, as a program gets it."""
        if self.kind == "mapping":
            return {key: inner.value() for key, _, inner in self.entries}
        if self.kind == "sequence":
            return [inner.value() for inner in self.items]
        return self.scalar

    def get(self, key: str) -> "Node | None":
        """Return the value at a key; None where there is none."""
        return next((inner for name, _, inner in self.entries if name == key), None)

    def key(self, key: str) -> "Node | None":
        """Return a key itself."""
        return next((own for name, own, _ in self.entries if name == key), None)

    def below(self, path: Sequence[int | str] = ()) -> Iterator[tuple[tuple[int | str, ...], "Node"]]:
        """Yield every value with its path, this one first."""
        yield tuple(path), self
        for name, _, inner in self.entries:
            yield from inner.below((*path, name))
        for index, inner in enumerate(self.items):
            yield from inner.below((*path, index))


def read_yaml(text: str) -> Node:
    """Read the first document. Raises `NotYamlError` with the place and a remedy."""
    events = _events(text)
    for event in events:
        if isinstance(event, DocumentStartEvent):
            return _Builder(events).node(next(events))
        if isinstance(event, StreamEndEvent):
            break
    return Node(mark=Mark(1, 1), kind="scalar")


def _events(text: str) -> Iterator[Event]:
    """Read the events; a tab between a key and its value is a space for Pulumi, and none for this reader."""
    for _ in range(_MOST_TABS):
        try:
            return iter(list(YAML(typ="safe", pure=True).parse(text)))
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = text.split("\n")[mark.line] if mark is not None else ""
            if mark is None or line[mark.column : mark.column + 1] != "\t" or not line[: mark.column].strip():
                raise words_for(error, text) from None
            at = sum(len(above) + 1 for above in text.split("\n")[: mark.line]) + mark.column
            text = f"{text[:at]} {text[at + 1 :]}"
    raise NotYamlError(Mark(1, 1), "too many tabs; write spaces in place of tabs")


class _Builder:
    """Makes nodes of the reader's events."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}

    def node(self, event: Event) -> Node:
        mark = Mark(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, AliasEvent):
            return self._alias(event, mark)
        if isinstance(event, MappingStartEvent):
            made = self._mapping(mark)
        elif isinstance(event, SequenceStartEvent):
            made = self._sequence(mark)
        else:
            assert isinstance(event, ScalarEvent)
            made = _scalar(event, mark)
        if made.size > _MOST:
            raise NotYamlError(mark, "the file has too many values; remove aliases (`*`)")
        if event.anchor is not None:
            self._anchors[event.anchor] = made
        return made

    def _alias(self, event: AliasEvent, mark: Mark) -> Node:
        found = self._anchors.get(event.anchor)
        if found is None:
            said = f"`*{event.anchor}` is an alias for a value that is not there; put a text with * in quotes"
            raise NotYamlError(mark, f"{said}: '*{event.anchor}'")
        return found

    def _sequence(self, mark: Mark) -> Node:
        made = Node(mark=mark, kind="sequence")
        while not isinstance(event := next(self._events), SequenceEndEvent):
            made.items.append(self.node(event))
        made.size += sum(item.size for item in made.items)
        return made

    def _mapping(self, mark: Mark) -> Node:
        made = Node(mark=mark, kind="mapping")
        merged: list[Node] = []
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self.node(event)
            value = self.node(next(self._events))
            if key.kind != "scalar":
                raise NotYamlError(
                    key.mark,
                    "a key is a list or a mapping; write a name, and put a text with { or [ in quotes",
                )
            name = _key_text(key.scalar)
            if name == _MERGE:
                merged += value.items or [value]
            elif made.get(name) is not None:
                made.again.append((name, key, value))
            else:
                made.entries.append((name, key, value))
        for other in merged:
            made.entries += [entry for entry in other.entries if made.get(entry[0]) is None]
        made.size += sum(value.size for _, _, value in made.entries)
        return made


def _scalar(event: ScalarEvent, mark: Mark) -> Node:
    plain = event.style is None and event.tag is None
    value = plain_value(event.value) if plain else event.value
    return Node(mark=mark, kind="scalar", scalar=value, is_octal=plain and octal(event.value))


def _key_text(key: object) -> str:
    """Return a key as Pulumi makes text of it: in Go's words."""
    if isinstance(key, bool):
        return str(key).lower()
    return "<nil>" if key is None else str(key)
