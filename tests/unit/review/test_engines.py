"""Both engines write the same preview: the lab's has what Pulumi's has, field by field."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.unit.review.cases import CASES
from tests.unit.review.test_recorded import plain, recorded

# How the providers describe a change is theirs: the lab's have other words for the same one.
_OWN = {"detailedDiff"}
# The lab's provider fills these in where nothing is said; the real one leaves them out.
_DEFAULTS = {"deleteProtection", "rebuildProtection", "rules"}


def steps(engine: str, case: str) -> dict[tuple[str, str], Any]:
    found = {}
    for step in json.loads(recorded(engine, case))["steps"]:
        reasons = {key: sorted(step.get(key) or []) for key in ("replaceReasons",)}
        states = {side: shape(step[side]) for side in ("oldState", "newState") if side in step}
        found[step["op"], step["urn"]] = {
            "keys": sorted(step.keys() - _OWN - {"diffReasons"}),
            **reasons,
            **states,
        }
    return found


def shape(state: Mapping[str, Any]) -> Any:
    """The keys of a state, and which of its values are masked, unknown or plain."""
    if isinstance(state, Mapping):
        return {key: shape(value) for key, value in state.items() if key not in _DEFAULTS}
    if isinstance(state, list):
        return [shape(each) for each in state]
    return state if state in ("[secret]", "04da6b54-80e4-46f7-96ec-b56ff0331ba9") else type(state).__name__


@pytest.mark.parametrize("case", [case.name for case in CASES])
def test_both_engines_write_the_same_steps(case: str) -> None:
    assert steps("lab", case) == steps("pulumi", case)


@pytest.mark.parametrize("case", ["failed", "node-removed", "node-added"])
def test_both_engines_write_the_same_messages(case: str) -> None:
    lab, pulumi = (json.loads(plain(recorded(engine, case)))["diagnostics"] for engine in ("lab", "pulumi"))
    assert lab == pulumi
