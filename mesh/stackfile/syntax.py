"""What a YAML reader cannot read, in words for the person who wrote it: where, what, and what to write."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from mesh.settings.problems import show

__all__ = ["Mark", "NotYamlError", "words_for"]


class Mark(NamedTuple):
    """A place in a file: line and column, both from 1."""

    line: int
    column: int


class NotYamlError(Exception):
    """A file is no YAML; `mark` says where, `message` what helps."""

    def __init__(self, mark: Mark, message: str) -> None:
        self.mark = mark
        self.message = message
        super().__init__(message)


_NO_COLON: Final = re.compile(r"(\s*(?:- )?)([A-Za-z][\w.:-]*)\s+(\S.*)")
_NO_SPACE: Final = re.compile(r"\s*(?:- )?([A-Za-z][\w-]*):(\S+)\s*")
_KEY: Final = re.compile(r"\s*(?:- )*[^\s:][^:]*:(?=\s|$)")
_CONFIG: Final = re.compile(r"config:\s*(#.*)?")
_SPECIAL: Final = re.compile(r"(?<=[\s\[{,:])[*&!%@`]")


def words_for(error: YAMLError, text: str) -> NotYamlError:
    """Return what to say of an error of the YAML reader."""
    if isinstance(error, ReaderError):
        return _not_allowed(text, error.position)
    assert isinstance(error, MarkedYAMLError)
    found = error.problem_mark or error.context_mark
    began = error.context_mark or found
    problem = str(error.problem)
    lines = text.split("\n")
    for begin, words in _WORDS.items():
        if problem.startswith(begin):
            mark = began if words in (_no_colon, _not_closed, _open_quote) else found
            return words(lines, Mark(mark.line + 1, mark.column + 1), problem)
    return _character(lines, Mark(found.line + 1, found.column + 1), problem)


def _not_allowed(text: str, position: int) -> NotYamlError:
    before = text[:position]
    mark = Mark(before.count("\n") + 1, position - before.rfind("\n"))
    return NotYamlError(mark, f"the character U+{ord(text[position]):04X} is not allowed; remove it")


def _line(lines: Sequence[str], number: int) -> str:
    return lines[number - 1] if 0 < number <= len(lines) else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _above(lines: Sequence[str], number: int) -> int:
    """Return the number of the nearest line above that says something; 0 when there is none."""
    for above in range(number - 1, 0, -1):
        line = _line(lines, above).strip()
        if line and not line.startswith("#"):
            return above
    return 0


def _no_colon(lines: Sequence[str], mark: Mark, _problem: str) -> NotYamlError:
    line = _line(lines, mark.line)
    words = _NO_COLON.fullmatch(line.rstrip())
    if words is not None:
        written = f"{words[2].rstrip(':')}: {words[3]}"
        return NotYamlError(mark, f"{show(line)} has no colon after the key; write {_shown(written)}")
    tight = _NO_SPACE.fullmatch(line)
    if tight is not None:
        return NotYamlError(mark, f"no space after the colon; write {_shown(f'{tight[1]}: {tight[2]}')}")
    return NotYamlError(mark, f"{show(line)} has no colon; write `key: value`, or `key:` before a block")


def _shown(text: str) -> str:
    shown = show(text)
    return f"`{text}`" if shown == repr(text) else shown


def _colon_too_many(lines: Sequence[str], mark: Mark, problem: str) -> NotYamlError:
    """A key where none can be: a colon is missing above, quotes are missing, or the line is too far right."""
    line = _line(lines, mark.line)
    first = _KEY.match(line)
    if first is not None and first.end() < mark.column:
        told = "a second colon in one line; put a value with a colon in quotes, or begin a line for its key"
        return NotYamlError(mark, told)
    above = _above(lines, mark.line)
    before = _line(lines, above)
    if above and not re.search(r":(\s|$)", before):
        return _no_colon(lines, Mark(above, _indent(before) + 1), problem)
    if not above or _indent(line) <= _indent(before):
        return NotYamlError(mark, "a colon where none can be; put the value in quotes")
    told = (
        f"a key is indented further than line {above}, which has a value already; indent it like line "
        f"{above}, or take the value out of line {above}"
    )
    if _indent(before) == 0 and not any(_CONFIG.fullmatch(each) for each in lines):
        told = (
            f"a key is indented, and the line above it has a value already; write `config:` above line "
            f"{mark.line}"
        )
    return NotYamlError(Mark(mark.line, _indent(line) + 1), told)


def _indentation(lines: Sequence[str], mark: Mark, problem: str) -> NotYamlError:
    line = _line(lines, mark.line)
    if problem.endswith(("'}'", "']'")):
        return NotYamlError(mark, "a bracket is closed that is not open; remove it, or open it before")
    above = _above(lines, mark.line)
    dash = re.match(r"\s*-\S", _line(lines, above))
    if dash is not None:
        return NotYamlError(
            Mark(above, dash.end() - 1), "no space after the dash; write `- ` before an entry"
        )
    if line.lstrip().startswith("- "):
        return NotYamlError(mark, "an entry of a list among keys; indent it below the key of its list")
    told = f"the indentation of {_indent(line)} spaces fits no line above; indent it like the keys beside it"
    return NotYamlError(mark, told)


def _not_closed(lines: Sequence[str], mark: Mark, problem: str) -> NotYamlError:
    opened = _line(lines, mark.line)[mark.column - 1 : mark.column] or "{"
    closing = "]" if opened == "[" else "}"
    got = problem.rpartition("got ")[2]
    got = {"'<stream end>'": "the end of the file", "'<scalar>'": "the next value", "':'": "a colon"}.get(
        got, got
    )
    told = (
        f"the {opened} that opens here is not closed, or a comma is missing before {got}; write , between "
        f"entries and {closing} at the end"
    )
    return NotYamlError(mark, told)


def _open_quote(_lines: Sequence[str], mark: Mark, _problem: str) -> NotYamlError:
    return NotYamlError(mark, "the quote that begins here is not closed; write the same quote at the end")


def _tab(_lines: Sequence[str], mark: Mark, _problem: str) -> NotYamlError:
    return NotYamlError(mark, "a tab cannot indent in YAML; write spaces in place of the tab")


def _escape(_lines: Sequence[str], mark: Mark, _problem: str) -> NotYamlError:
    told = "a backslash in double quotes begins a special character; write single quotes"
    return NotYamlError(mark, told)


def _character(lines: Sequence[str], mark: Mark, problem: str) -> NotYamlError:
    line = _line(lines, mark.line)
    special = _SPECIAL.search(line[: mark.column])
    if special is not None:
        told = f"a value cannot begin with {special[0]} in YAML; put the value in quotes"
        return NotYamlError(Mark(mark.line, special.start() + 1), told)
    return NotYamlError(mark, f"this is no YAML ({problem}); put a value with special characters in quotes")


_WORDS: Final[Mapping[str, Callable[[Sequence[str], Mark, str], NotYamlError]]] = {
    "mapping values are not allowed": _colon_too_many,
    "could not find expected ':'": _no_colon,
    "expected <block end>": _indentation,
    "expected ',' or": _not_closed,
    "found unexpected end of stream": _open_quote,
    "found character '\\t'": _tab,
    "found unknown escape character": _escape,
}
"""By the beginning of what the reader says (ruamel.yaml, scanner.py and parser.py)."""
