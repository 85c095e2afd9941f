"""GitHub's expressions, as far as the workflows here use them: `${{ vars.A || 'b' }}`.

https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["condition", "evaluate", "filled"]

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z_][\w-]*)|(?P<mark>\|\||&&|==|!=|[!()\[\].,*]))"
)
_STATUS: Final = ("success", "failure", "cancelled", "always")


class _Reader:
    def __init__(self, text: str, contexts: Mapping[str, Any]) -> None:
        self._tokens: list[tuple[str, str]] = list(_tokens(text))
        self._contexts = contexts

    def whole(self) -> Any:
        value = self._any()
        assert not self._tokens, f"left over: {self._tokens}"
        return value

    def _take(self, *wanted: str) -> str | None:
        if self._tokens and self._tokens[0][1] in wanted and self._tokens[0][0] == "mark":
            return self._tokens.pop(0)[1]
        return None

    def _any(self) -> Any:
        value = self._all()
        while self._take("||"):
            other = self._all()
            value = value or other
        return value

    def _all(self) -> Any:
        value = self._compared()
        while self._take("&&"):
            other = self._compared()
            value = value and other
        return value

    def _compared(self) -> Any:
        value = self._negated()
        while mark := self._take("==", "!="):
            other = self._negated()
            value = _equal(value, other) == (mark == "==")
        return value

    def _negated(self) -> Any:
        return not self._negated() if self._take("!") else self._path()

    def _path(self) -> Any:
        value = self._first()
        while self._take("."):
            if self._take("*"):
                continue  # what comes next is of every entry
            _, name = self._tokens.pop(0)
            value = (
                [_member(each, name) for each in value] if isinstance(value, list) else _member(value, name)
            )
        return value

    def _first(self) -> Any:
        if self._take("("):
            value = self._any()
            assert self._take(")")
            return value
        kind, text = self._tokens.pop(0)
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return int(text)
        if self._take("("):
            return self._call(text)
        return {"true": True, "false": False, "null": None}.get(text, self._contexts.get(text))

    def _call(self, name: str) -> Any:
        words = []
        while not self._take(")"):
            words.append(self._any())
            self._take(",")
        if name in _STATUS:
            return self._contexts["status"][name]
        match name:
            case "contains":
                found = words[0] or ""
                return (
                    any(_equal(each, words[1]) for each in found)
                    if isinstance(found, list)
                    else words[1] in found
                )
            case "fromJSON":
                return json.loads(words[0])
        raise AssertionError(f"the function {name} is not known here")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        assert found is not None, f"cannot read {text[position:]!r}"
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]
        position = found.end()


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return one.lower() == other.lower()
    return bool((one or "") == (other or ""))  # null equals an empty string


def evaluate(text: str, contexts: Mapping[str, Any]) -> Any:
    """Return the value of an expression, without its braces."""
    return _Reader(text, contexts).whole()


def filled(value: Any, contexts: Mapping[str, Any]) -> Any:
    """Return a value of a workflow with every expression in it replaced."""
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{\{(.*?)\}\}", value.strip(), re.DOTALL)
    if whole and value.count("${{") == 1:
        return evaluate(whole[1], contexts)
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: _text(evaluate(found[1], contexts)), value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def condition(text: Any, contexts: Mapping[str, Any]) -> bool:
    """Return whether a job or step runs: a condition that names no status holds only after success."""
    written = str(True if text is None else text).strip().removeprefix("${{").removesuffix("}}")
    value = bool(evaluate(written.replace("True", "true"), contexts))
    named = any(re.search(rf"\b{each}\(", written) for each in _STATUS)
    return value if named else value and bool(contexts["status"]["success"])
