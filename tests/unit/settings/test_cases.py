"""Each case is a file: what the stack file says, and the settings it gives or the problems it has.

A folder per behaviour; `settings` names what a user would look at and may leave out the rest, `problems`
is complete and in order. `remedies` has what `mesh validate` offers to write, by the path of the problem;
editors apply this literally, as a quick fix.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.program import KINDS
from mesh.settings import Problem, SettingsError, parse_settings

HERE = Path(__file__).parent
CASES = sorted(HERE.glob("*/*.yaml"))


def _named(full: Any, wanted: Any) -> Any:
    """Reduce `full` to the keys `wanted` has."""
    if isinstance(full, dict) and isinstance(wanted, dict):
        return {key: _named(full.get(key), value) for key, value in wanted.items()}
    return full


def _remedies(problems: tuple[Problem, ...]) -> dict[str, list[Any]]:
    """Return the ways to mend each problem as cases write them: `{value: 22}`, `{key: port}`, `remove`."""
    found: dict[str, list[Any]] = {}
    for problem in problems:
        for one in problem.instead:
            said = "remove" if one.kind == "remove" else {one.kind: one.write}
            found.setdefault(problem.path, []).append(said)
    return found


@pytest.mark.parametrize("path", CASES, ids=lambda path: str(path.relative_to(HERE).with_suffix("")))
def test_stack_file(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    assert case.keys() - {"remedies"} in ({"given", "settings"}, {"given", "problems"})
    settings: dict[str, Any] | None = None
    problems: list[str] | None = None
    remedies: dict[str, list[Any]] = {}
    try:
        settings = parse_settings(case["given"], kinds=KINDS).model_dump(mode="json", by_alias=True)
    except SettingsError as error:
        problems = [str(problem) for problem in error.problems]
        remedies = _remedies(error.problems)
    assert problems == case.get("problems")
    assert remedies == case.get("remedies", {})
    assert _named(settings, case.get("settings")) == case.get("settings")


def test_both_outcomes_are_covered_in_every_folder_that_can_have_both() -> None:
    outcomes: dict[str, set[str]] = {}
    for path in CASES:
        outcomes.setdefault(path.parent.name, set()).update(yaml.safe_load(path.read_text()))
    only_refused = {"all_at_once", "keys"}
    assert {name for name, found in outcomes.items() if "settings" not in found} == only_refused
    assert {name for name, found in outcomes.items() if "problems" not in found} == set()
