"""The engine on small programs: what it does, in which order, and what it remembers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.engine.state.model import STACK_TYPE, urn_name
from tests.lab.engine.harness import Project, Ran, plain

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
KEYS = {
    *("program", "run", "config", "secrets", "code", "does", "any_order", "plan", "counts", "says", "state"),
    *("order", "outputs", "log"),
}


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_case(path: Path, tmp_path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    project = Project(tmp_path / "box")
    for number, step in enumerate(case["steps"], 1):
        assert set(step) <= KEYS, f"step {number} has a key that nobody checks"
        found, expected = take(project, step)
        assert found == expected, f"step {number}"


def take(project: Project, step: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run one step; returns what was found and what is expected, both only for what the step speaks of."""
    if "program" in step:
        project.write(step["program"])
    for flag, name in (("--plaintext", "config"), ("--secret", "secrets")):
        for key, value in step.get(name, {}).items():
            assert project.run(["config", "set", flag, key, value]).code == 0
    planned = project.run("preview") if "plan" in step else None
    ran = project.run(step.get("run", "up --yes --skip-preview"))
    expected = {"code": 0, **{key: step[key] for key in KEYS & set(step) - NOT_FOUND}}
    if expected.get("plan") == "same":
        expected["plan"] = step["does"]
    found = {name: look(project, ran, planned, name, expected[name]) for name in expected}
    if step.get("any_order"):
        for side in (found, expected):
            side.update({key: sorted(side[key]) for key in ("does", "log", "plan") if key in side})
    if found["code"] != expected["code"]:
        found["out"] = ran.out
    return found, expected


NOT_FOUND = {"program", "run", "config", "secrets", "any_order"}


def look(project: Project, ran: Ran, planned: Ran | None, name: str, expected: Any) -> Any:
    """What was found of one thing that a step speaks of."""
    looks: dict[str, Any] = {
        "code": lambda: ran.code,
        "does": ran.steps,
        "plan": lambda: planned.steps() if planned is not None else None,
        "counts": ran.counts,
        "says": lambda: _said(ran.out, expected),
        "log": project.log,
        "outputs": lambda: _outputs(project),
        "order": lambda: _order(project),
        "state": lambda: _state(project, expected),
    }
    return looks[name]()


def _said(out: str, expected: list[str]) -> Any:
    words = " ".join(out.split())
    return [text for text in expected if " ".join(text.split()) in words] or out


def _outputs(project: Project) -> Any:
    found = [plain(r.get("outputs", {})) for r in project.records() if r["type"] == STACK_TYPE]
    return found[0] if found else None


def _order(project: Project) -> list[str]:
    records = [r for r in project.records() if r["type"] != STACK_TYPE]
    return [urn_name(r["urn"]) + "!" * bool(r.get("delete")) for r in records]


def _state(project: Project, expected: dict[str, Any]) -> dict[str, Any]:
    records = {urn_name(r["urn"]): plain(r) for r in project.records() if not r.get("delete")}
    return {key: part(records.get(key), wanted) for key, wanted in expected.items()}


def part(found: Any, wanted: Any) -> Any:
    """As much of what was found as is spoken of; a key that must be absent is `null`."""
    if isinstance(wanted, dict) and isinstance(found, dict) and wanted:
        return {key: part(found.get(key), value) for key, value in wanted.items()}
    return found
