"""Lists of the stack file: what is written as one value, and should be a list of values."""

import itertools
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from pydantic_core import PydanticCustomError

from mesh.settings.problems import Instead, refuse, show

__all__ = ["items", "list_of"]

_DASHES: Final = re.compile(r"\s*-\S")
_MOST: Final = 8  # ways to write one list that are told apart


def items(value: object) -> tuple[object, ...]:
    """A list of mappings."""
    return _items(_mapping, value)


def list_of(field: Callable[[object], object]) -> Callable[[object], tuple[object, ...]]:
    """A list whose entries `field` takes; the entries themselves are read elsewhere."""
    return partial(_items, field)


def _items(field: Callable[[object], object], value: object) -> tuple[object, ...]:
    if isinstance(value, list | tuple):
        return tuple(value)
    said = f"{show(value)} is not a list"
    if isinstance(value, Mapping) and value:
        raise refuse(
            f"{said}; put `- ` before its first key, or brackets around: [{{...}}]", *_lists(field, [value])
        )
    if value is None or isinstance(value, bool | Mapping) or not str(value).strip():
        raise refuse(f"{said}; write [...]")
    lists = _lists(field, _entries(value))
    if not lists:
        raise refuse(f"{said}; write [...]")
    dashes = ", or `- ` with a space before each entry" if _DASHES.match(str(value)) else ""
    raise refuse(f"{said}; write {' or '.join(map(_shown, lists))}{dashes}", *lists)


def _mapping(value: object) -> object:
    if not isinstance(value, Mapping):
        raise refuse(f"{show(value)} is not a mapping of keys and values")
    return value


def _entries(value: object) -> list[object]:
    """Split a text at commas and spaces, but no public key."""
    if (
        not isinstance(value, str)
        or re.match(r"\s*(ssh|ecdsa|sk-ssh|sk-ecdsa)-", value)
        or "PRIVATE KEY" in value
    ):
        return [value]
    if _DASHES.match(value):  # `-tcp/80` without the space after the dash
        return [entry for entry in re.split(r"(?:^|\s)-\s*", value.strip()) if entry]
    inner = value.strip().removeprefix("[").removesuffix("]")
    return [entry for entry in re.split(r"[,;\s]+", inner) if entry] or [value]


def _lists(field: Callable[[object], object], entries: list[object]) -> list[list[object]]:
    """Return the lists that can be meant: every entry as it is, or as its own refusal says it should be."""
    ways = [_ways(field, entry) for entry in entries]
    return [list(each) for each in itertools.islice(itertools.product(*ways), _MOST)]


def _ways(field: Callable[[object], object], entry: object) -> list[object]:
    try:
        field(entry)
    except PydanticCustomError as error:
        instead: tuple[Instead, ...] = (error.context or {}).get("instead", ())
        return [each.write for each in instead]
    return [entry]


def _shown(entries: list[object]) -> str:
    """Return a list as the file has it: cut, and never with a private key."""
    inner = ", ".join(str(entry) for entry in entries)
    shown = show(inner)
    return f"[{inner}]" if shown == repr(inner) else shown
