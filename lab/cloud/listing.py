"""Lists: filters, label selectors, sorting, pages (https://docs.hetzner.cloud, section Pagination)."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import QueryParams

from lab.cloud.errors import invalid

__all__ = ["page"]

_PER_PAGE: Final = 25
_MOST_PER_PAGE: Final = 50
_TERM: Final = re.compile(
    r"\s*(!)?([\w./-]+)\s*(?:(==|=|!=)\s*([\w.-]*)|(\bin\b|\bnotin\b)\s*\(([^)]*)\))?\s*"
)


def page(
    name: str,
    records: Sequence[Mapping[str, Any]],
    query: QueryParams,
    *,
    filters: Sequence[str] = ("name",),
    sorts: Sequence[str] = ("id", "name", "created"),
) -> dict[str, Any]:
    """Return one page of a list, with what the query says. Raises `ApiError`."""
    found = [record for record in records if _matches(record, query, filters)]
    for key in reversed(query.getlist("sort")):
        field, _, order = key.partition(":")
        if field not in sorts or order not in {"", "asc", "desc"}:
            raise invalid("sort", f"{key!r} is not one of {', '.join(sorts)}")
        found.sort(key=lambda record: record[field], reverse=order == "desc")
    number, size = _number(query, "page", 1, None), _number(query, "per_page", _PER_PAGE, _MOST_PER_PAGE)
    last = max(1, math.ceil(len(found) / size))
    start = (number - 1) * size
    return {
        name: found[start : start + size],
        "meta": {
            "pagination": {
                "page": number,
                "per_page": size,
                "previous_page": number - 1 if number > 1 else None,
                "next_page": number + 1 if number < last else None,
                "last_page": last,
                "total_entries": len(found),
            }
        },
    }


def _number(query: QueryParams, name: str, default: int, most: int | None) -> int:
    text = query.get(name, str(default))
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < 1:
        raise invalid(name, f"{text!r} is not a positive number")
    return int(text) if most is None else min(int(text), most)


def _matches(record: Mapping[str, Any], query: QueryParams, filters: Sequence[str]) -> bool:
    for name in filters:
        wanted = query.getlist(name)
        if wanted and str(record.get(name)) not in wanted:
            return False
    selector = query.get("label_selector")
    return selector is None or selector_matches(selector, record.get("labels") or {})


def selector_matches(selector: str, labels: Mapping[str, str]) -> bool:
    """Whether labels match a selector such as `env=prod,tier in (a,b),!old`. Raises `ApiError`."""
    return all(_term(term)(labels) for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _term(text: str) -> Callable[[Mapping[str, str]], bool]:
    match = _TERM.fullmatch(text)
    if match is None:
        raise invalid("label_selector", f"{text!r} is not a selector")
    negated, key, operator, value, within, values = match.groups()
    if within:
        allowed = {item.strip() for item in values.split(",")}
        return lambda labels: (labels.get(key) in allowed) == (within == "in")
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator:
        return lambda labels: labels.get(key) == value
    return lambda labels: (key in labels) != bool(negated)
