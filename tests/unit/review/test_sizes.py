"""What a review says of pairs whose packets may be larger or smaller."""

from typing import Any

from mesh.review import as_markdown
from mesh.review.nodes import read_nodes
from mesh.review.preview import read_preview
from mesh.review.report import make_review
from mesh.review.sizes import compare_sizes
from tests.unit.review.previews import preview_of


def _mesh(**underlays: int | None) -> dict[str, Any]:
    nodes = {
        name: {"address": f"10.10.0.{number}"} | ({} if size is None else {"underlayMtu": size})
        for number, (name, size) in enumerate(underlays.items(), 1)
    }
    return {"cidr": "10.10.0.0/24", "nodes": nodes}


def test_a_narrower_node_is_told_with_its_pairs() -> None:
    preview = read_preview(preview_of(_mesh(a=None, b=None, c=None), _mesh(a=None, b=None, c=1400)))
    assert compare_sizes(read_nodes(preview)) == {("1420", "1320"): {("a", "c"), ("b", "c")}}
    text = as_markdown(make_review(preview), 60_000)
    assert "at most 1320 bytes inside the tunnel instead of 1420: 2 pairs, a/c, b/c" in text


def test_each_change_of_size_is_told_once() -> None:
    preview = read_preview(preview_of(_mesh(a=9000, b=9000, c=1400), _mesh(a=9000, b=None, c=1450)))
    assert compare_sizes(read_nodes(preview)) == {
        ("1320", "1370"): {("a", "c"), ("b", "c")},
        ("8920", "1420"): {("a", "b")},
    }


def test_nothing_is_told_where_nothing_changes() -> None:
    one, other = _mesh(a=None, b=1400), _mesh(a=None, b=1400, c=None)
    assert compare_sizes(read_nodes(read_preview(preview_of(one, other)))) == {}
