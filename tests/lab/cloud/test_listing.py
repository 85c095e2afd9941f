"""Lists: pages, filters, selectors, order."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.cloud.errors import ApiError
from lab.cloud.listing import selector_matches
from tests.lab.cloud.world import LabCloud, unique


def groups(cloud: LabCloud, number: int) -> list[int]:
    client = cloud.client
    return [
        client.placement_groups.create(name=unique("g"), type="spread").placement_group.id
        for _ in range(number)
    ]


def test_pages(cloud: LabCloud) -> None:
    ids = groups(cloud, 27)
    answer = cloud.ask("GET", "/placement_groups").json()
    assert [group["id"] for group in answer["placement_groups"]] == ids[:25]
    assert answer["meta"]["pagination"] == {
        "page": 1, "per_page": 25, "previous_page": None, "next_page": 2, "last_page": 2, "total_entries": 27,
    }  # fmt: skip
    answer = cloud.ask("GET", "/placement_groups?page=3&per_page=10")
    assert [group["id"] for group in answer.json()["placement_groups"]] == ids[20:]
    pagination = answer.json()["meta"]["pagination"]
    assert (pagination["previous_page"], pagination["next_page"], pagination["last_page"]) == (2, None, 3)
    assert answer.links["prev"]["url"].endswith("/v1/placement_groups?per_page=10&page=2")
    assert "next" not in answer.links
    assert cloud.ask("GET", "/placement_groups?page=9").json()["placement_groups"] == []
    assert [group.id for group in cloud.client.placement_groups.get_all()] == ids
    assert cloud.ask("GET", "/placement_groups?per_page=999").json()["meta"]["pagination"]["per_page"] == 50


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "per_page=0", "per_page=-1", "sort=color", "sort=id:up"]
)
def test_queries_that_make_no_sense(cloud: LabCloud, query: str) -> None:
    answer = cloud.ask("GET", f"/servers?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_input")
    assert answer.json()["error"]["details"]["fields"][0]["name"] == query.partition("=")[0]


def test_order(cloud: LabCloud) -> None:
    for name in ("b", "a", "c"):
        cloud.client.placement_groups.create(name=name, type="spread")
    by_name = cloud.client.placement_groups.get_all(sort=["name"])
    assert [group.name for group in by_name] == ["a", "b", "c"]
    turned = cloud.client.placement_groups.get_all(sort=["name:desc"])
    assert [group.name for group in turned] == ["c", "b", "a"]
    assert [group.name for group in cloud.client.placement_groups.get_all(sort=["id:asc"])] == ["b", "a", "c"]


def test_filters(cloud: LabCloud) -> None:
    on, off = cloud.server("on"), cloud.off(name="off")
    assert [server.id for server in cloud.client.servers.get_all(status=["off"])] == [off.id]
    both = cloud.client.servers.get_all(status=["off", "running"])
    assert [server.id for server in both] == [on.id, off.id]
    assert [server.id for server in cloud.client.servers.get_all(name="on")] == [on.id]


def test_label_selectors(cloud: LabCloud) -> None:
    cloud.server("a", labels={"env": "prod", "tier": "web"})
    cloud.server("b", labels={"env": "test", "tier": "web", "old": ""})
    cloud.server("c", labels={})

    def found(selector: str) -> str:
        return "".join(server.name for server in cloud.client.servers.get_all(label_selector=selector))

    assert found("env=prod") == found("env==prod") == "a"
    assert found("env!=prod") == "bc"
    assert found("env") == "ab"
    assert found("!old") == "ac"
    assert found("env in (prod, test)") == "ab"
    assert found("env notin (prod)") == "bc"
    assert found("tier=web,!old") == "a"
    assert cloud.ask("GET", "/servers?label_selector=env in (").status_code == 422


labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x", "y"]))


@given(labels, st.sampled_from("abc"), st.sampled_from(["x", "y"]))
def test_a_selector_and_its_opposite_part_everything(have: dict[str, str], key: str, value: str) -> None:
    for one, other in (
        (f"{key}={value}", f"{key}!={value}"),
        (key, f"!{key}"),
        (f"{key} in ({value},z)", f"{key} notin ({value},z)"),
    ):
        assert selector_matches(one, have) != selector_matches(other, have)


@given(st.text(max_size=20))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    with suppress(ApiError):
        assert selector_matches(text, {"a": "b"}) in {True, False}
