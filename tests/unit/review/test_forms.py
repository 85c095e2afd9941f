"""A review as GitHub renders it, within its limit, and with nothing that breaks out of its place."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options

from mesh.review import as_markdown, as_terminal, review
from tests.unit.review.cases import CASES, MESH
from tests.unit.review.previews import changed, preview_of
from tests.unit.review.test_recorded import recorded

_VOID = {"br", "hr", "img", "input"}
_OURS = {
    *("h2", "h3", "p", "ul", "li", "strong", "code", "pre", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Structure(HTMLParser):
    """The elements of a page: every one closed, and only those that a review has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.code = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _OURS, tag
        assert dict(attrs).keys() <= {"lang", "class"}, attrs
        self.seen.append(tag)
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "pre" in self.open:
            self.code += data


def rendered(markdown: str) -> Structure:
    """As GitHub does: with tables, with links by themselves, and with raw HTML but for dangerous elements."""
    unsafe = Options.CMARK_OPT_UNSAFE
    return Structure(cmarkgfm.github_flavored_markdown_to_html(markdown, unsafe))


@pytest.mark.parametrize("case", [case.name for case in CASES])
def test_every_golden_file_renders_with_its_structure(case: str) -> None:
    markdown = as_markdown(review(recorded("pulumi", case)))
    page = rendered(markdown)
    assert page.seen.count("h2") == 1
    assert page.seen.count("details") == markdown.count("<details>")
    assert page.seen.count("tr") == len(re.findall(r"^\| ", markdown, re.MULTILINE)) - page.seen.count(
        "table"
    )
    for line in re.findall(r"^\+.*known after up.*$", markdown, re.MULTILINE):
        assert line in page.code


HOSTILE = (
    "```\n</details>\n<script>alert(1)</script>\n# @everyone",
    "````` ` ````",
    "</code></pre><img src=x onerror=1>",
    "| a | b |\n|---|---|\n",
    "[x](http://bad.example) <https://bad.example> www.bad.example **b** ~~s~~ &lt;",
    "\x1b[31mred\x1b[0m \u202eright to left",
    "**not bold** `code` ``more``",
)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_breaks_out_of_its_place(hostile: str) -> None:
    """In files, names of resources, values, messages and comments of keys."""
    document = json.loads(preview_of(MESH, changed(MESH, policy=[])))
    harmless = json.dumps(document).replace("\\n[Interface]", "\\nplain text\\n[Interface]")
    document["diagnostics"] = [{"severity": "error", "message": hostile}]
    _plant(document, hostile)
    markdown = as_markdown(review(json.dumps(document)))
    page = rendered(markdown)
    assert set(page.seen) <= _OURS
    assert page.seen.count("details") == rendered(as_markdown(review(harmless))).seen.count("details")
    prose = re.sub(r"^(`{3,}).*?^\1$|`[^`\n]*`", "", markdown, flags=re.MULTILINE | re.DOTALL)
    assert "@everyone" not in prose
    for text in (markdown, as_terminal(review(json.dumps(document)))):
        assert "\x1b" not in text
        assert "\u202e" not in text


def _plant(document: dict[str, Any], hostile: str) -> None:
    for step in document["steps"]:
        inputs = step.get("newState", {}).get("inputs", {})
        if "stdin" in inputs:
            inputs["stdin"] = inputs["stdin"].replace("[Interface]\n", f"{hostile}\n[Interface]\n")
            inputs["stdin"] = inputs["stdin"].replace(
                "==> end <==", f"ssh-ed25519 AAAA {hostile}\n==> end <=="
            )
    line = hostile.replace("\n", " ")
    for kind in ("a:b:C", "wireguard-mesh:index:Node", f"a:b:{line}"):
        urn = f"urn:pulumi:dev::p::{kind}::{line}"
        state = {"urn": urn, "type": kind, "inputs": {"serverType": line}}
        document["steps"].append({"op": "create", "urn": urn, "newState": state})
        document["steps"].append({"op": f"{line}", "urn": f"{urn}2", "newState": {**state, "parent": urn}})


def _hundred(count: int) -> dict[str, Any]:
    nodes = {
        f"n{number}": {"address": f"10.10.0.{number}", "groups": ["all-of-them"]}
        for number in range(1, count)
    }
    return {
        "cidr": "10.10.0.0/24",
        "nodes": nodes,
        "policy": [{"from": ["all"], "to": ["all"], "allow": ["tcp/80"]}],
    }


@pytest.mark.long
def test_one_node_more_among_a_hundred_fits_into_a_comment() -> None:
    found = review(preview_of(_hundred(100), _hundred(101)))
    markdown = as_markdown(found)
    assert len(markdown.encode()) < 60_000
    assert "| n100 | all nodes but n100 | tcp/80, ping |" in markdown
    assert "| all nodes but n100 | n100 | tcp/80, ping |" in markdown
    assert "left out" not in markdown
    assert "all nodes but n100: the same change: `/etc/hosts`" in markdown
    rendered(markdown)


@pytest.mark.parametrize("limit", [1000, 2000, 4000, 9000])
@pytest.mark.parametrize("case", ["first-up", "node-removed", "node-moved"])
def test_a_review_keeps_to_its_limit_by_importance_and_says_what_is_left_out(case: str, limit: int) -> None:
    whole = review(recorded("pulumi", case))
    for form in (as_markdown, as_terminal):
        text = form(whole, limit)
        assert len(text.encode()) <= limit
        noted = f"left out, to stay below {limit} bytes" in text or "left out for want of room" in text
        assert noted == (text != form(whole, 10**6))
        assert whole.headline.partition(" (")[0] in text
    rendered(as_markdown(whole, limit))
