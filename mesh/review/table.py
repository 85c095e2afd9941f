"""Read the firewall table of a node as nftables reads the file: sets, chains, and rules as words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mesh.review.elements import Elements, NotUnderstoodError

__all__ = ["Chain", "Table", "read_table"]

_TOKEN: Final = re.compile(r'#[^\n]*|"[^"\n]*"|[{};,]|\n|[^\s{};,"#]+')
_SET_KEYS: Final = {"type", "flags", "elements"}
# nft(8), standard priorities
_HOOKS: Final = {"raw": -300, "mangle": -150, "filter": 0, "security": 50, "srcnat": 100}


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A chain and its rules, each a sequence of words; `hook` is empty for one that others jump to."""

    hook: str
    priority: int
    policy: str
    rules: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The table of a node: the elements of each set, and the chains in their order."""

    sets: Mapping[str, Elements]
    chains: Mapping[str, Chain]


def read_table(text: str) -> Table:
    """Read the one table `inet wgmesh` that a file may have. Raises `NotUnderstoodError`."""
    statements = _Words(text)
    for expected in (("table", "inet", "wgmesh"), ("delete", "table", "inet", "wgmesh")):
        if tuple(statements.line()) != expected:
            raise NotUnderstoodError(f"the file does not begin with `{' '.join(expected)}`")
    if statements.until("{") != ["table", "inet", "wgmesh"]:
        raise NotUnderstoodError("the file has another table than `inet wgmesh`")
    sets: dict[str, Elements] = {}
    chains: dict[str, Chain] = {}
    while (kind := statements.until("{", "}")) or not statements.ended_block:
        match kind:
            case ["set", name] if name not in sets:
                sets[name] = Elements(tuple(_elements(statements)))
            case ["chain", name] if name not in chains:
                chains[name] = _chain(statements)
            case _:
                raise NotUnderstoodError(f"`{' '.join(kind)}`")
    if statements.rest():
        raise NotUnderstoodError("the file has more than one table")
    return Table(sets=sets, chains=chains)


class _Words:
    """The words of the file, one after the other."""

    def __init__(self, text: str) -> None:
        found = (match[0] for match in _TOKEN.finditer(text))
        self._words = [word for word in found if not word.startswith("#")]
        self._next = 0
        self.ended_block = False
        """Whether the last word read closed a block."""

    def take(self) -> str:
        if self._next == len(self._words):
            raise NotUnderstoodError("the table has no end")
        word = self._words[self._next]
        self._next += 1
        self.ended_block = word == "}"
        return word

    def until(self, *ends: str) -> list[str]:
        """Take words up to one of these, which is taken, too; line ends do not count."""
        found = []
        while (word := self.take()) not in ends:
            if word != "\n":
                found.append(word)
        return found

    def line(self) -> list[str]:
        """Take the next line that has words."""
        while not (found := self.until_line_end()):
            pass
        return found

    def until_line_end(self) -> list[str]:
        found = []
        while (word := self.take()) != "\n":
            found.append(word)
        return found

    def rest(self) -> list[str]:
        return [word for word in self._words[self._next :] if word != "\n"]


def _elements(words: _Words) -> Iterator[tuple[str, ...]]:
    """Yield the elements of a set, up to its end."""
    while line := _statement(words):
        if line[0] not in _SET_KEYS:
            raise NotUnderstoodError(f"`{' '.join(line)}` in a set")
        if line[0] == "elements":
            if line[1:] != ["=", "{"]:
                raise NotUnderstoodError(f"`{' '.join(line)}` in a set")
            while (element := words.until(",", "}")) or not words.ended_block:
                yield tuple(element)
                if words.ended_block:
                    break


def _statement(words: _Words) -> list[str]:
    """Take one statement of a set: up to the line's end or an opening brace; empty at the set's end."""
    found: list[str] = []
    while True:
        word = words.take()
        if word == "}" and not found:
            return []
        if word in {"\n", ";"}:
            if found:
                return found
            continue
        found.append(word)
        if word == "{":
            return found


def _chain(words: _Words) -> Chain:
    rules: list[Sequence[str]] = []
    hook, priority, policy = "", 0, "accept"
    while (rule := _rule(words)) is not None:
        match rule:
            case ["type", "filter", "hook", hook_, "priority", level]:
                hook, priority = hook_, _priority(level)
            case ["type", "nat", "hook", "postrouting" as hook_, "priority", level]:
                # gives packets that pass another source, and lets in nothing
                hook, priority = hook_, _priority(level)
            case ["type", *_]:
                raise NotUnderstoodError(f"`{' '.join(rule)}`")
            case ["policy", given]:
                policy = given
            case _:
                rules.append(tuple(rule))
    return Chain(hook=hook, priority=priority, policy=policy, rules=tuple(rules))


def _priority(level: str) -> int:
    if level not in _HOOKS:
        raise NotUnderstoodError(f"priority {level}")
    return _HOOKS[level]


def _rule(words: _Words) -> list[str] | None:
    """Take one rule of a chain, with the braces that it has; None at the chain's end."""
    found: list[str] = []
    depth = 0
    while True:
        word = words.take()
        if word == "}" and depth == 0:
            if found:
                raise NotUnderstoodError(f"`{' '.join(found)}` ends with the chain")
            return None
        depth += (word == "{") - (word == "}")
        if word in {"\n", ";"} and depth == 0:
            if found:
                return found
            continue
        if word != "\n":
            found.append(word)
