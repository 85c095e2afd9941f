import json
from typing import Any

import pytest

from mesh.calls.reports import Report, ReportError, parse_report
from mesh.calls.rotations import evidence, settle_input, under_way, waits, waits_in_words

IDLE: dict[str, Any] = {
    "agent": "ab",
    "current": "cd",
    "differences": [],
    "peers": {},
    "state": "idle",
    "trial": None,
    "rotation": None,
}


def _report(**more: Any) -> Report:
    return parse_report(json.dumps({**IDLE, **more}))


def _rotates(phase: str = "both", **waited: str) -> Report:
    pairs = {peer: {"route": "old", "waits": why} for peer, why in waited.items()}
    return _report(rotation={"phase": phase, "since": 1.5, "pairs": pairs})


def test_a_rotation_is_under_way_until_nothing_is_missing_any_more() -> None:
    reports = {"a": _rotates(), "b": _rotates("rekeyed"), "c": _rotates("linger"), "d": _report()}
    assert list(under_way(reports)) == ["a", "b"]


@pytest.mark.parametrize(
    "rotation",
    [
        {"phase": "gone", "since": 1, "pairs": {}},
        {"phase": "both", "since": -1, "pairs": {}},
        {"phase": "both", "since": "now", "pairs": {}},
        {"phase": "both", "since": 1, "pairs": {"b": {"route": "none", "waits": ""}}},
        {"phase": "both", "since": 1, "pairs": {"b": {"route": "old"}}},
        [],
    ],
)
def test_another_form_is_no_report(rotation: Any) -> None:
    with pytest.raises(ReportError, match="rotation"):
        _report(rotation=rotation)


def test_who_waits_for_the_same_peer_for_the_same_reason_is_named_once() -> None:
    rotations = under_way(
        {
            **{name: _rotates(x="no word", y="") for name in ("a", "b", "c", "d", "e")},
            "x": _rotates(a="heard, not heard there"),
        }
    )
    found = waits(rotations)
    assert len(found) == 6
    assert waits_in_words(found) == (
        "x waits for a (heard, not heard there); a, b, c and 2 more wait for x (no word)"
    )
    assert waits_in_words(found[1:4]) == "a, b and c wait for x (no word)"
    assert waits_in_words([]) == ""


def test_only_a_node_that_can_never_send_by_a_former_key_is_evidence() -> None:
    trial = {"seconds_left": 3.0}
    differs = [{"item": "private key", "live": "another one", "wanted": "this node's"}]
    reports = {
        "done": _report(),
        "rotates": _rotates(),
        "lingers": _rotates("linger"),
        "tries": _report(trial=trial),
        "differs": _report(differences=differs),
        "other-files": _report(current="ef"),
        "no-files": _report(current=None),
        "no-key": _report(),
    }
    keys = {name: f"key of {name}" for name in reports if name != "no-key"}
    documents = dict.fromkeys(reports, "cd")
    assert evidence(reports, documents, keys) == {name: keys[name] for name in ("done", "lingers")}
    assert evidence(reports, {}, keys) == {}


def test_settle_is_told_who_is_done_and_who_is_gone() -> None:
    assert json.loads(settle_input({"a": "key"}, ["z", "b"])) == {
        "format": 1,
        "settled": {"a": "key"},
        "gone": ["b", "z"],
    }
