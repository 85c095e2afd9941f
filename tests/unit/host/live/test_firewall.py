import json
from typing import Any

import pytest

from mesh.host.files.rescue import rescue_ruleset
from mesh.host.live import firewall
from mesh.host.live.firewall import line_differences, normalised, top_level_statements
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
    monkeypatch: pytest.MonkeyPatch, live: dict[str, Any], emptied: list[str]
) -> None:
    wanted = normalised(json.dumps(_chains(input=2, forward=1, helper=1)))
    monkeypatch.setattr(firewall, "expected_table", lambda _text: wanted)
    monkeypatch.setattr(firewall, "live_table", lambda: normalised(json.dumps(live)))
    assert firewall.emptied_chains("the file") == emptied
