import json
from pathlib import Path
from typing import Any

import pytest

from mesh.host.answers import AgentError, Answer
from mesh.host.files.rescue import rescue_ruleset
from mesh.host.live import firewall
from mesh.host.live.firewall import line_differences, normalised, top_level_statements
from mesh.host.places import Places
from tests.unit.host.documents import FIREWALL

OURS = ["table inet wgmesh", "delete table inet wgmesh", "table inet wgmesh {}"]


def test_our_file_replaces_our_table_and_nothing_else() -> None:
    assert top_level_statements(FIREWALL) == OURS


def test_so_does_the_rescue_ruleset() -> None:
    assert top_level_statements(rescue_ruleset([22, 2222], 51820)) == OURS
    assert "tcp dport { 22, 2222 } accept" in rescue_ruleset([22, 2222], 51820)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("flush ruleset\n", "flush ruleset"),
        ("table ip nat { }\n", "table ip nat {}"),
        ("delete table inet other; list tables\n", "delete table inet other"),
        ('add rule inet x y comment "{"\n', 'add rule inet x y comment ""'),
    ],
)
def test_anything_else_at_the_top_is_seen(text: str, found: str) -> None:
    assert found in top_level_statements(FIREWALL + text)


@pytest.mark.parametrize(
    "text",
    [
        FIREWALL + "}",
        FIREWALL.rstrip("}\n"),
        FIREWALL.replace("tcp dport", 'include "/tmp/x"\n tcp dport'),
        FIREWALL.replace("# {", '"'),
    ],
)
def test_what_cannot_be_read_for_sure_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        top_level_statements(text)


def _listing(handle: int, packets: int, elements: list[str], dynamic: list[str]) -> str:
    counter = {"counter": {"packets": packets, "bytes": 60 * packets}}
    sets = [
        {"set": {"name": "a", "type": "ipv4_addr", "handle": handle, "elem": elements}},
        {"set": {"name": "d", "type": "ipv4_addr", "flags": ["dynamic"], "elem": dynamic}},
    ]
    rule = {"rule": {"handle": handle + 1, "expr": [counter, {"drop": None}]}}
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *sets, rule]})


def test_counters_handles_and_what_traffic_fills_in_do_not_count() -> None:
    one = _listing(3, 0, ["10.0.0.1", "10.0.0.2"], [])
    other = _listing(9, 77, ["10.0.0.2", "10.0.0.1"], ["192.0.2.1"])
    assert normalised(one) == normalised(other)
    assert normalised(one) != normalised(_listing(3, 0, ["10.0.0.1"], []))


def test_a_changed_table_is_told_rule_by_rule() -> None:
    wanted = "table inet wgmesh {\n\tchain input {\n\t\ttcp dport 22 accept\n\t\tudp dport 1 accept\n\t}\n}\n"
    live = wanted.replace("\t\tudp dport 1 accept\n", "").replace(
        "22 accept", "22 accept\n\t\ttcp dport 99 accept"
    )
    assert [str(found) for found in line_differences(live, wanted)] == [
        "firewall: tcp dport 99 accept instead of absent",
        "firewall: absent instead of udp dport 1 accept",
    ]


def _chains(**rules: int) -> dict[str, Any]:
    """Base chains, each with so many rules; `helper` is none."""
    found: list[dict[str, Any]] = []
    for name, count in rules.items():
        hook = {} if name == "helper" else {"hook": name, "prio": 0}
        found.append({"chain": {"table": "wgmesh", "name": name, **hook}})
        found.extend({"rule": {"chain": name, "expr": [{"accept": None}]}} for _ in range(count))
    return {"nftables": [{"table": {"name": "wgmesh"}}, *found]}


@pytest.mark.parametrize(
    ("live", "emptied"),
    [
        (_chains(input=2, forward=1, helper=1), []),
        (_chains(input=9, forward=1, helper=0), []),
        (_chains(input=0, forward=1, helper=1), ["input"]),
        (_chains(forward=1, helper=1), ["input"]),
        (_chains(input=0, forward=0, helper=0), ["forward", "input"]),
        (
            {"nftables": [{"table": {"flags": "t"}}, *_chains(input=2, forward=1)["nftables"]]},
            ["forward", "input"],
        ),
    ],
    ids=["whole", "other rules", "a chain empty", "a chain gone", "all empty", "dormant"],
)
def test_a_table_that_decides_nothing_is_known_by_its_base_chains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, live: dict[str, Any], emptied: list[str]
) -> None:
    wanted = normalised(json.dumps(_chains(input=2, forward=1, helper=1)))
    monkeypatch.setattr(firewall, "expected_table", lambda _text: wanted)
    monkeypatch.setattr(firewall, "live_table", lambda _places: normalised(json.dumps(live)))
    assert firewall.emptied_chains(Places(tmp_path), "the file") == emptied


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A kernel that counts changes, and `nft`, which lists a table with as many rules: how often, `times`."""
    kernel: dict[str, Any] = {"changes": 5, "times": 0, "works": True}

    def listed(_argv: object) -> str | None:
        kernel["times"] += 1
        there = kernel["changes"] and kernel["works"]
        return json.dumps(_chains(input=kernel["changes"])) if there else None

    def change_number() -> int:
        if kernel["changes"] == 99:
            raise AgentError(Answer.FAILED, "the kernel does not tell")
        return int(kernel["changes"])

    monkeypatch.setattr(firewall, "attempt", listed)
    monkeypatch.setattr(firewall, "change_number", change_number)
    monkeypatch.setattr(firewall, "tables", lambda: [("inet", "wgmesh")] if kernel["changes"] else [])
    return kernel


@pytest.mark.parametrize("changes", [5, 0])
def test_the_live_table_is_listed_again_after_a_change_alone(
    tmp_path: Path, asked: dict[str, Any], changes: int
) -> None:
    places = Places(tmp_path)
    places.volatile.mkdir(parents=True)
    asked["changes"] = changes
    first = firewall.live_table(places)
    assert (first is None) == (changes == 0)
    assert firewall.live_table(places) == first
    assert asked["times"] == 1
    asked["changes"] += 1
    assert firewall.live_table(places) == normalised(json.dumps(_chains(input=changes + 1)))
    assert asked["times"] == 2


@pytest.mark.parametrize(
    "kept", ["", "{}", "[]", '{"of": {}}', '{"of": {"after": 5, "nft": "other"}, "table": ""}']
)
def test_what_is_kept_of_the_live_table_may_be_lost_or_of_another_nft(
    tmp_path: Path, asked: dict[str, Any], kept: str
) -> None:
    places = Places(tmp_path)
    places.volatile.mkdir(parents=True)
    places.listed.write_text(kept)
    assert firewall.live_table(places) == normalised(json.dumps(_chains(input=5)))
    assert asked["times"] == 1


def test_a_kernel_that_counts_no_changes_has_its_table_listed_each_time(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    asked["changes"] = 99
    for times in (1, 2):
        assert firewall.live_table(Places(tmp_path)) == normalised(json.dumps(_chains(input=99)))
        assert asked["times"] == times


def test_a_table_that_nft_failed_to_list_is_listed_again(tmp_path: Path, asked: dict[str, Any]) -> None:
    places = Places(tmp_path)
    places.volatile.mkdir(parents=True)
    asked["works"] = False
    assert firewall.live_table(places) is None
    asked["works"] = True
    assert firewall.live_table(places) == normalised(json.dumps(_chains(input=5)))


def test_a_table_that_goes_with_its_process_is_noticed_though_that_is_no_change(
    tmp_path: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path)
    places.volatile.mkdir(parents=True)
    assert firewall.live_table(places) is not None
    monkeypatch.setattr(firewall, "tables", list)
    asked["works"] = False
    assert firewall.live_table(places) is None
