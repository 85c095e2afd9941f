"""Lists: filters, label selectors, sorting, pages (https://docs.hetzner.cloud, section Pagination)."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from starlette.datastructures import URL, QueryParams

from lab.cloud.errors import invalid

__all__ = ["check_selector", "links", "page", "selector_matches"]

_PER_PAGE: Final = 25
_MOST_PER_PAGE: Final = 50
_TERM: Final = re.compile(
    r"\s*(!?)\s*([\w./-]+)\s*(?:(==|=|!=)\s*([\w.-]*)|\s(in|notin)\s*\(([^()]*)\))?\s*", re.ASCII
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
        field, colon, order = key.partition(":")
        if field not in sorts or order not in ({"asc", "desc"} if colon else {""}):
            raise invalid("sort", f"{key!r} is not one of {', '.join(sorts)}, each with :asc or :desc")
        found.sort(key=lambda record: _sortable(record[field]), reverse=order == "desc")
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


def _sortable(value: Any) -> tuple[bool, Any]:
    """Put what has no value yet, such as the end of a running action, last."""
    return (value is None, 0 if value is None else value)


def links(url: URL, pagination: Mapping[str, Any]) -> str:
    """Return the Link header of a page: where the previous, the next and the last one are."""
    pages = {"prev": pagination["previous_page"], "next": pagination["next_page"]}
    if pagination["next_page"] is not None:
        pages["last"] = pagination["last_page"]
    return ", ".join(
        f'<{url.include_query_params(page=number)}>; rel="{name}"'
        for name, number in pages.items()
        if number is not None
    )


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
    return all(term(labels) for term in _terms(selector))


def check_selector(field: str, selector: str) -> None:
    """Refuse what is no selector. Raises `ApiError`."""
    if not selector.strip():
        raise invalid(field, "is empty")
    _terms(selector, field)


def _terms(selector: str, field: str = "label_selector") -> list[Callable[[Mapping[str, str]], bool]]:
    return [_term(term, field) for term in re.split(r",(?![^(]*\))", selector) if term.strip()]


def _term(text: str, field: str) -> Callable[[Mapping[str, str]], bool]:
    match = _TERM.fullmatch(text)
    if match is None or (match[1] and (match[3] or match[5])):
        raise invalid(field, f"{text!r} is not a selector")
    negated, key, operator, value, within, values = match.groups()
    if within:
        allowed = {item.strip() for item in values.split(",")}
        return lambda labels: (labels.get(key) in allowed) == (within == "in")
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator:
        return lambda labels: labels.get(key) == value
    return lambda labels: (key in labels) != bool(negated)
